package admin_test

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

// browser runs chromium with a profile that is kept for one test.
type browser struct {
	t       *testing.T
	program string
	profile string
}

// visit loads a page, lets its scripts run, and returns what it looks like.
func (b *browser) visit(url string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+b.profile,
		"--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--virtual-time-budget=2500", "--dump-dom", url)
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("chromium on %s: %v", url, err)
	}
	return string(out)
}

// attack tries from a page of somebody else what a browser lets it try, and
// writes down what it could read.
const attack = `<!doctype html><title>attack</title><ul id="got"></ul><form id="form" method="post" target="frame" action="TARGET/logout"></form>
<iframe name="frame"></iframe>
<script>
const got = (what, how) => { const li = document.createElement("li"); li.textContent = what + ": " + how; document.getElementById("got").append(li); };
const paths = ["/v1/overview", "/metrics", "/debug/", "/", "/healthz"];
(async () => {
  for (const p of paths) {
    for (const options of [{credentials: "include"}, {credentials: "include", mode: "no-cors"}, {method: "POST", credentials: "include", mode: "no-cors"}]) {
      try {
        const answer = await fetch("TARGET" + p, options);
        const text = await answer.text();
        got(p, answer.type === "opaque" && text === "" ? "nothing" : "READ " + text.slice(0, 50));
      } catch { got(p, "refused"); }
    }
    await new Promise((next) => {
      const script = document.createElement("script");
      script.onload = () => { got(p, "SCRIPT LOADED"); next(); };
      script.onerror = () => { got(p, "no script"); next(); };
      script.src = "TARGET" + p;
      document.body.append(script);
    });
    const frame = document.createElement("iframe");
    frame.src = "TARGET" + p;
    document.body.append(frame);
  }
  try { await fetch("TARGET/v1/links", {method: "POST", credentials: "include", mode: "no-cors"}); } catch {}
  document.getElementById("form").submit();
  got("all", "done");
})();
</script>`

// TestBrowser signs a real browser in, and then has it visit pages of others.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser several times")
	}
	b := &browser{t, testtool.Need(t, "chromium", "chromium-browser", "google-chrome"), t.TempDir()}
	w := newWorld(t, nil)
	w.set("cities/lisbon", `{"name": "Lisbon", "at": {"$geopoint": [38.72, -9.14]}}`)
	_, port, _ := strings.Cut(strings.TrimPrefix(w.url, "http://"), ":")

	if page := b.visit(w.door.Link()); !strings.Contains(page, "Durable blocks") || !strings.Contains(page, `class="status ok"`) {
		t.Fatalf("the console after signing in: %s", page)
	}
	place := w.url + "/#/documents/projects%2Fp%2Fdatabases%2F(default)/cities/lisbon"
	if page := b.visit(place); !strings.Contains(page, "38.72, -9.14") || !strings.Contains(page, ">geopoint<") {
		t.Fatalf("a document in the console: %s", page)
	}

	// The browser has a session now, and visits pages of others: one on
	// another port of this machine, which counts as the same site, and one
	// under a foreign name.
	before := len(w.served())
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, strings.ReplaceAll(attack, "TARGET", w.url))
	}))
	defer other.Close()
	_, otherPort, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")
	for _, page := range []string{other.URL, "http://evil.test:" + otherPort} {
		text := b.visit(page + "/")
		text, _, _ = strings.Cut(text, "</ul>")
		if !strings.Contains(text, "all: done") {
			t.Fatalf("the attack did not run: %s", text)
		}
		if strings.Contains(text, "READ") || strings.Contains(text, "SCRIPT LOADED") {
			t.Errorf("a page of %s read the node: %s", page, text)
		}
	}
	for _, request := range w.served()[before:] {
		t.Errorf("a page of another origin was served: %s", request)
	}

	// A name that was rebound to this machine.
	if page := b.visit("http://evil.test:" + port + "/healthz"); !strings.Contains(page, "this node is not called evil.test") {
		t.Errorf("under a rebound name: %s", page)
	}
}
