package admin

import "net/http"

// Programs serves the part of the door that programs elsewhere may use, the
// change feed and the accounts (/v1/tail, /v1/top), to those whom may lets in:
// its error is the answer to all others. It is for a port with TLS. What is
// asked for by a page is refused, so nothing but the header with a key lets
// anybody in.
func (d *Door) Programs(may func(*http.Request) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/tail", d.tail)
	mux.HandleFunc("GET /v1/top", d.top)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			d.refused.Add(1)
			http.Error(w, "this is not for pages", http.StatusForbidden)
			return
		}
		if err := may(r); err != nil {
			fail(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// OwnsProgram reports whether a request is for Programs.
func OwnsProgram(r *http.Request) bool {
	return r.URL.Path == "/v1/tail" || r.URL.Path == "/v1/top"
}
