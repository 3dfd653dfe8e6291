package firestore

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"atoll"
	"atoll/gateway/analytics"
	"atoll/query"
)

// FuzzGrouping throws requests at what reads them: nothing panics, errors say
// that the request is at fault, and what is accepted can be run.
func FuzzGrouping(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"aggregations": [{"count": {}}]}`,
		`{"parent": "projects/p/databases/d/documents", "structuredQuery": {"from": [{"collectionId": "c"}]}, "aggregations": [{"alias": "n", "count": {"upTo": "3"}}, {"min": {"field": {"fieldPath": "a.b"}}}], "groupBy": [{"fieldPath": "a"}, {"fieldPath": "` + "`x y`" + `"}], "orderBy": [{"alias": "n", "direction": "DESCENDING"}, {"field": {"fieldPath": "a"}}], "limit": 7, "readTime": "2026-01-02T03:04:05Z"}`,
		`{"aggregations": [{"alias": "field_1", "max": {"field": {"fieldPath": "a"}}}, {"avg": {"field": {"fieldPath": "a"}}}, {"sum": {}}], "limit": -1}`,
		`{"aggregations": [{"count": {"upTo": "-9223372036854775808"}}], "orderBy": [{}], "groupBy": [{}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req := new(analytics.AggregateRequest)
		if protojson.Unmarshal(b, req) != nil {
			return
		}
		g, err := toGrouping(req)
		if _, _, queryErr := toQuery(req.GetParent(), req.GetStructuredQuery()); queryErr != nil && atoll.KindOf(queryErr) != atoll.Invalid {
			t.Fatalf("%s: %v", b, queryErr)
		}
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatalf("%s: %v", b, err)
			}
			return
		}
		groups, err := query.NewGroups(g.Grouping)
		if err != nil {
			t.Fatalf("%s was accepted, and then: %v", b, err)
		}
		list, err := groups.Result(g.order, g.limit)
		if err != nil {
			t.Fatalf("%s was accepted, and then: %v", b, err)
		}
		for i := range list {
			if n := len(g.group(&list[i]).Aggregates); n != len(req.Aggregations) {
				t.Fatalf("%s: %d figures", b, n)
			}
		}
	})
}
