package route

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/keys"
	"atoll/program/shard"
)

func ids(docs []shard.Document) (out []string) {
	for _, d := range docs {
		out = append(out, d.Path.ID())
	}
	return out
}

func TestGetInOrderOfPathsAtOneTime(t *testing.T) {
	w := newWorld()
	three(w)
	w.pageSize = 2
	r := newRouter(t, w)
	first := mustCommit(t, r, "c/a", "c/i", "c/q")
	mustCommit(t, r, "c/b", "c/j")
	paths := []atoll.Path{"c/q", "c/b", "c/missing", "c/a", "c/j", "c/i", "c/z"}
	reply, err := r.Get(t.Context(), app, paths, 0, user)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range reply.Documents {
		exists := paths[i] != "c/missing" && paths[i] != "c/z"
		if d.Path != paths[i] || (d.Doc != nil) != exists {
			t.Errorf("place %d holds %s (%q); want %s", i, d.Path, d.Doc, paths[i])
		}
	}
	old, err := r.Get(t.Context(), app, paths, first.Time, user)
	if err != nil || old.Time != first.Time || old.Documents[1].Doc != nil || old.Documents[3].Doc == nil {
		t.Errorf("at the first commit: %+v, %v", old, err)
	}
}

func TestGetReadsAllRangesAtTheTimeOfTheFirst(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "c/a", "c/z")
	var times []atoll.Time
	err := r.Each(t.Context(), app, []atoll.Path{"c/a", "c/i", "c/z"}, 0, user, func(at atoll.Time, i int, d *shard.Document) error {
		times = append(times, at)
		if i == 0 { // a commit between the pages must stay invisible
			mustCommit(t, r, "c/i", "c/z")
		} else if i == 1 && d.Doc != nil {
			t.Error("a later commit is seen in the second range")
		}
		return nil
	})
	if err != nil || len(times) != 3 || times[0] != times[1] || times[1] != times[2] {
		t.Errorf("read at %v, %v; want one time", times, err)
	}
}

func TestGetOverSubnetsTakesTheLargestClock(t *testing.T) {
	for ahead := range atoll.SubnetID(3) {
		w := newWorld()
		w.layout(app, cut{"", 1, 0}, cut{"c/h", 2, 1}, cut{"c/p", 3, 2})
		w.lead[ahead] = 5000 // what was acknowledged there lies ahead of the other clocks
		r := newRouter(t, w)
		paths := []atoll.Path{"c/a", "c/i", "c/z"}
		for _, p := range paths {
			mustCommit(t, r, p)
		}
		reply, err := r.Get(t.Context(), app, paths, 0, user)
		for _, d := range reply.Documents {
			if err != nil || d.Doc == nil {
				t.Errorf("subnet %d ahead: got %+v, %v; want all acknowledged documents", ahead, reply, err)
			}
		}
	}
}

func TestListCountsAMissingDocumentOverSeveralRangesOnce(t *testing.T) {
	w := newWorld()
	w.layout(app, cut{"", 1, 0}, cut{"c/m/s/h", 2, 0}, cut{"c/m/s/p", 3, 0})
	r := newRouter(t, w)
	mustCommit(t, r, "c/a", "c/m/s/a")
	mustCommit(t, r, "c/m/s/i")
	mustCommit(t, r, "c/m/s/z", "c/z")
	page, err := r.List(t.Context(), app, shard.ListRequest{Collection: "c", Limit: 10, Missing: true}, user)
	if want := []string{"a", "m", "z"}; err != nil || !slices.Equal(ids(page.Documents), want) {
		t.Errorf("got %v, %v; want %v", ids(page.Documents), err, want)
	}
}

func TestEachStopsAtAnErrorOfTheReader(t *testing.T) {
	w := newWorld()
	w.layout(app, cut{"", 1, 0})
	w.pageSize = 1
	r := newRouter(t, w)
	stop := errors.New("enough")
	err := r.Each(t.Context(), app, []atoll.Path{"c/a", "c/b"}, 0, user, func(atoll.Time, int, *shard.Document) error { return stop })
	if err != stop {
		t.Errorf("got %v", err)
	}
}

func TestGetOfNothingTellsTheTime(t *testing.T) {
	for _, subnet := range []atoll.SubnetID{0, 1} {
		w := newWorld()
		w.layout(app, cut{"", 1, 0}, cut{"c/h", 2, subnet})
		w.lead[1] = 777
		reply, err := newRouter(t, w).Get(t.Context(), app, nil, 0, user)
		if want := w.now + w.lead[subnet]; err != nil || reply.Time != want {
			t.Errorf("got %v, %v; want %v", reply.Time, err, want)
		}
	}
}

func TestList(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "b/x", "c/a", "c/b", "c/i", "c/i/sub/n", "c/q", "c/z", "d/x")
	for _, pageSize := range []int{1, 2, 1000} {
		w.pageSize = pageSize
		for limit := 1; limit <= 6; limit++ {
			var got []string
			req := shard.ListRequest{Collection: "c", Limit: limit}
			for {
				page, err := r.List(t.Context(), app, req, user)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Documents) > limit {
					t.Errorf("limit %d: got %d documents", limit, len(page.Documents))
				}
				got = append(got, ids(page.Documents)...)
				if !page.More {
					break
				}
				req.After = got[len(got)-1]
			}
			if want := []string{"a", "b", "i", "q", "z"}; !slices.Equal(got, want) {
				t.Errorf("limit %d, pages of %d: got %v, want %v", limit, pageSize, got, want)
			}
		}
	}
}

