package rest

import (
	"strings"
	"testing"

	"atoll"
)

func TestOrigins(t *testing.T) {
	var l listener
	base := open(t, l.server(), func(o *Options) {
		o.Origins = Origins{Allowed: []string{"https://app.example.com"}, Hosts: []string{"mybox"}}
	})
	own := "Origin: " + base
	const (
		page     = "Origin: http://localhost:3000"
		stranger = "Origin: http://evil.example"
		json     = "Content-Type: application/json; charset=utf-8"
	)
	for _, tc := range []struct {
		method  string
		headers []string
		status  int
	}{
		// No browser.
		{"GET", nil, 200}, {"POST", nil, 200}, {"POST", []string{"Content-Type: text/plain"}, 200},
		// The door's own pages, and what somebody types in.
		{"GET", []string{own}, 200}, {"POST", []string{own, "Content-Type: text/plain"}, 200},
		{"GET", []string{"Sec-Fetch-Site: none"}, 200}, {"GET", []string{"Sec-Fetch-Site: same-origin"}, 200},
		// Pages of this machine, with something that needs leave.
		{"POST", []string{page, json}, 200}, {"POST", []string{page, "Authorization: Bearer owner"}, 200}, {"GET", []string{page, "Authorization: Bearer owner"}, 200},
		{"POST", []string{page, "Content-Type: text/plain", "X-Goog-Api-Client: gl-js/"}, 200}, {"PATCH", []string{page}, 200}, {"DELETE", []string{page}, 200},
		{"POST", []string{"Origin: https://127.0.0.1:1", json}, 200}, {"POST", []string{"Origin: http://[::1]:5", json}, 200}, {"POST", []string{"Origin: http://app.localhost", json}, 200},
		{"POST", []string{"Origin: https://app.example.com", json}, 200},
		// The same without.
		{"GET", []string{page}, 403}, {"POST", []string{page}, 403}, {"POST", []string{page, "Content-Type: text/plain"}, 403},
		{"POST", []string{page, "Content-Type: multipart/form-data; boundary=x"}, 403}, {"POST", []string{page, "Content-Type: application/jsonx"}, 403},
		{"POST", []string{page, "Content-Type: text/plain; application/json"}, 403}, {"POST", []string{page, "X-Requested-With: app"}, 403}, {"POST", []string{"Origin: https://app.example.com"}, 403},
		// Strangers, whatever they send.
		{"GET", []string{stranger}, 403}, {"POST", []string{stranger, json}, 403}, {"PATCH", []string{stranger}, 403}, {"DELETE", []string{stranger, "Authorization: Bearer owner"}, 403},
		{"POST", []string{"Origin: null", json}, 403}, {"POST", []string{"Origin: http://localhost.evil.example", json}, 403}, {"POST", []string{"Origin: http://127.0.0.1.evil.example", json}, 403},
		{"POST", []string{"Origin: http://localhost@evil.example", json}, 403}, {"POST", []string{"Origin: http://evil.example#.localhost", json}, 403},
		{"POST", []string{"Origin: file://localhost", json}, 403}, {"POST", []string{"Origin: http://app.example.com", json}, 403}, {"POST", []string{"Origin: https://app.example.com:444", json}, 403},
		{"POST", []string{page, stranger, json}, 403}, {"POST", []string{"Origin: ", json}, 403}, {"POST", []string{"Origin: http://localhost/", json}, 403}, {"POST", []string{"Origin: http://192.0.2.1", json}, 403},
		// Links, pictures and scripts of other sites.
		{"GET", []string{"Sec-Fetch-Site: cross-site"}, 403}, {"GET", []string{"Sec-Fetch-Site: same-site"}, 403}, {"GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 403},
		// Names of this node, and names that were made to lead here.
		{"GET", []string{"Host: localhost"}, 200}, {"GET", []string{"Host: LOCALHOST:8080"}, 200}, {"GET", []string{"Host: [::1]:4943"}, 200}, {"GET", []string{"Host: [::1]"}, 200},
		{"GET", []string{"Host: 127.9.9.9"}, 200}, {"GET", []string{"Host: MyBox:80"}, 200}, {"GET", []string{"Host: a.localhost:1"}, 200},
		{"GET", []string{"Host: evil.example"}, 421}, {"POST", []string{"Host: evil.example", "Origin: http://evil.example", json}, 421}, {"GET", []string{"Host: 192.0.2.1"}, 421},
		{"GET", []string{"Host: localhost.evil.example"}, 421}, {"GET", []string{"Host: 0.0.0.0"}, 421}, {"GET", []string{"Host: mybox.evil.example"}, 421}, {"OPTIONS", []string{"Host: evil.example"}, 421},
	} {
		path := "/v1/" + root + "/c"
		if tc.method == "PATCH" || tc.method == "DELETE" {
			path += "/x"
		}
		a := ask(t, tc.method, base+path, "", tc.headers...)
		method, _, _ := l.asked()
		if a.StatusCode != tc.status || (method != "") != (tc.status == 200) {
			t.Errorf("%s with %q: %s, reached %q; want %d", tc.method, tc.headers, a.Status, method, tc.status)
		}
		origin := a.Request.Header.Get("Origin")
		want := ""
		if origin != "" && (tc.status == 200 || origin == page[8:] || origin == "https://app.example.com") && len(a.Request.Header.Values("Origin")) == 1 && tc.status != 421 {
			want = origin // those who may ask can read why they may not ask like this
		}
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s with %q: allowed origin %q; want %q", tc.method, tc.headers, got, want)
		}
		if !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s with %q: Vary is %q", tc.method, tc.headers, a.Header.Values("Vary"))
		}
	}
}

func TestPreflight(t *testing.T) {
	var l listener
	url := open(t, l.server()) + "/v1/" + root + ":commit"
	a := ask(t, "OPTIONS", url, "", "Origin: http://localhost:3000", "Access-Control-Request-Method: POST",
		"Access-Control-Request-Headers: authorization,x-goog-api-client", "Access-Control-Request-Private-Network: true")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "http://localhost:3000", "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
		"Access-Control-Allow-Headers": "authorization,x-goog-api-client", "Access-Control-Max-Age": "7200",
		"Access-Control-Allow-Private-Network": "true", "Access-Control-Allow-Credentials": "true",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	if a.StatusCode != 204 || a.body != "" {
		t.Errorf("got %s %s", a.Status, a.body)
	}
	a = ask(t, "OPTIONS", url, "", "Origin: http://evil.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true")
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("a stranger gets %s: %s", name, a.Header.Get(name))
		}
	}
	wantError(t, a, 403, "PERMISSION_DENIED", "--allow-origin")
	if method, _, _ := l.asked(); method != "" {
		t.Errorf("a question reached %s", method)
	}
}

func TestCheck(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "http://192.0.2.1:80": true, "https://a:1": true,
		"": false, "*": false, "https://*.example.com": false, "app.example.com": false, "https://app.example.com/": false, "https://APP.example.com": false,
		"https://u@app.example.com": false, "https://app.example.com?x": false, "null": false, "https://": false,
	} {
		if err := (Origins{Allowed: []string{origin}}).Check(); (err == nil) != ok || !ok && atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q: %v", origin, err)
		}
	}
}
