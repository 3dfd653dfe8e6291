package subnet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"atoll"
	"atoll/kv/mem"
	"atoll/planted"
	"atoll/subnet"
	"atoll/wire"

	"pgregory.net/rapid"
)

// tester is a program that does what its messages say. Its state is a counter
// under "n" and a journal of replies under "r" + number.
type tester struct{}

type order struct {
	Add    uint64             `cbor:"1,keyasint,omitempty"`
	Fail   bool               `cbor:"2,keyasint,omitempty"` // after the counter was written
	Panic  bool               `cbor:"3,keyasint,omitempty"`
	Call   []atoll.CanisterID `cbor:"4,keyasint,omitempty"` // these, with Then
	Then   *order             `cbor:"5,keyasint,omitempty"`
	Cycles uint64             `cbor:"6,keyasint,omitempty"` // with each call
	Defer  bool               `cbor:"7,keyasint,omitempty"` // answer when the last call is answered
	Create string             `cbor:"8,keyasint,omitempty"`
	At     atoll.SubnetID     `cbor:"9,keyasint,omitempty"`
	Note   uint64             `cbor:"10,keyasint,omitempty"` // appended to "log"
}

func (tester) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	s := ctx.State()
	if in.IsReply {
		note := []byte("ok")
		if in.Err != nil {
			note = []byte(in.Err.Kind.String())
		}
		s.Set(append([]byte("r"), binary.BigEndian.AppendUint64(nil, uint64(in.Call))...), append(note, in.Payload...))
		if len(in.Tag) == 8 {
			return nil, ctx.Reply(atoll.CallID(binary.BigEndian.Uint64(in.Tag)), append(note, in.Payload...), nil)
		}
		return nil, nil
	}
	var o order
	if err := wire.Unmarshal(in.Payload, &o); err != nil {
		return nil, err
	}
	n := number(s) + o.Add
	s.Set([]byte("n"), binary.BigEndian.AppendUint64(nil, n))
	if o.Note != 0 {
		old, _, _ := s.Get([]byte("log"))
		s.Set([]byte("log"), fmt.Appendf(old[:len(old):len(old)], "%d ", o.Note))
	}
	var tag []byte
	if o.Defer {
		tag = binary.BigEndian.AppendUint64(nil, uint64(in.Call))
	}
	for i, to := range o.Call {
		var t []byte
		if i == len(o.Call)-1 {
			t = tag
		}
		if _, err := ctx.Call(to, "do", wire.Marshal(o.Then), o.Cycles, t); err != nil {
			return nil, err
		}
	}
	if o.Create != "" {
		if _, err := ctx.Call(subnet.ManagementOf(o.At), subnet.MethodCreate, wire.Marshal(subnet.CreateRequest{Program: o.Create}), o.Cycles, tag); err != nil {
			return nil, err
		}
	}
	switch {
	case o.Fail:
		return nil, atoll.Errorf(atoll.Aborted, "as ordered")
	case o.Panic:
		panic("as ordered")
	case o.Defer:
		return nil, atoll.ErrDeferred
	}
	return binary.BigEndian.AppendUint64(nil, n), nil
}

func (tester) UpdateJoint(ctxs []atoll.Context, in atoll.Input) ([]byte, error) {
	var o order
	if err := wire.Unmarshal(in.Payload, &o); err != nil {
		return nil, err
	}
	for _, ctx := range ctxs {
		ctx.State().Set([]byte("n"), binary.BigEndian.AppendUint64(nil, number(ctx.State())+o.Add))
	}
	if o.Fail {
		return nil, atoll.Errorf(atoll.Aborted, "as ordered")
	}
	return nil, nil
}

func (tester) Query(v atoll.View, q atoll.Question) ([]byte, error) {
	got, _, err := v.State().Get([]byte(q.Method))
	return got, err
}