func TestListAsksNoRangeThatCannotHoldTheCollection(t *testing.T) {
	w := newWorld()
	w.layout(app, cut{"", 1, 0}, cut{"b/a", 2, 0}, cut{"m/a", 3, 0})
	r := newRouter(t, w)
	mustCommit(t, r, "b/x", "c/x")
	w.asked = nil
	if _, err := r.List(t.Context(), app, shard.ListRequest{Collection: "c", Limit: 10}, user); err != nil {
		t.Fatal(err)
	}
	if want := []atoll.CanisterID{atoll.NewCanisterID(0, 102)}; !slices.Equal(w.asked, want) {
		t.Errorf("asked %v, want %v", w.asked, want)
	}
}

func TestCollections(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "a/x", "c/a", "c/z", "d/x", "c/i/s1/x", "c/i/s2/x")
	for _, c := range []struct {
		parent atoll.Path
		want   []string
	}{{"", []string{"a", "c", "d"}}, {"c/i", []string{"s1", "s2"}}, {"c/z", nil}} {
		for limit := 1; limit < 4; limit++ {
			var got []string
			req := shard.CollectionsRequest{Parent: c.parent, Limit: limit}
			for {
				page, err := r.Collections(t.Context(), app, req, user)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page.IDs...)
				if !page.More {
					break
				}
				req.After = got[len(got)-1]
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("below %q by %d: got %v, want %v", c.parent, limit, got, c.want)
			}
		}
	}
}

// TestFeedIsOneFeed reads the feeds of random layouts in random pages and
// wants every change once, in order.
func TestFeedIsOneFeed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		cuts := []cut{{"", 1, 0}}
		for i, before := range []atoll.Path{"c/d", "c/h", "c/m"} {
			if rapid.Bool().Draw(rt, "cut") {
				cuts = append(cuts, cut{before, uint32(i + 2), atoll.SubnetID(rapid.IntRange(0, 2).Draw(rt, "subnet"))})
			}
		}
		w.layout(app, cuts...)
		w.lead[1], w.lead[2] = 3, 1000
		r := New(Options{Node: w, Root: root})
		want := map[string]bool{}
		commits := rapid.IntRange(0, 12).Draw(rt, "commits")
		for range commits {
			p := atoll.Path(fmt.Sprintf("c/%c", rapid.IntRange('a', 'p').Draw(rt, "doc")))
			reply, err := r.Commit(t.Context(), app, set(p), NewRequestID(), user)
			if err != nil {
				rt.Fatal(err)
			}
			want[fmt.Sprint(reply.Time, p)] = true
		}
		w.now += 2000 // so that all subnets have closed what was committed
		w.pageSize = rapid.IntRange(1, 5).Draw(rt, "page")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		var at shard.FeedCursor
		for {
			page, err := r.Feed(t.Context(), app, at, limit, user)
			if err != nil {
				rt.Fatal(err)
			}
			if len(page.Changes) > limit {
				rt.Fatalf("%d changes on a page of %d", len(page.Changes), limit)
			}
			for _, c := range page.Changes {
				if compare(c.Cursor, at) <= 0 {
					rt.Fatalf("%v comes after %v", c.Cursor, at)
				}
				at = c.Cursor // must not fall within a page
				k := fmt.Sprint(c.Cursor.Time, c.Doc.Path)
				if !want[k] || !bytes.Equal(c.Cursor.Key, keys.DocKey(keys.Ordered, c.Doc.Path)) {
					rt.Fatalf("unexpected or repeated change %s", k)
				}
				delete(want, k)
			}
			if compare(page.Next, at) < 0 {
				rt.Fatalf("goes on at %v, before the last change %v", page.Next, at)
			}
			at = page.Next
			if !page.More {
				break
			}
		}
		if len(want) > 0 {
			rt.Fatalf("never told: %v", want)
		}
	})
}

func TestFeedTellsNothingBehindTheLeastClosedTime(t *testing.T) {
	w := newWorld()
	w.layout(app, cut{"", 1, 0}, cut{"c/h", 2, 1})
	w.lead[1] = 1000
	r := newRouter(t, w)
	mustCommit(t, r, "c/z") // at a time that subnet 0 has not closed
	page, err := r.Feed(t.Context(), app, shard.FeedCursor{}, 10, user)
	if err != nil || len(page.Changes) != 0 || page.Closed != w.now || page.Next.Time != w.now {
		t.Errorf("got %+v, %v; a change of subnet 0 could still come before it", page, err)
	}
}

func TestFeedLimit(t *testing.T) {
	for _, limit := range []int{0, -1, shard.MaxPage + 1} {
		if _, err := newRouter(t, newWorld()).Feed(t.Context(), app, shard.FeedCursor{}, limit, user); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("limit %d: got %v; want Invalid", limit, err)
		}
	}
}
