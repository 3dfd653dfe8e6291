package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"atoll"
	"atoll/gateway/account"
	"atoll/gateway/admin"
	"atoll/gateway/admin/plain"
	"atoll/gateway/firestore"
	"atoll/gateway/rest"
	"atoll/host"
	"atoll/program/shard"
	"atoll/route"
	"atoll/subnet"
	"atoll/value"
)

var db = atoll.Database{Project: "p", ID: atoll.DefaultDatabase}

// world is a node in memory with its operator's door on a port.
type world struct {
	t     *testing.T
	host  *host.Host
	door  *admin.Door
	url   string
	token string
	data  http.Handler // answers what the console asks of documents

	mu      sync.Mutex
	answers []string // requests that were answered with a success
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the door find what it needs for a stream.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// ServeHTTP has the door answer, and notes successes.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rec := &recorder{rw, http.StatusOK}
	w.door.ServeHTTP(rec, r)
	if rec.status < 300 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answers = append(w.answers, fmt.Sprintf("%s %s from %s: %d", r.Method, r.URL.Path, r.Header.Get("Sec-Fetch-Site"), rec.status))
	}
}

// served returns the requests that were answered with a success.
func (w *world) served() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers)
}

// change wraps the source of a node, to make it tell something else.
func newWorld(t *testing.T, change func(admin.Source) admin.Source) *world {
	t.Helper()
	h, err := host.Start(host.Options{Log: slog.New(slog.DiscardHandler), Subnets: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	dir := t.TempDir()
	keys, err := admin.NewKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := admin.ReadToken(dir)
	if err != nil {
		t.Fatal(err)
	}
	source := h.Source()
	if change != nil {
		source = change(source)
	}
	server := httptest.NewUnstartedServer(nil)
	registry := prometheus.NewRegistry()
	accounts, err := account.New(account.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, host: h, token: token, data: dataDoor(t, h, registry, accounts)}
	door, err := admin.New(admin.Options{
		Source: source, Router: h.Router, Root: host.Root, Registry: registry, Keys: keys,
		Address: server.Listener.Addr(), Console: consoleFiles(), Version: "test", Data: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.data.ServeHTTP(rw, r) }),
		Accounts: accounts,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.door = door
	server.Config.Handler = w
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(door.Close)
	w.url = server.URL
	return w
}

// dataDoor serves documents to the console, as the command does.
func dataDoor(t *testing.T, h *host.Host, registry *prometheus.Registry, accounts *account.Table) http.Handler {
	t.Helper()
	documents := firestore.New(firestore.Options{
		Router: h.Router, Auth: firestore.Auth{Dev: true}, Metrics: firestore.NewMetrics(registry), Accounts: accounts,
	})
	local, err := rest.NewLocal(documents.Server(rest.LocalOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.Close() })
	door, err := rest.New(rest.Options{Service: local})
	if err != nil {
		t.Fatal(err)
	}
	return door
}

func (w *world) set(path, text string) {
	w.t.Helper()
	doc, err := plain.Parse(db, atoll.Path(path), []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(shard.Write{Op: shard.OpSet, Path: atoll.Path(path), Doc: value.Encode(doc)})
}

func (w *world) commit(writes ...shard.Write) {
	w.t.Helper()
	if _, err := w.host.Router.Commit(w.t.Context(), db, writes, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
		w.t.Fatal(err)
	}
}

// do sends a request with some headers; Host is set as such.
func (w *world) do(method, path string, headers ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { res.Body.Close() })
	return res
}

func (w *world) bearer() string { return "Bearer " + w.token }

// get returns the body of a successful answer to whoever has the token.
func (w *world) get(path string) string {
	w.t.Helper()
	res := w.do("GET", path, "Authorization", w.bearer())
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s, %v: %s", path, res.Status, err, b)
	}
	return string(b)
}

var privatePaths = []string{
	"/", "/app.js", "/metrics", "/debug/", "/debug/subnets", "/debug/store", "/debug/pprof/heap", "/v1/overview", "/v1/databases",
	"/v1/samples", "/v1/storage", "/v1/indexes?database=projects/p/databases/(default)", "/v1/top", "/data/v1/projects/p/databases/(default)/documents/c/d", "/data/",
	"/v1/tail?database=projects/p/databases/(default)", "/v1/document?database=projects/p/databases/(default)&path=c/d",
}

// TestGuard tries everything that a page of somebody else could send.
func TestGuard(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/d", `{"secret": 1}`)
	own := strings.TrimPrefix(w.url, "http://")
	_, port, _ := net.SplitHostPort(own)
	for _, path := range append(privatePaths, "/healthz") {
		for _, c := range []struct {
			name    string
			headers []string
			want    int
		}{
			{"rebinding", []string{"Host", "evil.example:" + port}, http.StatusMisdirectedRequest},
			{"rebinding without a port", []string{"Host", "127.0.0.1"}, http.StatusMisdirectedRequest},
			{"another port", []string{"Host", "127.0.0.1:1"}, http.StatusMisdirectedRequest},
			{"a name that begins well", []string{"Host", "localhost.evil.example:" + port}, http.StatusMisdirectedRequest},
			{"an address elsewhere", []string{"Host", "192.0.2.1:" + port}, http.StatusMisdirectedRequest},
			{"another origin", []string{"Origin", "http://evil.example"}, http.StatusForbidden},
			{"another port's origin", []string{"Origin", "http://127.0.0.1:1"}, http.StatusForbidden},
			{"no origin's name", []string{"Origin", "null"}, http.StatusForbidden},
			{"an image of another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, http.StatusForbidden},
			{"a script of another port", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}, http.StatusForbidden},
			{"a frame of another site", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, http.StatusForbidden},
		} {
			// Even with the token, which no page has.
			res := w.do("GET", path, append(c.headers, "Authorization", w.bearer())...)
			if res.StatusCode != c.want {
				t.Errorf("%s, GET %s: %s, want %d", c.name, path, res.Status, c.want)
			}
		}
	}
	for _, path := range privatePaths {
		for name, headers := range map[string][]string{
			"nothing":       nil,
			"a wrong token": {"Authorization", "Bearer " + strings.Repeat("0", 64)},
			"no token":      {"Authorization", "Bearer "},
			"a bad cookie":  {"Cookie", "atoll_" + port + "=AAAAAH____8"},
		} {
			if res := w.do("GET", path, headers...); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("with %s, GET %s: %s", name, path, res.Status)
			}
		}
	}
	for _, host := range []string{own, "localhost:" + port, "LOCALHOST:" + port, "127.0.0.5:" + port, "[::1]:" + port} {
		if res := w.do("GET", "/healthz", "Host", host); res.StatusCode != http.StatusOK {
			t.Errorf("as %s: %s", host, res.Status)
		}
	}
	followed := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Authorization", w.bearer()}
	for path, want := range map[string]int{"/": http.StatusOK, "/debug/": http.StatusForbidden, "/v1/overview": http.StatusForbidden} {
		if res := w.do("GET", path, followed...); res.StatusCode != want {
			t.Errorf("a link of another site to %s: %s", path, res.Status)
		}
	}
	res := w.do("GET", "/healthz", "Origin", w.url, "Sec-Fetch-Site", "same-origin")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'self';") {
		t.Errorf("from the own page: %s, %v", res.Status, res.Header)
	}
	if res := w.do("DELETE", "/healthz"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %s", res.Status)
	}
	if res := w.do("GET", "/v1/links", "Authorization", w.bearer()); res.StatusCode == http.StatusOK {
		t.Errorf("a link was given for a GET: %s", res.Status)
	}
}