func number(r atoll.Reader) uint64 {
	b, ok, _ := r.Get([]byte("n"))
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

var programs = map[string]subnet.Entry{"tester": {Program: tester{}}}

// world is a machine with its store.
type world struct {
	t     testing.TB
	cfg   subnet.Config
	store atoll.Store
	m     *subnet.Machine
	now   atoll.Time
	id    byte
}

func newWorld(t testing.TB, cfg subnet.Config, canisters int) *world {
	t.Helper()
	cfg.Programs = programs
	w := &world{t: t, cfg: cfg, store: mem.New(), now: 1_000_000}
	w.open()
	g := subnet.Genesis{}
	for range canisters {
		g.Canisters = append(g.Canisters, subnet.GenesisCanister{Program: "tester", Cycles: 1 << 40})
	}
	out := w.run(atoll.Block{Supports: [2]atoll.Semantics{subnet.MinSemantics, subnet.MaxSemantics}, Messages: []atoll.Message{
		{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodGenesis, Payload: wire.Marshal(g)}}})
	if out.Outcomes[0].Err != nil {
		t.Fatal(out.Outcomes[0].Err)
	}
	return w
}

func (w *world) open() {
	m, err := subnet.Open(w.cfg, w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	w.m = m
}

// run executes a block at the next time and applies it.
func (w *world) run(b atoll.Block) *subnet.Result {
	w.t.Helper()
	h := w.m.Head()
	w.now += 1_000
	b.Height, b.Time, b.Reserved, b.Semantics = h.Height+1, max(w.now, h.Time+1), w.now+1_000, h.Semantics
	raw, _ := h.Chain.Append(1, &b)
	decoded, chain, ok, err := h.Chain.Follow(raw)
	if err != nil || !ok {
		w.t.Fatalf("our own record does not chain: %v %v", ok, err)
	}
	res, err := w.m.Execute(decoded, chain)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.Apply(res.Batch); err != nil {
		w.t.Fatal(err)
	}
	return res
}

func (w *world) message(o order, to ...atoll.CanisterID) atoll.Message {
	w.id++
	return atoll.Message{ID: atoll.RequestID{w.id}, From: atoll.Anonymous, To: to, Method: "do", Payload: wire.Marshal(o)}
}

func (w *world) send(o order, to ...atoll.CanisterID) *subnet.Result {
	w.t.Helper()
	return w.run(atoll.Block{Messages: []atoll.Message{w.message(o, to...)}})
}

func (w *world) settle() (outcomes []atoll.Outcome) {
	w.t.Helper()
	for n := 0; w.m.Pending(); n++ {
		if n > 100 {
			w.t.Fatal("letters never end")
		}
		outcomes = append(outcomes, w.run(atoll.Block{}).Outcomes...)
	}
	return outcomes
}

func (w *world) get(id atoll.CanisterID, key string) []byte {
	w.t.Helper()
	got, err := subnet.Query(programs, w.store, w.m.Head(), id, atoll.Question{Method: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) count(id atoll.CanisterID) uint64 {
	w.t.Helper()
	if b := w.get(id, "n"); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (w *world) audit() error {
	a, err := subnet.NewAudit(w.store)
	for done := false; !done && err == nil; {
		done, err = a.Step(7)
	}
	return err
}

func (w *world) mustAudit() {
	w.t.Helper()
	if err := w.audit(); err != nil {
		w.t.Fatal(err)
	}
}

func can(n uint32) atoll.CanisterID { return atoll.NewCanisterID(0, n) }

func TestFailedMessagesAreRolledBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    order
		want atoll.Kind
	}{
		{"error", order{Add: 5, Fail: true, Call: []atoll.CanisterID{can(2)}, Then: &order{Add: 1}, Cycles: 10}, atoll.Aborted},
		{"panic", order{Add: 5, Panic: true}, atoll.Panicked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, subnet.Config{}, 2)
			w.send(order{Add: 1}, can(1))
			res := w.send(tc.o, can(1))
			if got := atoll.KindOf(res.Outcomes[0].Err); got != tc.want {
				t.Errorf("outcome is %v, want %v", got, tc.want)
			}
			if w.m.Pending() || w.count(can(1)) != 1 || w.count(can(2)) != 0 {
				t.Errorf("something stayed of a failed message: pending %v, counters %d and %d", w.m.Pending(), w.count(can(1)), w.count(can(2)))
			}
			w.mustAudit()
		})
	}
}

func TestCallsAndReplies(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 2)
	res := w.send(order{Call: []atoll.CanisterID{can(2)}, Then: &order{Add: 7}, Cycles: 1000, Defer: true}, can(1))
	if len(res.Outcomes) != 0 {
		t.Fatalf("a deferred message was answered at once: %+v", res.Outcomes)
	}
	out := w.settle()
	if len(out) != 1 || out[0].ID != (atoll.RequestID{w.id}) || !strings.HasPrefix(string(out[0].Payload), "ok") {
		t.Fatalf("outcomes %+v", out)
	}
	if w.count(can(2)) != 7 {
		t.Errorf("the callee's counter is %d", w.count(can(2)))
	}
	w.mustAudit()

	// Nobody there, a failing callee, a panicking one: the caller learns it
	// and has its cycles back.
	for _, tc := range []struct {
		to   atoll.CanisterID
		then order
		want string
	}{
		{can(99), order{}, "not found"},
		{can(2), order{Fail: true}, "aborted"},
		{can(2), order{Panic: true}, "panicked"},
	} {
		w.send(order{Call: []atoll.CanisterID{tc.to}, Then: &tc.then, Cycles: 1 << 30, Defer: true}, can(1))
		if out := w.settle(); len(out) != 1 || string(out[0].Payload) != tc.want {
			t.Errorf("outcome %+v, want %q", out, tc.want)
		}
		w.mustAudit()
	}
	infos, err := subnet.Canisters(w.store, "", 10)
	if err != nil || len(infos) != 2 || infos[0].Cycles < 1<<39 || infos[0].Open != 0 || infos[0].Deferred != 0 {
		t.Errorf("canisters %+v, %v", infos, err)
	}
}

