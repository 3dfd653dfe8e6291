package rest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"atoll/gateway/firestore"
	"atoll/host"
)

// TestClear clears a database as Firebase's test tools do.
func TestClear(t *testing.T) {
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}})
	with := open(t, s.Server(LocalOptions()...), func(o *Options) { o.Clear = s.Clear })
	without := open(t, s.Server(LocalOptions()...))

	do := func(want int, method, url, origin, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%s %s: %s %s, %v; want %d", method, url, resp.Status, b, err, want)
		}
		return string(b)
	}
	document, all := "/v1/"+root+"/c/x", "/emulator/v1/"+root
	do(200, "POST", with+"/v1/"+root+"/c?documentId=x", "", `{"fields": {"a": {"nullValue": null}}}`)
	do(404, "DELETE", without+all, "", "")
	do(403, "DELETE", with+all, "https://evil.example", "")
	do(404, "POST", with+all, "", "")
	do(404, "DELETE", with+all+"/c/x", "", "")
	do(400, "DELETE", with+"/emulator/v1/projects/p/documents", "", "")
	do(200, "GET", with+document, "", "")
	if got := do(200, "DELETE", with+all, "http://localhost:3000", ""); got != "{}\n" {
		t.Errorf("got %q", got)
	}
	do(404, "GET", with+document, "", "")
}
