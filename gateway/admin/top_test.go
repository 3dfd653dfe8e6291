package admin_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"atoll/gateway/account"
)

// TestTop reads a document and finds that in the accounts.
func TestTop(t *testing.T) {
	w := newWorld(t, nil)
	w.set("c/d", `{"secret": 1}`)
	bearer := "Bearer " + w.token
	for range 2 {
		if res := w.do("GET", "/data/v1/"+db.String()+"/documents/c/d", "Authorization", bearer); res.StatusCode != http.StatusOK {
			t.Fatalf("reading a document: %s", res.Status)
		}
	}
	res := w.do("GET", "/v1/top?sort=count&limit=1&database="+db.String(), "Authorization", bearer)
	var r account.Report
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.Shapes) != 1 || r.Shapes[0].Method != "GetDocument" || r.Shapes[0].Text != "c/?" || r.Shapes[0].Count != 2 || r.Limit != account.DefaultLimit {
		t.Errorf("got %+v", r)
	}
	for _, query := range []string{"sort=size", "limit=0", "limit=1001", "limit=x"} {
		if res := w.do("GET", "/v1/top?"+query, "Authorization", bearer); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, res.Status)
		}
	}
}