func TestJointMessage(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 3)
	w.send(order{Add: 3}, can(1), can(3))
	w.send(order{Add: 3, Fail: true}, can(1), can(3))
	if w.count(can(1)) != 3 || w.count(can(2)) != 0 || w.count(can(3)) != 3 {
		t.Errorf("counters %d %d %d", w.count(can(1)), w.count(can(2)), w.count(can(3)))
	}
	for _, to := range [][]atoll.CanisterID{{can(1), can(1)}, {can(1), can(9)}, {can(1), atoll.Management}, {}} {
		if res := w.run(atoll.Block{Messages: []atoll.Message{w.message(order{Add: 1}, to...)}}); res.Outcomes[0].Err == nil {
			t.Errorf("a joint message to %q was executed", to)
		}
	}
	w.mustAudit()
}

func TestQueueLimit(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 3)
	flood := order{Then: &order{Add: 1}}
	for range subnet.MaxQueued/2 + 50 {
		flood.Call = append(flood.Call, can(2))
	}
	res := w.run(atoll.Block{Messages: []atoll.Message{w.message(flood, can(1)), w.message(flood, can(3))}})
	if res.Outcomes[0].Err != nil || res.Outcomes[1].Err != nil {
		t.Fatalf("%+v", res.Outcomes)
	}
	w.settle()
	if got := w.count(can(2)); got != subnet.MaxQueued {
		t.Errorf("%d requests were taken; the queue's limit is %d", got, subnet.MaxQueued)
	}
	w.mustAudit()
	var many order
	for range subnet.MaxOpenCalls + 1 {
		many.Call = append(many.Call, can(2))
	}
	many.Then = &order{}
	if res := w.send(many, can(1)); atoll.KindOf(res.Outcomes[0].Err) != atoll.ResourceExhausted {
		t.Errorf("a canister opened %d calls: %v", len(many.Call), res.Outcomes[0].Err)
	}
}

func TestEmptyAccountRefusesWrites(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 2)
	w.send(order{Add: 1}, can(1))
	// Give everything but a little away.
	infos, _ := subnet.Canisters(w.store, "", 1)
	w.send(order{Call: []atoll.CanisterID{can(2)}, Then: &order{}, Cycles: infos[0].Cycles - 3000}, can(1))
	w.settle()
	res := w.send(order{Add: 1}, can(1))
	if atoll.KindOf(res.Outcomes[0].Err) != atoll.ResourceExhausted {
		t.Errorf("outcome %+v", res.Outcomes[0])
	}
	if w.count(can(1)) != 1 {
		t.Error("the canister's state was lost or changed")
	}
	w.run(atoll.Block{Messages: []atoll.Message{{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodMint, Payload: wire.Marshal(subnet.MintRequest{Canister: can(1), Cycles: 1 << 30})}}})
	if res := w.send(order{Add: 1}, can(1)); res.Outcomes[0].Err != nil || w.count(can(1)) != 2 {
		t.Errorf("after the top-up: %+v", res.Outcomes[0])
	}
	w.mustAudit()
}

