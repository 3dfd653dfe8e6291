package route

import (
	"errors"
	"testing"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
)

// TestQueryAsksBeforeEachPage has queries and sums over three ranges, in pages
// of one document, ask before every page, and end where they are told to.
func TestQueryAsksBeforeEachPage(t *testing.T) {
	w := newWorld()
	three(w)
	w.pageSize = 1
	r := newRouter(t, w)
	for i, id := range []string{"a", "b", "i", "j", "q", "r"} {
		if _, err := r.Commit(t.Context(), app, numbered(atoll.Path("c/"+id), int64(i)), NewRequestID(), user); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough")
	q := normal(t, query.Query{Collection: "c"})
	count := []query.Aggregate{{Op: query.Count}}
	for name, run := range map[string]func(QueryOptions) error{
		"query": func(o QueryOptions) error {
			_, err := r.Query(t.Context(), app, q, o, user, func(atoll.Time, *shard.Found) error { return nil })
			return err
		},
		"aggregate": func(o QueryOptions) error {
			_, _, err := r.Aggregate(t.Context(), app, q, count, o, user)
			return err
		},
	} {
		var pages int
		for _, stopAt := range []int{0, 1, 4} {
			var asked []shard.QueryStats
			w.asked = nil
			err := run(QueryOptions{Allow: func(st shard.QueryStats) error {
				if asked = append(asked, st); stopAt == len(asked) {
					return enough
				}
				return nil
			}})
			if stopAt == 0 {
				pages = len(w.asked)
				if err != nil || pages < 6 || len(asked) != pages {
					t.Errorf("%s: asked %d times for %d pages; %v", name, len(asked), pages, err)
				}
				continue
			}
			if err != enough || len(w.asked) != stopAt-1 {
				t.Errorf("%s ended with %v after %d pages; it was told to after %d", name, err, len(w.asked), stopAt-1)
			}
			if last := asked[len(asked)-1].Seeks; name == "query" && last != stopAt-1 {
				t.Errorf("%s was told of %d seeks before page %d", name, last, stopAt)
			}
		}
	}
}
