package admin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"atoll/gateway/admin"
	"atoll/host"
)

// newBackupWorld is a node on disk whose door makes backups.
func newBackupWorld(t *testing.T) *world {
	t.Helper()
	h, err := host.Start(host.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	dir := t.TempDir()
	keys, err := admin.NewKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, host: h}
	if w.token, err = admin.ReadToken(dir); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(w)
	w.door, err = admin.New(admin.Options{
		Source: h.Source(), Router: h.Router, Root: host.Root, Registry: prometheus.NewRegistry(), Keys: keys,
		Address: server.Listener.Addr(), Console: consoleFiles(), Version: "test", Backup: h.Backup,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(w.door.Close)
	w.url = server.URL
	return w
}

// TestBackupRefusesStrangers asks for a backup as everybody who may not have
// one, and as somebody who may: only that one has a file written.
func TestBackupRefusesStrangers(t *testing.T) {
	w := newBackupWorld(t)
	w.set("c/d", `{"secret": true}`)
	dir := filepath.Join(t.TempDir(), "backups")
	path := "/v1/backup?" + url.Values{"dir": {dir}, "full": {"true"}}.Encode()
	port := w.url[strings.LastIndexByte(w.url, ':')+1:]
	for _, c := range []struct {
		name, method string
		headers      []string
		want         int
	}{
		{"nobody", "POST", nil, http.StatusUnauthorized},
		{"a wrong token", "POST", []string{"Authorization", "Bearer " + strings.Repeat("0", 64)}, http.StatusUnauthorized},
		{"the data plane's word for development", "POST", []string{"Authorization", "Bearer owner"}, http.StatusUnauthorized},
		{"a bad cookie", "POST", []string{"Cookie", "atoll_" + port + "=AAAAAH____8", "Origin", w.url}, http.StatusUnauthorized},
		{"a page of another site", "POST", []string{"Authorization", w.bearer(), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"a page of another port", "POST", []string{"Authorization", w.bearer(), "Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{"a name that was bound to this address", "POST", []string{"Authorization", w.bearer(), "Host", "evil.example:" + port}, http.StatusMisdirectedRequest},
		{"a link", "GET", []string{"Authorization", w.bearer()}, http.StatusNotFound},
	} {
		res := w.do(c.method, path, c.headers...)
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != c.want || bytes.Contains(body, []byte("manifest")) {
			t.Errorf("%s: %s, want %d: %v, %s", c.name, res.Status, c.want, err, body)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("%s had a backup written", c.name)
		}
	}
	for _, bad := range []string{"", "relative", "s3:/x", "../x"} {
		if res := w.do("POST", "/v1/backup?dir="+url.QueryEscape(bad), "Authorization", w.bearer()); res.StatusCode != http.StatusBadRequest {
			t.Errorf("dir=%q: %s", bad, res.Status)
		}
	}
	res := w.do("POST", path, "Authorization", w.bearer())
	var last admin.BackupLine
	steps := 0
	for lines := json.NewDecoder(res.Body); ; {
		var l admin.BackupLine
		if err := lines.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if last = l; l.Progress != nil {
			steps++
		}
	}
	if res.StatusCode != http.StatusOK || last.Manifest == nil || steps == 0 || last.Manifest.Kind != "full" {
		t.Errorf("with the token: %s, %+v after %d steps", res.Status, last, steps)
	}
}