func TestManagementIsGuarded(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 1)
	for _, tc := range []struct {
		method  string
		payload any
		want    atoll.Kind
	}{
		{subnet.MethodMint, subnet.MintRequest{Canister: can(1), Cycles: 1}, atoll.PermissionDenied},
		{subnet.MethodGenesis, subnet.Genesis{}, atoll.PermissionDenied},
		{subnet.MethodActivate, subnet.ActivateRequest{Version: 2}, atoll.PermissionDenied},
		{subnet.MethodCreate, subnet.CreateRequest{Program: "tester"}, atoll.PermissionDenied},
		{subnet.MethodSettings, subnet.SettingsRequest{Canister: can(1)}, atoll.PermissionDenied},
		{subnet.MethodStatus, subnet.Managed{Canister: can(1)}, atoll.PermissionDenied},
		{subnet.MethodStatus, subnet.Managed{Canister: can(7)}, atoll.NotFound},
		{"nonsense", 1, atoll.Unimplemented},
	} {
		m := atoll.Message{From: atoll.Anonymous, To: []atoll.CanisterID{atoll.Management}, Method: tc.method, Payload: wire.Marshal(tc.payload)}
		if res := w.run(atoll.Block{Messages: []atoll.Message{m}}); atoll.KindOf(res.Outcomes[0].Err) != tc.want {
			t.Errorf("%s by a stranger: %v, want %v", tc.method, res.Outcomes[0].Err, tc.want)
		}
	}
	w.send(order{Create: "tester", Cycles: 1 << 30, Defer: true}, can(1))
	out := w.settle()
	var made subnet.CreateReply
	if len(out) != 1 || wire.Unmarshal(out[0].Payload[2:], &made) != nil || made.Canister != can(2) {
		t.Fatalf("create: %+v", out)
	}
	w.send(order{Add: 1}, can(2))
	if w.count(can(2)) != 1 {
		t.Error("the new canister does not work")
	}
	w.mustAudit()
}

func TestSemanticsChangeAndBack(t *testing.T) {
	a, b := newWorld(t, subnet.Config{}, 2), newWorld(t, subnet.Config{Lanes: atOnce}, 2)
	for i := range 30 {
		for _, w := range []*world{a, b} {
			if i%10 == 5 {
				v := atoll.Semantics(1 + (i/10+1)%2)
				res := w.run(atoll.Block{Messages: []atoll.Message{{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodActivate, Payload: wire.Marshal(subnet.ActivateRequest{Version: v})}}})
				if res.Outcomes[0].Err != nil || w.m.Head().Semantics != v {
					t.Fatalf("activating %d: %+v", v, res.Outcomes[0])
				}
				w.open() // as after a restart
			}
			w.now += 3_600_000_000
			w.send(order{Add: 1, Note: uint64(i), Call: []atoll.CanisterID{can(2)}, Then: &order{Add: 2}}, can(1))
			w.settle()
			w.mustAudit()
		}
		if a.m.Head().Digest != b.m.Head().Digest {
			t.Fatalf("digests differ in round %d", i)
		}
	}
	// The versions differ in what they bill, or the test shows nothing.
	c := newWorld(t, subnet.Config{}, 2)
	if c.m.Head().Burned != 0 || a.m.Head().Burned == 0 {
		t.Error("nothing was billed")
	}
	if res := a.run(atoll.Block{Messages: []atoll.Message{{To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodActivate, Payload: wire.Marshal(subnet.ActivateRequest{Version: 9})}}}); atoll.KindOf(res.Outcomes[0].Err) != atoll.FailedPrecondition {
		t.Errorf("an unknown version was activated: %v", res.Outcomes[0].Err)
	}
}

func atOnce(n int, lane func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { lane(n - 1 - i) })
	}
	wg.Wait()
}

