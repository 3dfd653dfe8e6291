package route

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// group answers as a shard does, by pages of documents.
func (w *world) group(to atoll.CanisterID, question atoll.Question) ([]byte, error) {
	var req shard.GroupRequest
	if err := wire.Unmarshal(question.Payload, &req); err != nil {
		return nil, err
	}
	d, err := w.target(to, req.Target, nil)
	if err != nil {
		return nil, err
	}
	at := req.At
	if at == 0 {
		at = w.now + w.lead[d.Subnet]
	}
	all, err := w.matching(d, &req.Query, at)
	if err != nil {
		return nil, err
	}
	all, _ = window(all, &req.Query)
	from := 0
	if len(req.After) > 0 {
		from = int(binary.BigEndian.Uint32(req.After))
	}
	n := min(len(all)-from, w.pageSize)
	groups, err := query.NewGroups(req.Grouping)
	if err != nil {
		return nil, err
	}
	for _, f := range all[from : from+n] {
		if err := groups.Add(query.Document{Path: f.Path, Doc: f.Doc}); err != nil {
			return nil, err
		}
	}
	reply := shard.GroupReply{Time: at, Groups: groups.Partial(), Stats: shard.QueryStats{Seeks: 1}}
	if from+n < len(all) {
		reply.Next = binary.BigEndian.AppendUint32(nil, uint32(from+n))
	}
	return wire.Marshal(reply), nil
}

// TestGroupsAreOne compares groups over random layouts with those of all
// documents, while ranges move.
func TestGroupsAreOne(t *testing.T) {
	grouping := query.Grouping{By: []string{"n"}, Figures: []query.Aggregate{{Op: query.Count}, {Op: query.Sum, Field: "n"}}}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.layout(app, cut{"", 1, 0})
		r := New(Options{Node: w, Root: root})
		q := normal(rt, query.Query{Collection: "c", Offset: rapid.IntRange(0, 2).Draw(rt, "offset"), Limit: rapid.IntRange(0, 6).Draw(rt, "limit")})
		want, err := query.NewGroups(grouping)
		if err != nil {
			rt.Fatal(err)
		}
		seen := 0
		for c := 'a'; c <= 'p'; c++ {
			n := rapid.Int64Range(-1, 4).Draw(rt, "n")
			if n < 0 {
				continue
			}
			writes := numbered(atoll.Path("c/"+string(c)), n)
			if _, err := r.Commit(t.Context(), app, writes, NewRequestID(), user); err != nil {
				rt.Fatal(err)
			}
			if seen++; seen > q.Offset && (q.Limit == 0 || seen <= q.Offset+q.Limit) {
				want.Add(query.Document{Path: writes[0].Path, Doc: writes[0].Doc})
			}
		}
		cuts := []cut{{"", 1, 0}}
		for i, before := range []atoll.Path{"c/d", "c/h", "c/m"} {
			if rapid.Bool().Draw(rt, "cut") {
				cuts = append(cuts, cut{before, uint32(i + 2), atoll.SubnetID(rapid.IntRange(0, 2).Draw(rt, "subnet"))})
			}
		}
		w.layout(app, cuts...)
		w.pageSize = rapid.IntRange(1, 5).Draw(rt, "page")
		pages, move := 0, rapid.IntRange(0, 6).Draw(rt, "move")
		o := QueryOptions{Allow: func(shard.QueryStats) error {
			if pages++; pages == move { // all ranges move, and what was summed up so far does not count
				w.layout(app, cuts...)
			}
			return nil
		}}
		got, result, err := r.Group(t.Context(), app, q, grouping, o, user)
		if err != nil {
			rt.Fatal(err)
		}
		if a, b := groupsText(rt, got), groupsText(rt, want); a != b || result.Time == 0 || result.Stats.Seeks == 0 {
			rt.Fatalf("%s, %+v; want %s", a, result, b)
		}
	})
}

func groupsText(t interface{ Fatal(...any) }, g *query.Groups) string {
	all, err := g.Result(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all)
}

// TestGroupsOfManyRangesAreLimited checks that what each range may return is
// not too much for all of them alone.
func TestGroupsOfManyRangesAreLimited(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	w.pageSize = 10_000
	grouping := query.Grouping{By: []string{"n"}, Figures: []query.Aggregate{{Op: query.Max, Field: "n"}}}
	q := normal(t, query.Query{Collection: "c"})
	long := make([]byte, query.MaxGroupBytes/5)
	for i, id := range []string{"a", "i", "q"} {
		long[0] = byte(i)
		doc := value.Encode(value.Map(value.Field{Name: "n", Value: value.Bytes(long)}))
		if _, err := r.Commit(t.Context(), app, []shard.Write{{Op: shard.OpSet, Path: atoll.Path("c/" + id), Doc: doc}}, NewRequestID(), user); err != nil {
			t.Fatal(err)
		}
		_, _, err := r.Group(t.Context(), app, q, grouping, QueryOptions{}, user)
		if want := i == 2; (atoll.KindOf(err) == atoll.ResourceExhausted) != want || err != nil && !want {
			t.Errorf("%d long groups: %v", i+1, err)
		}
	}
}

func TestUnreadableSumsAreDefects(t *testing.T) {
	if err := unreadable(atoll.Errorf(atoll.Invalid, "odd")); atoll.KindOf(err) != atoll.Internal {
		t.Error(err)
	}
	if err := unreadable(atoll.Errorf(atoll.ResourceExhausted, "many")); atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Error(err)
	}
}
