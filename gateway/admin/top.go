package admin

import (
	"net/http"

	"atoll"
	"atoll/gateway/account"
)

// maxTop is how many shapes one answer of /v1/top may have, and topShapes how
// many it has if nobody says.
const (
	maxTop    = 1000
	topShapes = 100
)

// top answers with an account.Report: what requests cost, by their shape. The
// parameter "sort" is one of account.Orders, "load" if it is not given; "limit"
// is from 1 to maxTop; "database" tells of one alone, by its full name.
func (d *Door) top(w http.ResponseWriter, r *http.Request) {
	if d.accounts == nil {
		fail(w, atoll.Errorf(atoll.FailedPrecondition, "this node keeps no accounts"))
		return
	}
	by := r.FormValue("sort")
	if by == "" {
		by = "load"
	}
	limit, err := limitOf(r, topShapes, maxTop)
	var report account.Report
	if err == nil {
		report, err = d.accounts.Report(by, r.FormValue("database"), limit)
	}
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, report)
}
