package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"atoll/internal/testtool"
)

// page tries to change and to read documents in every way that a browser has,
// and writes down what came of it. TARGET and NAME are replaced.
const page = `<!doctype html><ul id="got"></ul>
<form id="form" method="post" enctype="text/plain" target="frame" action="TARGET/NAME-form"><input name='{"fields":{"x":{"stringValue":"' value='"}}}'></form>
<iframe name="frame"></iframe>
<script>
const got = (what, how) => { const li = document.createElement("li"); li.textContent = what + ": " + how; document.getElementById("got").append(li); };
const ways = {
  client: {method: "POST", body: "{}", headers: {"Content-Type": "text/plain", "X-Goog-Api-Client": "gl-js/ fire/test"}},
  json: {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}},
  owner: {method: "POST", body: "{}", headers: {Authorization: "Bearer owner"}},
  patch: {method: "PATCH", body: "{}"},
  simple: {method: "POST", body: "{}"},
  blind: {method: "POST", body: "{}", mode: "no-cors"},
  get: {},
};
(async () => {
  for (const [way, options] of Object.entries(ways)) {
    try {
      const answer = await fetch("TARGET/NAME-" + way + (options.method === "PATCH" ? "/x" : ""), options);
      got(way, answer.ok ? "SERVED" : "answered " + answer.status);
    } catch { got(way, "refused"); }
  }
  document.getElementById("form").submit();
  navigator.sendBeacon("TARGET/NAME-beacon", "{}");
  const image = new Image();
  image.src = "TARGET/NAME-image";
  got("all", "done");
})();
</script>`

// TestBrowser shows a page of this machine and one of a stranger to a real
// browser, and looks for what they left behind.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser several times")
	}
	program := testtool.Need(t, "chromium", "chromium-browser", "google-chrome")
	base := real(t) + "/v1/" + root
	profile := t.TempDir()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.NewReplacer("TARGET", base, "NAME", strings.Trim(r.URL.Path, "/")).Replace(page))
	}))
	defer other.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")
	visit := func(url string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+profile,
			"--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
			"--virtual-time-budget=2500", "--dump-dom", url).Output()
		if err != nil {
			t.Fatalf("chromium on %s: %v", url, err)
		}
		text, _, _ := strings.Cut(string(out), "</ul>")
		if !strings.Contains(text, "all: done") {
			t.Fatalf("the page %s did not run: %s", url, out)
		}
		return text
	}

	text := visit(other.URL + "/local")
	for _, want := range []string{"client: SERVED", "json: SERVED", "owner: SERVED", "patch: SERVED", "simple: answered 403", "get: answered 403"} {
		if !strings.Contains(text, want) {
			t.Errorf("a page of this machine: no %q in %s", want, text)
		}
	}
	text = visit("http://evil.test:" + port + "/evil")
	if strings.Contains(text, "SERVED") || strings.Contains(text, "answered 4") {
		t.Errorf("a page of a stranger: %s", text)
	}
	want := `{"collectionIds": ["local-client", "local-json", "local-owner", "local-patch"]}`
	if a := ask(t, "POST", base+":listCollectionIds", "{}"); !sameJSON(t, a.body, want) {
		t.Errorf("the pages left behind %s\nwant %s", a.body, want)
	}
}