// TestSameDigestEverywhere runs random blocks on one lane, on many, and with a
// restart after each block: the digests agree at every height.
func TestSameDigestEverywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		one, many, again := newWorld(t, subnet.Config{}, 5), newWorld(t, subnet.Config{Lanes: atOnce}, 5), newWorld(t, subnet.Config{}, 5)
		id := rapid.Custom(func(rt *rapid.T) atoll.CanisterID { return can(rapid.Uint32Range(1, 6).Draw(rt, "canister")) })
		then := rapid.Custom(func(rt *rapid.T) *order {
			return &order{Add: rapid.Uint64Range(0, 9).Draw(rt, "add"), Fail: rapid.IntRange(0, 4).Draw(rt, "fail") == 0, Panic: rapid.IntRange(0, 9).Draw(rt, "panic") == 0}
		})
		for range rapid.IntRange(1, 12).Draw(rt, "blocks") {
			var b atoll.Block
			for range rapid.IntRange(0, 8).Draw(rt, "messages") {
				o := *then.Draw(rt, "order")
				o.Call = rapid.SliceOfN(id, 0, 3).Draw(rt, "calls")
				o.Then = then.Draw(rt, "then")
				o.Cycles = rapid.Uint64Range(0, 5000).Draw(rt, "cycles")
				o.Defer = len(o.Call) > 0 && rapid.Bool().Draw(rt, "defer")
				if rapid.IntRange(0, 9).Draw(rt, "create") == 0 {
					o.Create, o.Cycles = "tester", 200_000
				}
				b.Messages = append(b.Messages, one.message(o, rapid.SliceOfNDistinct(id, 1, 3, func(c atoll.CanisterID) atoll.CanisterID { return c }).Draw(rt, "to")...))
			}
			for _, w := range []*world{one, many, again} {
				w.run(b)
			}
			again.open()
			if one.m.Head() != many.m.Head() || one.m.Head() != again.m.Head() {
				rt.Fatalf("heads differ: %+v, %+v, %+v", one.m.Head(), many.m.Head(), again.m.Head())
			}
			if err := one.audit(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// TestAcrossSubnets exchanges slices that are lost, repeated and cut at will:
// every letter is executed once, in order.
func TestAcrossSubnets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := newWorld(t, subnet.Config{Subnet: 0}, 1), newWorld(t, subnet.Config{Subnet: 1}, 1)
		deliver(rt, a, b, 20)
		want := ""
		for i := range 20 {
			want += fmt.Sprintf("%d ", i+1)
		}
		if got := string(b.get(atoll.NewCanisterID(1, 1), "log")); got != want {
			rt.Fatalf("letters executed: %q", got)
		}
		for i, w := range []*world{a, b} {
			infos, _ := subnet.Canisters(w.store, "", 9)
			if err := w.audit(); err != nil || infos[0].Open != 0 {
				rt.Fatalf("subnet %d: %v, %+v", i, err, infos[0])
			}
		}
		ha, hb := a.m.Head(), b.m.Head()
		if ha.Sent != hb.Received || hb.Sent != ha.Received {
			rt.Fatalf("cycles sent %d and %d, received %d and %d", ha.Sent, hb.Sent, hb.Received, ha.Received)
		}
	})
}

// deliver has a's canister send n letters to b's, over an exchange that loses,
// repeats and cuts slices.
func deliver(rt *rapid.T, a, b *world, n int) {
	worlds := [2]*world{a, b}
	for i, quiet := 0, 0; quiet < 3; i++ {
		var blocks [2]atoll.Block
		if i < n {
			o := order{Call: []atoll.CanisterID{atoll.NewCanisterID(1, 1)}, Then: &order{Note: uint64(i + 1)}, Cycles: 5000}
			blocks[0].Messages = append(blocks[0].Messages, a.message(o, atoll.NewCanisterID(0, 1)))
		}
		busy := i < n || a.m.Pending() || b.m.Pending()
		for from := range worlds {
			to := 1 - from
			streams, err := subnet.Streams(worlds[from].store)
			if err != nil {
				rt.Fatal(err)
			}
			st := streams[atoll.SubnetID(to)]
			if st == nil {
				continue
			}
			busy = busy || st.Out != st.Acked
			first := st.Acked + 1
			slice, err := subnet.Outgoing(worlds[from].store, atoll.SubnetID(from), atoll.SubnetID(to), first, rapid.IntRange(1, 5).Draw(rt, "cut"))
			if err != nil {
				rt.Fatal(err)
			}
			slice.Acked = st.In
			for range rapid.IntRange(0, 2).Draw(rt, "copies") {
				blocks[to].Slices = append(blocks[to].Slices, slice)
			}
		}
		for k, w := range worlds {
			w.run(blocks[k])
		}
		if quiet++; busy {
			quiet = 0
		}
		if i > 2000 {
			rt.Fatal("letters never arrive")
		}
	}
}

