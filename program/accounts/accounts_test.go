package accounts_test

import (
	"fmt"
	"testing"

	"atoll"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

var root = atoll.NewCanisterID(0, 1)

// world runs one subnet with the real programs, block by block.
type world struct {
	*testing.T
	programs map[string]subnet.Entry
	store    atoll.Store
	m        *subnet.Machine
	id       byte
}

func newWorld(t *testing.T, cycles uint64, programs ...string) *world {
	all := map[string]subnet.Entry{
		"accounts": {Program: accounts.Program{}}, "directory": {Program: directory.Program{}}, "shard": {Program: shard.New(), Ranges: true},
	}
	w := &world{T: t, store: mem.New(mem.WithSplit(keys.Split)), programs: map[string]subnet.Entry{"accounts": all["accounts"]}}
	for _, p := range programs {
		w.programs[p] = all[p]
	}
	m, err := subnet.Open(subnet.Config{Programs: w.programs}, w.store)
	if err != nil {
		t.Fatal(err)
	}
	w.m = m
	w.block(atoll.Message{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodGenesis,
		Payload: wire.Marshal(subnet.Genesis{Canisters: []subnet.GenesisCanister{{Program: "accounts", Cycles: cycles}}})})
	w.block(atoll.Message{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodActivate,
		Payload: wire.Marshal(subnet.ActivateRequest{Version: subnet.MaxSemantics})})
	return w
}

func (w *world) block(messages ...atoll.Message) []atoll.Outcome {
	w.Helper()
	h := w.m.Head()
	b := &atoll.Block{Height: h.Height + 1, Time: h.Time + 1000, Semantics: h.Semantics, Messages: messages, Seed: [16]byte{byte(h.Height)}}
	if h.Height == 0 {
		b.Supports = [2]atoll.Semantics{subnet.MinSemantics, subnet.MaxSemantics}
	}
	_, chain := h.Chain.Append(1, b)
	res, err := w.m.Execute(b, chain)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.store.Apply(res.Batch); err != nil {
		w.Fatal(err)
	}
	return res.Outcomes
}

func (w *world) message(from atoll.Principal, method string, payload any) atoll.Message {
	w.id++
	return atoll.Message{ID: atoll.RequestID{w.id}, From: from, To: []atoll.CanisterID{root}, Method: method, Payload: wire.Marshal(payload)}
}

func (w *world) open(names ...string) []atoll.Message {
	var out []atoll.Message
	for _, n := range names {
		out = append(out, w.message(atoll.Anonymous, accounts.MethodOpen, accounts.OpenRequest{Database: atoll.Database{Project: "p", ID: n}}))
	}
	return out
}

// settle runs blocks until no letter is under way.
func (w *world) settle(outcomes []atoll.Outcome) []atoll.Outcome {
	for w.m.Pending() {
		outcomes = append(outcomes, w.block()...)
	}
	return outcomes
}

func (w *world) query(to atoll.CanisterID, method string, req, reply any) error {
	raw, err := subnet.Query(w.programs, w.store, w.m.Head(), to, atoll.Question{Method: method, Payload: wire.Marshal(req)})
	if err != nil {
		return err
	}
	return wire.Unmarshal(raw, reply)
}

func TestOpenMakesADatabaseOnce(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	// Two ask in one block, one while it is being made, one afterwards.
	out := w.block(w.open("a", "a")...)
	out = append(out, w.block(w.open("a", "b")...)...)
	out = w.settle(out)
	out = append(out, w.settle(w.block(w.open("a")...))...)
	if len(out) != 5 {
		t.Fatalf("%d outcomes of 5", len(out))
	}
	seen := map[string]atoll.CanisterID{}
	for _, o := range out {
		var e accounts.Entry
		if o.Err != nil || wire.Unmarshal(o.Payload, &e) != nil {
			t.Fatalf("%+v", o)
		}
		if was, ok := seen[e.Database.ID]; ok && was != e.Directory {
			t.Errorf("database %s has two directories", e.Database.ID)
		}
		seen[e.Database.ID] = e.Directory
	}
	families := map[shard.Family]bool{}
	for id, dir := range seen {
		var m directory.Map
		if err := w.query(dir, directory.MethodMap, directory.MapRequest{}, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Ranges) != 1 || m.Version != 1 || m.Incarnation == [16]byte{} {
			t.Fatalf("the map of %s: %+v", id, m)
		}
		d := m.Ranges[0]
		if families[d.Family] || d.Family == 0 || d.Database.ID != id || d.Epoch != 1 || len(d.Start)+len(d.End) != 0 {
			t.Errorf("the range of %s: %+v", id, d)
		}
		families[d.Family] = true
		var st shard.Status
		if err := w.query(d.Shard, shard.MethodStatus, struct{}{}, &st); err != nil || len(st.Ranges) != 1 {
			t.Errorf("the shard of %s: %+v, %v", id, st, err)
		}
	}
	var page, rest accounts.ListReply
	if err := w.query(root, accounts.MethodList, accounts.ListRequest{Limit: 1}, &page); err != nil || len(page.Entries) != 1 || !page.More || page.Entries[0].Database.ID != "a" {
		t.Errorf("%+v, %v", page, err)
	}
	if err := w.query(root, accounts.MethodList, accounts.ListRequest{After: page.Entries[0].Database, Limit: 9}, &rest); err != nil || len(rest.Entries) != 1 || rest.More {
		t.Errorf("%+v, %v", rest, err)
	}
}

func TestDatabasesAreLimited(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	if out := w.block(w.message(atoll.Anonymous, accounts.MethodConfigure, accounts.Config{Databases: 9})); atoll.KindOf(out[0].Err) != atoll.PermissionDenied {
		t.Errorf("a stranger configured: %v", out[0].Err)
	}
	if out := w.block(w.message(atoll.Management, accounts.MethodConfigure, accounts.Config{Databases: 3})); out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	for i := range 5 {
		out := w.settle(w.block(w.open(fmt.Sprint(i))...))
		want := atoll.OK
		if i >= 3 {
			want = atoll.ResourceExhausted
		}
		if len(out) != 1 || atoll.KindOf(errOf(out[0])) != want {
			t.Errorf("database %d: %+v", i, out)
		}
	}
	if out := w.block(w.open("x/y")...); atoll.KindOf(out[0].Err) != atoll.Invalid {
		t.Errorf("a bad name: %v", out[0].Err)
	}
}

func errOf(o atoll.Outcome) error {
	if o.Err == nil {
		return nil
	}
	return o.Err
}

// TestFailureIsToldAndForgotten lets each step of making a database fail: all
// who wait learn it, and the next one begins anew.
func TestFailureIsToldAndForgotten(t *testing.T) {
	for _, tc := range []struct {
		name     string
		cycles   uint64
		programs []string
		want     atoll.Kind
	}{
		{"no directory program", 1 << 62, []string{"shard"}, atoll.NotFound},
		{"no shard program", 1 << 62, []string{"directory"}, atoll.NotFound},
		{"no cycles", 1 << 40, []string{"directory", "shard"}, atoll.ResourceExhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.cycles, tc.programs...)
			for round := range 2 {
				out := w.settle(w.block(w.open("a", "a")...))
				if len(out) != 2 {
					t.Fatalf("round %d: %d outcomes of 2", round, len(out))
				}
				for _, o := range out {
					if atoll.KindOf(errOf(o)) != tc.want {
						t.Errorf("round %d: %v, want %v", round, o.Err, tc.want)
					}
				}
			}
			if err := w.query(root, accounts.MethodFind, accounts.OpenRequest{Database: atoll.Database{Project: "p", ID: "a"}}, new(accounts.Entry)); atoll.KindOf(err) != atoll.NotFound {
				t.Errorf("a database that was not made is found: %v", err)
			}
			a, err := subnet.NewAudit(w.store)
			for done := false; !done && err == nil; {
				done, err = a.Step(100)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDirectoryIsInitialisedOnce has strangers try to take a directory over.
func TestDirectoryIsInitialisedOnce(t *testing.T) {
	w := newWorld(t, 1<<62, "directory", "shard")
	out := w.settle(w.block(w.open("a")...))
	var e accounts.Entry
	if err := wire.Unmarshal(out[0].Payload, &e); err != nil {
		t.Fatal(err)
	}
	m := w.message(atoll.Anonymous, directory.MethodInit, directory.InitRequest{Database: e.Database})
	m.To = []atoll.CanisterID{e.Directory}
	if out := w.block(m); atoll.KindOf(out[0].Err) != atoll.PermissionDenied {
		t.Errorf("a stranger initialised a directory: %v", out[0].Err)
	}
	var dm directory.Map
	if err := w.query(e.Directory, directory.MethodMap, directory.MapRequest{}, &dm); err != nil {
		t.Fatal(err)
	}
	m = w.message(atoll.Anonymous, shard.MethodAssign, dm.Ranges[0])
	m.To = []atoll.CanisterID{dm.Ranges[0].Shard}
	if out := w.block(m); atoll.KindOf(out[0].Err) != atoll.PermissionDenied {
		t.Errorf("a stranger assigned a range: %v", out[0].Err)
	}
}