// TestLogin follows a one-time link, and finds that it works once.
func TestLogin(t *testing.T) {
	w := newWorld(t, nil)
	path := strings.TrimPrefix(w.door.Link(), w.url)
	if path == w.door.Link() {
		t.Fatalf("the link %s is not of %s", path, w.url)
	}
	if res := w.do("HEAD", path); len(res.Cookies()) > 0 {
		t.Error("HEAD began a session")
	}
	// A link in another page may be followed.
	res := w.do("GET", path, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
	cookies := res.Cookies()
	if res.StatusCode != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("%s, %v", res.Status, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge <= 0 {
		t.Errorf("the cookie is %+v", c)
	}
	session := c.Name + "=" + c.Value
	for _, path := range []string{"/", "/debug/", "/metrics", "/v1/overview"} {
		if res := w.do("GET", path, "Cookie", session); res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s", path, res.Status)
		}
	}
	if res := w.do("GET", path); res.StatusCode != http.StatusForbidden || len(res.Cookies()) > 0 {
		t.Errorf("the second time: %s", res.Status)
	}
	if res := w.do("GET", "/v1/overview", "Cookie", session[:len(session)-2]+"00"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a changed cookie: %s", res.Status)
	}
	// A page of another port sends the cookie along, but says who it is.
	if res := w.do("POST", "/logout", "Cookie", session, "Origin", "http://127.0.0.1:1"); res.StatusCode != http.StatusForbidden {
		t.Errorf("signing out from another port: %s", res.Status)
	}
	res = w.do("POST", "/logout", "Cookie", session, "Origin", w.url)
	if res.StatusCode != http.StatusOK || len(res.Cookies()) != 1 || res.Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out: %s, %v", res.Status, res.Cookies())
	}
	res = w.do("GET", "/", "Accept", "text/html")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusUnauthorized || !bytes.Contains(body, []byte("atoll console")) {
		t.Errorf("without a session: %s, %s", res.Status, body)
	}
}

