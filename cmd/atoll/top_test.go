package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"atoll/gateway/account"
)

// TestTopTable writes a table at 80 columns with the largest figures there are:
// no line is wider, and the columns stay under their heads.
func TestTopTable(t *testing.T) {
	huge := account.Costs{Count: 1 << 62, Errors: 1 << 62, Keys: 1 << 62, DocumentsRead: 1 << 62, DocumentsWritten: 1 << 62}
	r := &account.Report{Now: 90_000, Started: 0, Total: huge, Load: 1e15, Tracked: 1000, Limit: 1000, Evicted: 1 << 60, OverBudget: map[string]uint64{"keys": 7}}
	r.Shapes = []account.Shape{
		{Method: "RunAggregationQuery", Text: strings.Repeat("a where b == ? ", 20), Costs: huge, Load: 1e15, P50Micros: 1 << 32, P99Micros: 1 << 32},
		{Method: "RunQuery", Text: "cities", Costs: account.Costs{Count: 1500, Keys: 3000, DocumentsRead: 1500}, Load: 250_000, P50Micros: 950, P99Micros: 12_345},
	}
	lines := strings.Split(topTable(r, "load", 80, 1000), "\n")
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if want := "   250   1.5k     0  950us   12ms      2      1 RunQuery cities"; lines[5] != want {
		t.Errorf("got  %q\nwant %q", lines[5], want)
	}
	if at := strings.Index(lines[3], "REQUEST"); strings.Index(lines[4], "RunAgg") != at {
		t.Errorf("columns are out of place:\n%s\n%s", lines[3], lines[4])
	}
	if n := strings.Count(topTable(r, "load", 80, 1), "\n"); n != 5 {
		t.Errorf("a table of one shape has %d lines", n)
	}
}
