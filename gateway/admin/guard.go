package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets pages load what the door itself serves, and nothing else.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// guard refuses what could come from a page of somebody else.
func (d *Door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !d.ownHost(r.Host):
			d.refused.Add(1)
			http.Error(w, "this node is not called "+clip(r.Host)+"; use http://"+d.address, http.StatusMisdirectedRequest)
		case !sameOrigin(r):
			d.refused.Add(1)
			http.Error(w, "requests from other sites are refused", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "only GET, HEAD and POST are served here", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// clip keeps what a stranger sent short in an answer.
func clip(s string) string { return s[:min(len(s), 100)] }

// ownHost reports whether a Host header names this machine and the door's port.
func (d *Door) ownHost(header string) bool {
	host, port, err := net.SplitHostPort(header)
	if err != nil || port != d.port {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}

// sameOrigin reports whether a request comes from the door's own pages, from
// no page at all, or from somebody who follows a link to a page.
func sameOrigin(r *http.Request) bool {
	if origins, ok := r.Header["Origin"]; ok && (len(origins) != 1 || origins[0] != "http://"+r.Host) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document" && (r.URL.Path == "/" || r.URL.Path == "/login")
}

// cookie is the session's name. Cookies are shared by all ports of a host, so
// the port is part of the name: two nodes don't end each other's sessions.
func (d *Door) cookie() string { return "atoll_" + d.port }

// signed reports whether a request belongs to a session, or holds the token.
func (d *Door) signed(r *http.Request) bool {
	if header := r.Header.Get("Authorization"); header != "" {
		return d.keys.isToken(header)
	}
	for _, c := range r.CookiesNamed(d.cookie()) {
		if d.keys.isSession(c.Value) {
			return true
		}
	}
	return false
}

// private serves only those who are signed in.
func (d *Door) private(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.signed(r) {
			next(w, r)
			return
		}
		if wantsPage(r) {
			d.page(w, http.StatusUnauthorized, "signin", "", nil)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="atoll"`)
		writeError(w, http.StatusUnauthorized, "unauthenticated", "this needs a session or the token; see \"atoll console --help\"")
	})
}

// wantsPage reports whether a browser shows the answer to somebody.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// login begins a session. The answer is a page that goes on by itself and no
// redirect: after a link from another site a browser would not send the new
// cookie along.
func (d *Door) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD must not use the link up
		return
	}
	session, ok := d.keys.redeem(r.URL.Query().Get("code"))
	if !ok {
		d.page(w, http.StatusForbidden, "signin", "", "This link was used already, or is not of this node.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: d.cookie(), Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(sessionLife.Seconds()),
	})
	d.page(w, http.StatusOK, "welcome", "", nil)
}

// logout ends the session in this browser.
func (d *Door) logout(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: d.cookie(), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	d.page(w, http.StatusOK, "signin", "", "You have signed out.")
}

// link gives a new one-time link to whoever holds the token.
func (d *Door) link(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"link": d.Link()})
}
