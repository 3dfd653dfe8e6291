package rest

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"atoll"
)

// Origins say who may ask this door through a browser. Without a browser
// nothing here keeps anybody out: that is for the token.
//
// Always allowed are pages of this machine (origins whose host is localhost, a
// name below it, or a loopback address), and only under a name of this machine
// or one of Hosts, so that a stranger's name that leads here (DNS rebinding) is
// of no use. A request of a page that is not the door's own must also carry
// something that makes the browser ask for leave first.
type Origins struct {
	// Allowed are further origins, such as https://app.example.com:8443.
	Allowed []string
	// Hosts are further names under which the door may be asked, without port.
	Hosts []string
}

// Check fails with Invalid if an origin is malformed.
func (o Origins) Check() error {
	for _, a := range o.Allowed {
		u, err := url.Parse(a)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != a || strings.ToLower(a) != a || strings.Contains(a, "*") {
			return atoll.Errorf(atoll.Invalid, "%.200q is not an origin: it has the form https://name or https://name:port, in lower case", a)
		}
	}
	return nil
}

// local reports whether a name or address is of this machine alone, whoever
// resolves it.
func local(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}

// host reports whether a Host header is a name of this door.
func (o Origins) host(header string) bool {
	name, _, err := net.SplitHostPort(header)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return local(name) || slices.ContainsFunc(o.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// allows reports whether pages of an origin may ask.
func (o Origins) allows(origin string) bool {
	if slices.Contains(o.Allowed, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Scheme+"://"+u.Host == origin && local(u.Hostname())
}

// admit decides whether a request may go on, and answers it if not: refused, or
// the question of a browser whether a page may ask.
func (d *Door) admit(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	if !d.origins.host(r.Host) {
		d.metrics.refused.WithLabelValues(refusedHost).Inc()
		d.refuse(w, http.StatusMisdirectedRequest, "this node is not called "+clip(r.Host)+"; ask for localhost")
		return false
	}
	origins := r.Header.Values("Origin")
	own := len(origins) == 1 && (origins[0] == "http://"+r.Host || origins[0] == "https://"+r.Host)
	switch {
	case len(origins) == 0 && otherSite(r):
		return d.stranger(w, "a page of another site")
	case len(origins) > 0 && !own && (len(origins) > 1 || !d.origins.allows(origins[0])):
		return d.stranger(w, "pages of "+clip(origins[0]))
	case len(origins) == 1:
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if r.Method == http.MethodOptions {
		preflight(h, r)
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	if len(origins) == 1 && !own && !needsLeave(r) {
		d.metrics.refused.WithLabelValues(refusedOrigin).Inc()
		d.refuse(w, http.StatusForbidden, "a page must send the header Authorization, or Content-Type: application/json, "+
			"so that the browser asks for leave first")
		return false
	}
	return true
}

func (d *Door) stranger(w http.ResponseWriter, who string) bool {
	d.metrics.refused.WithLabelValues(refusedOrigin).Inc()
	d.refuse(w, http.StatusForbidden, who+" may not ask this node; the flag --allow-origin names origins that may")
	return false
}

// otherSite reports whether a browser says that a page of another origin asks.
// Links and pictures carry no Origin.
func otherSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// needsLeave reports whether a browser sends a request of another origin only
// after it has asked for leave (a CORS preflight): because of its method, or of
// a header that no browser adds by itself. Google's client for browsers sends
// its JSON as text/plain, but X-Goog-Api-Client with it.
func needsLeave(r *http.Request) bool {
	if r.Method == http.MethodPatch || r.Method == http.MethodDelete {
		return true
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && t == "application/json" {
		return true
	}
	for name := range r.Header {
		if slices.Contains(passed, name) || strings.HasPrefix(name, "X-Goog-") || strings.HasPrefix(name, "X-Firebase-") {
			return true
		}
	}
	return false
}

// preflight answers what a browser asks before it sends a page's request. The
// origin has been judged.
func preflight(h http.Header, r *http.Request) {
	h.Set("Allow", "GET, POST, PATCH, DELETE, OPTIONS")
	if r.Header.Get("Access-Control-Request-Method") == "" {
		return
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	// Browsers remember no longer than two hours.
	h.Set("Access-Control-Max-Age", "7200")
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
}
