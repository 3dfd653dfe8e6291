package firestore

import (
	"net/http"

	"google.golang.org/grpc/codes"

	"atoll"
)

// Administrator fails unless a request over HTTP carries the administrator's
// key. Wrong keys count as failures of the address, and requests against the
// administrator's quota, as those for documents do.
func (g *Guard) Administrator(r *http.Request) error {
	address := ownPart(r.RemoteAddr)
	who, err := g.caller(r.Context(), r.Header.Get("Authorization"), address)
	if err == nil && who.Principal != Administrator {
		err = atoll.Errorf(atoll.Unauthenticated, `this is for the administrator: send the key that was printed at the node's first start as "authorization: Bearer {key}", or make a new one with "atoll admin-key rotate"`)
	}
	if err == nil {
		if wait, what := g.callers.spend(accountOf(who, address), 0); wait > 0 {
			g.refused.WithLabelValues(refusedCaller).Inc()
			err = later(wait, "you have used up your quota of "+what+" per second")
		}
	}
	if st := statusOf(err); st.Code() != codes.OK {
		return atoll.Errorf(atoll.Kind(st.Code()), "%s", st.Message())
	}
	return nil
}
