package accounts_test

import (
	"fmt"
	"testing"

	"atoll"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// database opens a database and returns its directory.
func (w *world) database() atoll.CanisterID {
	w.Helper()
	out := w.settle(w.block(w.open("a")...))
	var e accounts.Entry
	if len(out) != 1 || out[0].Err != nil || wire.Unmarshal(out[0].Payload, &e) != nil {
		w.Fatalf("%+v", out)
	}
	return e.Directory
}

// set sets the indexes in somebody's name and returns the one outcome.
func (w *world) set(to atoll.CanisterID, who atoll.Principal, req directory.SetIndexesRequest) (directory.Indexes, error) {
	w.Helper()
	m := w.message(who, directory.MethodSetIndexes, req)
	m.To = []atoll.CanisterID{to}
	return w.outcome(w.settle(w.block(m)))
}

func (w *world) outcome(out []atoll.Outcome) (set directory.Indexes, err error) {
	w.Helper()
	if len(out) != 1 {
		w.Fatalf("%d outcomes", len(out))
	}
	if out[0].Err != nil {
		return set, out[0].Err
	}
	return set, wire.Unmarshal(out[0].Payload, &set)
}

// askAs asks in somebody's name.
func (w *world) askAs(to atoll.CanisterID, who atoll.Principal, method string, reply any) error {
	raw, err := subnet.Query(w.programs, w.store, w.m.Head(), to, atoll.Question{Caller: who, Method: method})
	if err != nil {
		return err
	}
	return wire.Unmarshal(raw, reply)
}

func index(collection string, fields ...string) shard.CompositeIndex {
	x := shard.CompositeIndex{Collection: collection}
	for _, f := range fields {
		x.Fields = append(x.Fields, shard.IndexedPart{Field: f})
	}
	return x
}

func TestSetIndexes(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	dir := w.database()
	ids := func(set directory.Indexes) (all []uint32) {
		for _, c := range set.Config.Composites {
			all = append(all, c.ID)
		}
		return all
	}
	steps := []struct {
		composites []shard.CompositeIndex
		want       string
	}{
		{[]shard.CompositeIndex{index("c", "a", "b"), index("c", "b", "a")}, "[16 17]"},
		{[]shard.CompositeIndex{index("d", "a", "b"), index("c", "b", "a", "__name__")}, "[18 17]"}, // one kept, one new
		{[]shard.CompositeIndex{index("c", "a", "b")}, "[19]"},                                      // no number comes again
		{nil, "[]"},
	}
	for i, s := range steps {
		set, err := w.set(dir, directory.Administrator, directory.SetIndexesRequest{Config: shard.IndexConfig{Composites: s.composites, Version: 77}})
		if err != nil || fmt.Sprint(ids(set)) != s.want || set.Config.Version != uint64(i+1) || set.Pending {
			t.Fatalf("step %d: %+v, %v; want %s", i, set, err, s.want)
		}
		var listed directory.Indexes
		if err := w.askAs(dir, directory.Administrator, directory.MethodIndexes, &listed); err != nil || fmt.Sprint(listed) != fmt.Sprint(set) {
			t.Errorf("listed are %+v, %v; want %+v", listed, err, set)
		}
		var m directory.Map
		var status shard.IndexStatus
		if err := w.query(dir, directory.MethodMap, directory.MapRequest{}, &m); err != nil {
			t.Fatal(err)
		}
		if err := w.askAs(m.Ranges[0].Shard, atoll.Management, shard.MethodIndexStatus, &status); err != nil || status.Version != uint64(i+1) {
			t.Errorf("the shard is at version %d, %v", status.Version, err)
		}
	}
}

func TestSetIndexesRefuses(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	dir := w.database()
	for _, who := range []atoll.Principal{atoll.Anonymous, "user\x02", dir} {
		if _, err := w.set(dir, who, directory.SetIndexesRequest{}); atoll.KindOf(err) != atoll.PermissionDenied {
			t.Errorf("%s may set indexes: %v", who, err)
		}
		if err := w.askAs(dir, who, directory.MethodIndexes, new(directory.Indexes)); atoll.KindOf(err) != atoll.PermissionDenied {
			t.Errorf("%s may see indexes: %v", who, err)
		}
	}
	if _, err := w.set(dir, directory.Administrator, directory.SetIndexesRequest{Config: shard.IndexConfig{Composites: []shard.CompositeIndex{index("c", "a")}}}); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("an index of one field: %v", err)
	}
	zero, one := uint64(0), uint64(1)
	if _, err := w.set(dir, directory.Administrator, directory.SetIndexesRequest{IfVersion: &zero}); err != nil {
		t.Error(err)
	}
	if _, err := w.set(dir, directory.Administrator, directory.SetIndexesRequest{IfVersion: &zero}); atoll.KindOf(err) != atoll.Aborted {
		t.Errorf("a change of an old version: %v", err)
	}
	if set, err := w.set(dir, directory.Administrator, directory.SetIndexesRequest{IfVersion: &one}); err != nil || set.Config.Version != 2 {
		t.Errorf("%+v, %v", set, err)
	}
}

// TestSetIndexesAgain repeats one message, and sends two at once.
func TestSetIndexesAgain(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	dir := w.database()
	zero := uint64(0)
	m := w.message(directory.Administrator, directory.MethodSetIndexes, directory.SetIndexesRequest{IfVersion: &zero})
	m.To = []atoll.CanisterID{dir}
	other := w.message(directory.Administrator, directory.MethodSetIndexes, directory.SetIndexesRequest{})
	other.To = m.To
	out := w.settle(w.block(m, m, other))
	if len(out) != 3 {
		t.Fatalf("%d outcomes", len(out))
	}
	for _, o := range out {
		if o.ID == m.ID && o.Err != nil || o.ID == other.ID && (o.Err == nil || o.Err.Kind != atoll.Unavailable) {
			t.Errorf("%s: %v", o.ID, o.Err)
		}
	}
	if set, err := w.outcome(w.settle(w.block(m))); err != nil || set.Config.Version != 1 {
		t.Errorf("the change sent again: %+v, %v", set, err)
	}
}
