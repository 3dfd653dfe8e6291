package host_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// ready waits until all indexes are, and returns them.
func ready(t *testing.T, h *host.Host) route.IndexSet {
	t.Helper()
	administrator := route.Caller{Principal: route.Administrator}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		set, err := h.Router.Indexes(context.Background(), db, administrator)
		if err != nil {
			t.Fatal(err)
		}
		done := true
		for _, c := range set.Composites {
			done = done && c.State == shard.IndexReady
		}
		for _, f := range set.Fields {
			done = done && f.State == shard.IndexReady
		}
		if done {
			return set
		}
		if time.Now().After(deadline) {
			t.Fatalf("the indexes are not ready: %+v", set)
		}
	}
}

// TestIndexesAreBuiltWhileServing sets indexes on a running installation that is
// written to and restarted meanwhile.
func TestIndexesAreBuiltWhileServing(t *testing.T) {
	ctx := context.Background()
	anybody, administrator := route.Caller{Principal: atoll.Anonymous}, route.Caller{Principal: route.Administrator}
	opt := host.Options{Dir: t.TempDir(), CollectEvery: 10 * time.Millisecond}
	h := start(t, opt)
	write := func(h *host.Host, n int) {
		var writes []shard.Write
		for i := range 100 {
			v := value.Map(value.Field{Name: "a", Value: value.Int(int64(i % 3))}, value.Field{Name: "b", Value: value.Int(int64(n*100 + i))})
			writes = append(writes, shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%02d-%02d", n%40, i)), Doc: value.AppendDocument(nil, v)})
		}
		if _, err := h.Router.Commit(ctx, db, writes, route.NewRequestID(), anybody); err != nil {
			t.Error(err)
		}
	}
	for n := range 40 {
		write(h, n)
	}
	spec := shard.IndexConfig{
		Composites: []shard.CompositeIndex{{Collection: "c", Fields: []shard.IndexedPart{{Field: "a"}, {Field: "b", Desc: true}}}},
		Exempt:     []shard.FieldIndex{{Collection: "c", Field: "b", Off: true}},
	}
	if _, err := h.Router.SetIndexes(ctx, db, spec, anybody); atoll.KindOf(err) != atoll.PermissionDenied {
		t.Fatalf("anybody may set indexes: %v", err)
	}
	if set, err := h.Router.SetIndexes(ctx, db, spec, administrator); err != nil || set.Config.Composites[0].ID != shard.FirstComposite {
		t.Fatalf("%+v, %v", set, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 10 {
			write(h, 20+n)
		}
	})
	wg.Wait()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = start(t, opt)
	if set := ready(t, h); set.Composites[0].Documents == 0 || set.Composites[0].Entries == 0 {
		t.Errorf("the build counts nothing: %+v", set.Composites)
	}
	one := value.EncodeValue(value.Int(1))
	q := query.Query{Collection: "c", Where: &query.Filter{Op: query.Equal, Field: "a", Value: one}, Order: []query.Order{{Field: "b", Desc: true}}}
	last, n := int64(1<<62), 0
	result, err := h.Router.Query(ctx, db, q, route.QueryOptions{Explain: true}, anybody, func(_ atoll.Time, f *shard.Found) error {
		v, err := value.DecodeDocument(f.Doc)
		if err != nil {
			return err
		}
		b, _ := v.Get("b")
		if b.Int() > last {
			t.Errorf("%s comes behind %d", f.Path, last)
		}
		last = b.Int()
		n++
		return nil
	})
	if err != nil || n != 40*33 {
		t.Errorf("%d documents of %d by %s, %v", n, 40*33, result.Stats.Plan, err)
	}
	if _, err := h.Router.ChangeIndexes(ctx, db, 0, shard.IndexConfig{}, administrator); atoll.KindOf(err) != atoll.Aborted {
		t.Errorf("a change of an old version: %v", err)
	}
	if _, err := h.Router.ChangeIndexes(ctx, db, 1, shard.IndexConfig{}, administrator); err != nil {
		t.Error(err)
	}
	if set := ready(t, h); len(set.Composites)+len(set.Fields) != 0 {
		t.Errorf("after all: %+v", set)
	}
}