func TestNewLink(t *testing.T) {
	w := newWorld(t, nil)
	res := w.do("POST", "/v1/links", "Authorization", w.bearer())
	var reply struct{ Link string }
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	if res := w.do("GET", strings.TrimPrefix(reply.Link, w.url)); res.StatusCode != http.StatusOK || len(res.Cookies()) != 1 {
		t.Errorf("the new link: %s", res.Status)
	}
}

// TestTokenFile checks who can read the token, and that it outlasts a restart.
func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := admin.ReadToken(dir); atoll.KindOf(err) != atoll.NotFound {
		t.Errorf("without a file: %v", err)
	}
	read := func() string {
		t.Helper()
		if _, err := admin.NewKeys(dir); err != nil {
			t.Fatal(err)
		}
		token, err := admin.ReadToken(dir)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := read()
	name := filepath.Join(dir, admin.TokenFile)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again := read(); again != first {
		t.Error("a restart drew a new token")
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ReadToken(dir); atoll.KindOf(err) != atoll.PermissionDenied {
		t.Errorf("a file for all: %v", err)
	}
	second := read()
	if second == first {
		t.Error("a token that others could read was kept")
	}
	if err := os.WriteFile(name, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ReadToken(dir); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a file without a token: %v", err)
	}
	read()
}

// failing reports that a subnet is in trouble.
type failing struct {
	admin.Source
	stopped, refusing error
}

func (f failing) Report(s atoll.SubnetID) (admin.Report, error) {
	rep, err := f.Source.Report(s)
	if s == 1 {
		rep.Err, rep.Refusing = f.stopped, f.refusing
	}
	return rep, err
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name              string
		stopped, refusing error
		status            int
		want              string
	}{
		{"well", nil, nil, http.StatusOK, "ok"},
		{"stopped", &atoll.Error{Kind: atoll.DataLoss, Msg: "a block is damaged", Detail: "a secret"}, nil, http.StatusServiceUnavailable, "stopped"},
		{"full", nil, atoll.Errorf(atoll.ResourceExhausted, "the disk is full"), http.StatusServiceUnavailable, "refusing writes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(s admin.Source) admin.Source { return failing{s, c.stopped, c.refusing} })
			res := w.do("GET", "/healthz")
			body, _ := io.ReadAll(res.Body)
			var h admin.Health
			if err := json.Unmarshal(body, &h); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || len(h.Subnets) != 2 || h.Subnets[1].Status != c.want || h.Subnets[0].Status != "ok" || h.Subnets[0].Height == 0 {
				t.Errorf("%s: %s", res.Status, body)
			}
			if c.want != "ok" && h.Subnets[1].Reason == "" || bytes.Contains(body, []byte("secret")) {
				t.Errorf("the reason: %s", body)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/d", `{"n": 1}`)
	text := w.get("/metrics")
	for _, want := range []string{
		`atoll_subnet_up{subnet="1"} 1`, `atoll_subnet_durable_height{subnet="0"} `, `atoll_route_opened_total 1`,
		`atoll_log_records{subnet="0"} `, `atoll_subnet_queued_messages{subnet="0"} 0`, "go_goroutines ", "process_open_fds ", `atoll_build_info{version="test"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// lines reads the stream of a tail until it has n changes, and returns them.
func (w *world) lines(n int, query string) []admin.TailLine {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/tail?database="+db.String()+"&"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", w.bearer())
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var out []admin.TailLine
	for scan := bufio.NewScanner(res.Body); len(out) < n; {
		if !scan.Scan() {
			w.t.Fatalf("%s, %v after %d of %d lines: %s", res.Status, scan.Err(), len(out), n, scan.Bytes())
		}
		var l admin.TailLine
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			w.t.Fatalf("%s: %v: %s", res.Status, err, scan.Bytes())
		}
		if l.Path != "" {
			out = append(out, l)
		} else if l.Cursor == "" {
			w.t.Fatalf("a line without a cursor: %s", scan.Bytes())
		}
	}
	return out
}

// TestTail reads the feed from its beginning, goes on behind every one of its
// cursors, and follows what is written meanwhile.
func TestTail(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.set(fmt.Sprintf("c/%d", i), fmt.Sprintf(`{"n": %d}`, i))
	}
	w.set("c/1/sub/x", `{}`)
	w.commit(shard.Write{Op: shard.OpDelete, Path: "c/2"})
	all := w.lines(7, "after=oldest")
	if l := all[6]; l.Path != "c/2" || !l.Deleted || l.Document != nil {
		t.Errorf("the deletion: %+v", l)
	}
	if l := all[3]; l.Path != "c/3" || string(l.Document) != `{"n":3}` || l.Revision != 1 || l.Created != l.Time {
		t.Errorf("a document: %+v", l)
	}
	for i, l := range all[:6] {
		rest := w.lines(6-i, "after="+l.Cursor)
		if rest[0].Cursor != all[i+1].Cursor || rest[5-i].Cursor != all[6].Cursor {
			t.Errorf("behind line %d came %+v", i, rest[0])
		}
	}
	if only := w.lines(1, "after=oldest&collection=c/1/sub"); only[0].Path != "c/1/sub/x" {
		t.Errorf("one collection: %+v", only)
	}
	since := w.lines(1, "after="+all[4].Time)
	if since[0].Path != "c/1/sub/x" {
		t.Errorf("behind a time: %+v", since)
	}
	time.AfterFunc(100*time.Millisecond, func() { w.set("c/late", `{"at": {"$timestamp": "2026-01-01T00:00:00Z"}}`) })
	if late := w.lines(1, "after="+all[6].Cursor); late[0].Path != "c/late" {
		t.Errorf("what was written meanwhile: %+v", late)
	}
}

func TestTailRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/d", `{}`)
	other := newWorld(t, nil)
	other.set("c/d", `{}`)
	foreign := other.lines(1, "after=oldest")[0].Cursor
	for query, want := range map[string]int{
		"database=projects/p/databases/none":                             http.StatusNotFound,
		"database=nonsense":                                              http.StatusBadRequest,
		"database=" + db.String() + "&after=nonsense":                    http.StatusBadRequest,
		"database=" + db.String() + "&after=" + foreign:                  http.StatusBadRequest,
		"database=" + db.String() + "&after=1970-01-02T00:00:00Z":        http.StatusGone,
		"database=" + db.String() + "&collection=c/d":                    http.StatusBadRequest,
		"database=" + db.String() + "&after=oWEBAl9hYWFhYWFhYWFhYWFhYWE": http.StatusBadRequest,
	} {
		if strings.Contains(query, "1970") {
			w.collect()
		}
		res := w.do("GET", "/v1/tail?"+query, "Authorization", w.bearer())
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		var p admin.Problem
		if err := json.Unmarshal(body, &p); err != nil || res.StatusCode != want || p.Error.Message == "" {
			t.Errorf("%s: %s, %s, want %d", query, res.Status, body, want)
		}
	}
	var list struct{ Databases []struct{ Name string } }
	if err := json.Unmarshal([]byte(w.get("/v1/databases")), &list); err != nil || len(list.Databases) != 1 {
		t.Errorf("looking at a database made it: %+v, %v", list, err)
	}
}

// collect waits until the node has forgotten what is older than its retention.
func (w *world) collect() {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(w.get("/debug/log?subnet=0"), "collect×") || strings.Contains(w.get("/debug/log?subnet=1"), "collect×") {
			return
		}
	}
	w.t.Fatal("nothing was collected")
}

// TestClose ends the streams that are open.
func TestClose(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/d", `{}`)
	res := w.do("GET", "/v1/tail?after=now&database="+db.String(), "Authorization", w.bearer())
	w.door.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, res.Body)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on after Close")
	}
}

func TestBrowse(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/a", `{"s": "x", "m": {"i": 1, "l": [1.5, null]}, "r": {"$reference": "c/b"}, "v": {"$vector": [1, 2]}, "b": {"$bytes": "AP8="}}`)
	w.set("c/a/sub/y", `{}`)
	q := "database=" + db.String()
	for path, want := range map[string]string{
		"/v1/databases":                         `"projects/p/databases/(default)"`,
		"/v1/collections?" + q:                  `{"ids":["c"],"more":false}`,
		"/v1/collections?" + q + "&parent=c/a":  `{"ids":["sub"],"more":false}`,
		"/v1/documents?" + q + "&collection=c":  `"preview":"b 00ff · m {2} · r projects/p/databases/(default)/documents/c/b · s x · v 1, 2"`,
		"/v1/document?" + q + "&path=c/a":       `{"name":"m","type":"map","text":"2","fields":[{"name":"i","type":"integer","text":"1"},{"name":"l","type":"array","text":"2","fields":[{"name":"0","type":"double","text":"1.5"},{"name":"1","type":"null","text":"null"}]}]}`,
		"/v1/document?" + q + "&path=c/none":    `"exists":false`,
		"/v1/overview":                          `"programs":{"accounts":1,"directory":1,"shard":1}`,
		"/v1/storage":                           `"databases":[{"name":"projects/p/databases/(default)","ranges":1,"shards":1,"state":`,
		"/v1/indexes?" + q:                      `"version":`,
		"/debug/":                               `href="/debug/log?subnet=1"`,
		"/debug/subnets":                        fmt.Sprintf("%d to %d", subnet.MinSemantics, subnet.MaxSemantics),
		"/debug/canisters":                      `accounts`,
		"/debug/streams":                        `acknowledged`,
		"/debug/log":                            `genesis×1`,
		"/debug/block?position=1":               `request 0000`,
		"/debug/store?space=canisters&subnet=0": `canister r`,
		"/debug/pprof/goroutine?debug=1":        `goroutine profile`,
		"/":                                     `<title>Atoll</title>`,
		"/debug/style.css":                      `font`,
	} {
		if got := w.get(path); !strings.Contains(got, want) {
			t.Errorf("%s: no %s in\n%s", path, want, got)
		}
	}
	for path, want := range map[string]int{
		"/v1/document?" + q + "&path=c":                http.StatusBadRequest,
		"/v1/documents?" + q + "&collection=c/a":       http.StatusBadRequest,
		"/v1/documents?" + q + "&collection=":          http.StatusBadRequest,
		"/v1/documents?" + q + "&collection=c&limit=0": http.StatusBadRequest,
		"/v1/collections?" + q + "&parent=c":           http.StatusBadRequest,
		"/debug/store?space=none":                      http.StatusBadRequest,
		"/debug/store?after=xyz":                       http.StatusBadRequest,
		"/debug/log?subnet=9":                          http.StatusNotFound,
		"/debug/block?position=99999999":               http.StatusNotFound,
		"/none":                                        http.StatusNotFound,
	} {
		if res := w.do("GET", path, "Authorization", w.bearer()); res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
}

// TestPages follows the links of the viewers from page to page.
func TestPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 120 {
		w.set(fmt.Sprintf("c/%03d", i), `{}`)
	}
	next := regexp.MustCompile(`<a href="([^"]+)">next page</a>`)
	row := regexp.MustCompile(`family 1, documents: c/\d\d\d at`)
	for _, start := range []string{"/debug/store?space=ranges&subnet=0", "/debug/log?subnet=0"} {
		pages, rows := 0, 0
		for path := start; path != ""; pages++ {
			text := w.get(path)
			rows += len(row.FindAllString(text, -1))
			path = ""
			if m := next.FindStringSubmatch(text); m != nil {
				path = strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		if pages < 2 || strings.Contains(start, "store") && rows != 120 {
			t.Errorf("%s: %d pages, %d documents", start, pages, rows)
		}
	}
}