// TestPlantedDefectsShow proves that the checks of this file bite.
func TestPlantedDefectsShow(t *testing.T) {
	w := newWorld(t, subnet.Config{Planted: planted.RefundTwice}, 1)
	w.send(order{Call: []atoll.CanisterID{can(9)}, Then: &order{}, Cycles: 777}, can(1))
	w.settle()
	if w.audit() == nil {
		t.Error("cycles from nothing were not noticed")
	}
	w = newWorld(t, subnet.Config{Planted: planted.PartialRollback}, 1)
	w.send(order{Add: 1, Note: 1, Fail: true}, can(1))
	if w.count(can(1)) == 0 {
		t.Error("the planted defect does nothing")
	}
}

func TestAuditNoticesDamage(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 2)
	w.send(order{Add: 1, Note: 3}, can(1))
	w.mustAudit()
	it := w.store.Iter(nil, nil)
	var flipped [][2][]byte
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		if k := it.Key(); k[0] > 2 {
			v := append([]byte(nil), it.Value()...)
			v[len(v)-1] ^= 1
			flipped = append(flipped, [2][]byte{append([]byte(nil), k...), v})
		}
	}
	it.Close()
	for _, f := range flipped {
		old, _, _ := w.store.Get(f[0])
		b := new(atoll.Batch)
		b.Set(f[0], f[1])
		w.store.Apply(b)
		if err := w.audit(); !errors.Is(err, &atoll.Error{Kind: atoll.DataLoss}) {
			t.Errorf("a flipped bit under %x: %v", f[0], err)
		}
		b = new(atoll.Batch)
		b.Set(f[0], old)
		w.store.Apply(b)
	}
	w.mustAudit()
}

// TestRepliesHaveRoom keeps a canister's queue full of requests, at every turn
// of the order in which queues are served: the reply that it waits for is taken
// all the same.
func TestRepliesHaveRoom(t *testing.T) {
	for turn := range 6 {
		w := newWorld(t, subnet.Config{}, 5)
		for range turn {
			w.run(atoll.Block{})
		}
		flood := func(n int) order {
			o := order{Then: &order{Add: 1}}
			for range n {
				o.Call = append(o.Call, can(1))
			}
			return o
		}
		fill := flood(100)
		w.send(flood(subnet.MaxQueued), can(3))
		// In the next block but one, the callee answers while the helper
		// fills the queue up, before it or behind it.
		out := w.run(atoll.Block{Messages: []atoll.Message{
			w.message(order{Call: []atoll.CanisterID{can(2)}, Then: &order{}, Defer: true}, can(1)),
			w.message(order{Call: []atoll.CanisterID{can(5)}, Then: &fill}, can(4)),
		}}).Outcomes
		want := w.id - 1
		full := false
		for w.m.Pending() {
			out = append(out, w.run(atoll.Block{}).Outcomes...)
			infos, err := subnet.Canisters(w.store, "", 1)
			if err != nil {
				t.Fatal(err)
			}
			full = full || infos[0].Queued >= subnet.MaxQueued-64
		}
		answered := false
		for _, o := range out {
			answered = answered || o.ID == (atoll.RequestID{want})
		}
		if !answered || !full {
			t.Errorf("turn %d: answered %v, the queue was full %v", turn, answered, full)
		}
		w.mustAudit()
	}
}

