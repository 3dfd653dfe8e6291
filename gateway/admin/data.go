package admin

import (
	"net/http"
	"net/url"
	"strings"

	"atoll"
)

// dataPrefix begins the addresses under which the console reads, queries and
// writes documents; behind it comes an address of Firestore's REST interface.
const dataPrefix = "/data"

// inside are the headers by which a browser shows that it belongs to a session
// of this door, or says where the page stands. They end here: what lies behind
// acts for whoever this door lets in, and must not take them for its own.
var inside = []string{"Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"}

// ownsData reports whether a request is for documents. It looks at the path before
// a mux does, which would clean it and so change ids.
func ownsData(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, dataPrefix+"/") }

// passData has Options.Data answer a request of a session.
func (d *Door) passData(w http.ResponseWriter, r *http.Request) {
	if d.data == nil {
		fail(w, atoll.Errorf(atoll.NotFound, "this node shows documents here, and has no way to change them"))
		return
	}
	passed := r.Clone(r.Context())
	for _, name := range inside {
		passed.Header.Del(name)
	}
	passed.URL = &url.URL{
		Path: strings.TrimPrefix(r.URL.Path, dataPrefix), RawPath: strings.TrimPrefix(r.URL.RawPath, dataPrefix), RawQuery: r.URL.RawQuery,
	}
	d.data.ServeHTTP(w, passed)
}