func TestCanisterSnapshots(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 1)
	manage := func(method string, payload any) atoll.Outcome {
		t.Helper()
		res := w.run(atoll.Block{Messages: []atoll.Message{{ID: atoll.RequestID{99}, To: []atoll.CanisterID{atoll.Management}, Method: method, Payload: wire.Marshal(payload)}}})
		w.mustAudit()
		return res.Outcomes[0]
	}
	w.send(order{Add: 1, Note: 1}, can(1))
	var first subnet.Snapshot
	out := manage(subnet.MethodTakeSnapshot, subnet.Managed{Canister: can(1)})
	if out.Err != nil || wire.Unmarshal(out.Payload, &first) != nil || first.Keys != 2 || first.Number != 1 {
		t.Fatalf("take: %+v, %+v", out, first)
	}
	w.send(order{Add: 5, Note: 2, Call: []atoll.CanisterID{can(7)}, Then: &order{}}, can(1))
	w.settle() // which leaves a third key
	if out := manage(subnet.MethodLoadSnapshot, subnet.SnapshotRequest{Canister: can(1), Number: 1}); out.Err != nil {
		t.Fatal(out.Err)
	}
	if n, log := w.count(can(1)), string(w.get(can(1), "log")); n != 1 || log != "1 " || w.get(can(1), "r"+string([]byte{0, 0, 0, 0, 0, 0, 0, 1})) != nil {
		t.Errorf("after loading: %d, %q", n, log)
	}
	for range subnet.MaxSnapshots - 1 {
		if out := manage(subnet.MethodTakeSnapshot, subnet.Managed{Canister: can(1)}); out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	if out := manage(subnet.MethodTakeSnapshot, subnet.Managed{Canister: can(1)}); atoll.KindOf(out.Err) != atoll.ResourceExhausted {
		t.Errorf("over the limit: %v", out.Err)
	}
	if out := manage(subnet.MethodDeleteSnapshot, subnet.SnapshotRequest{Canister: can(1), Number: 1}); out.Err != nil {
		t.Fatal(out.Err)
	}
	if out := manage(subnet.MethodLoadSnapshot, subnet.SnapshotRequest{Canister: can(1), Number: 1}); atoll.KindOf(out.Err) != atoll.NotFound {
		t.Errorf("a deleted snapshot: %v", out.Err)
	}
	var all []subnet.Snapshot
	if out := manage(subnet.MethodListSnapshots, subnet.Managed{Canister: can(1)}); out.Err != nil || wire.Unmarshal(out.Payload, &all) != nil || len(all) != subnet.MaxSnapshots-1 || all[0].Number != 2 {
		t.Errorf("list: %+v, %+v", out, all)
	}
	m := atoll.Message{From: atoll.Anonymous, To: []atoll.CanisterID{atoll.Management}, Method: subnet.MethodTakeSnapshot, Payload: wire.Marshal(subnet.Managed{Canister: can(1)})}
	if res := w.run(atoll.Block{Messages: []atoll.Message{m}}); atoll.KindOf(res.Outcomes[0].Err) != atoll.PermissionDenied {
		t.Errorf("a stranger took a snapshot: %v", res.Outcomes[0].Err)
	}
}

// TestDeferredLimit leaves messages without an answer, as many as one canister
// may have.
func TestDeferredLimit(t *testing.T) {
	w := newWorld(t, subnet.Config{}, 1)
	refused := 0
	for sent := 0; sent < subnet.MaxDeferred+100; {
		var b atoll.Block
		for ; len(b.Messages) < 1000 && sent < subnet.MaxDeferred+100; sent++ {
			m := w.message(order{Defer: true}, can(1))
			binary.BigEndian.PutUint32(m.ID[4:], uint32(sent))
			b.Messages = append(b.Messages, m)
		}
		for _, o := range w.run(b).Outcomes {
			if atoll.KindOf(o.Err) != atoll.ResourceExhausted {
				t.Fatalf("%+v", o)
			}
			refused++
		}
	}
	if refused != 100 {
		t.Errorf("%d messages were refused, 100 are over the limit", refused)
	}
	w.mustAudit()
}

// TestStreamLimit sends letters to a subnet that never takes them.
func TestStreamLimit(t *testing.T) {
	const callers = subnet.MaxStream/subnet.MaxOpenCalls + 1
	w := newWorld(t, subnet.Config{}, callers)
	o := order{Then: &order{}}
	for range subnet.MaxOpenCalls {
		o.Call = append(o.Call, atoll.NewCanisterID(7, 1))
	}
	for i := range callers {
		out := w.send(o, can(uint32(i+1))).Outcomes[0]
		want := atoll.OK
		if i == callers-1 {
			want = atoll.ResourceExhausted
		}
		var err error
		if out.Err != nil {
			err = out.Err
		}
		if atoll.KindOf(err) != want {
			t.Errorf("caller %d: %v, want %v", i, err, want)
		}
	}
	w.mustAudit()
	if w.count(can(callers)) != 0 {
		t.Error("the refused message left something")
	}
}
