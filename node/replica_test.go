package node_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"atoll"
	"atoll/kv/mem"
	"atoll/log/local"
	"atoll/node"
	"atoll/planted"
	"atoll/subnet"
	"atoll/wire"
)

// counter is a program that adds up the payloads' lengths.
type counter struct{}

func (counter) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	if in.Method == "fail" {
		return nil, atoll.Errorf(atoll.Aborted, "as ordered")
	}
	raw, _, err := ctx.State().Get([]byte("n"))
	if err != nil {
		return nil, err
	}
	n := uint64(len(in.Payload))
	if raw != nil {
		n += binary.BigEndian.Uint64(raw)
	}
	out := binary.BigEndian.AppendUint64(nil, n)
	ctx.State().Set([]byte("n"), out)
	return out, nil
}

func (counter) Query(v atoll.View, q atoll.Question) ([]byte, error) {
	raw, _, err := v.State().Get([]byte("n"))
	return raw, err
}

var one = atoll.NewCanisterID(0, 1)

// bench is a replica that the test drives itself.
type bench struct {
	*node.Replica
	t     *testing.T
	disk  *mem.Disk
	clock atoll.Time
	cfg   node.Config
	id    byte
}

func newBench(t *testing.T, defects planted.Set) *bench {
	b := &bench{t: t, disk: mem.NewManualDisk(), clock: 1_000_000_000}
	b.cfg = node.Config{
		Subnet:    subnet.Config{Programs: map[string]subnet.Entry{"counter": {Program: counter{}}}},
		Clock:     func() atoll.Time { return b.clock },
		Seed:      func() [16]byte { return [16]byte{1} },
		Genesis:   subnet.Genesis{Canisters: []subnet.GenesisCanister{{Program: "counter", Cycles: 1 << 50}}},
		Exclusive: true, Planted: defects,
	}
	b.open()
	b.step()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	st, err := mem.Open(b.disk)
	if err != nil {
		b.t.Fatal(err)
	}
	b.cfg.Store = st
	if b.Replica, err = node.OpenReplica(b.cfg); err != nil {
		b.t.Fatal(err)
	}
}

// propose applies a block that is not durable yet.
func (b *bench) propose() *node.Block {
	b.t.Helper()
	blk, err := b.Propose()
	if err != nil || blk == nil {
		b.t.Fatalf("no block: %v", err)
	}
	return blk
}

// step makes one block durable.
func (b *bench) step() {
	b.t.Helper()
	blk := b.propose()
	b.sync(blk)
}

func (b *bench) sync(blk *node.Block) {
	b.t.Helper()
	if err := b.disk.Sync(); err != nil {
		b.t.Fatal(err)
	}
	if err := blk.Wait(); err != nil {
		b.t.Fatal(err)
	}
	b.Settle(blk)
}

type answer struct {
	n   uint64
	o   atoll.Outcome
	err error
	got bool
}

func (b *bench) send(payload string) *answer {
	b.t.Helper()
	b.id++
	a, _ := b.sendID(atoll.RequestID{b.id}, payload)
	return a
}

func (b *bench) sendID(id atoll.RequestID, payload string) (*answer, func()) {
	b.t.Helper()
	a := new(answer)
	forget, err := b.Submit(atoll.Message{ID: id, From: atoll.Anonymous, To: []atoll.CanisterID{one}, Method: "add", Payload: []byte(payload)}, func(o atoll.Outcome, err error) {
		a.o, a.err, a.got = o, err, true
		if o.Payload != nil {
			a.n = binary.BigEndian.Uint64(o.Payload)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return a, forget
}

func (b *bench) read() uint64 {
	b.t.Helper()
	raw, err := b.Query(one, atoll.Question{})
	if err != nil {
		b.t.Fatal(err)
	}
	if raw == nil {
		return 0
	}
	return binary.BigEndian.Uint64(raw)
}

func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	b := newBench(t, 0)
	a := b.send("four")
	blk := b.propose()
	if a.got || b.read() != 0 {
		t.Fatalf("before the sync: answered %v, visible %d", a.got, b.read())
	}
	b.sync(blk)
	if !a.got || a.n != 4 || b.read() != 4 {
		t.Fatalf("after the sync: %+v, visible %d", a, b.read())
	}
	for _, d := range []planted.Set{planted.AckBeforeSync, planted.VisibleBeforeDurable} {
		b := newBench(t, d)
		a := b.send("four")
		b.propose()
		if !a.got && b.read() == 0 {
			t.Errorf("defect %b does nothing", d)
		}
	}
}

func TestCrashTakesBackOnlyWhatNobodySaw(t *testing.T) {
	b := newBench(t, 0)
	b.send("four")
	b.step()
	lost := b.send("lost")
	b.propose()
	b.disk.Crash(func(int) int { return 0 })
	b.Fail(errors.New("crash"))
	if atoll.KindOf(lost.err) != atoll.Unknown {
		t.Errorf("a message in a block that was not durable got %v", lost.err)
	}
	b.open()
	b.step()
	if b.read() != 4 {
		t.Errorf("after the crash: %d", b.read())
	}
}

func TestTimesRiseOverClocksThatStepBack(t *testing.T) {
	b := newBench(t, 0)
	var last atoll.Time
	for i := range 20 {
		a := b.send("x")
		b.step()
		if a.o.Time <= last {
			t.Fatalf("commit %d at %d, the one before at %d", i, a.o.Time, last)
		}
		last = a.o.Time
		s, err := b.CloseAt(b.clock + 100_000)
		if err != nil {
			t.Fatal(err)
		}
		if s != nil {
			last = max(last, b.clock+100_000)
			if s.Head.Time < last {
				t.Fatalf("closed at %d, want %d", s.Head.Time, last)
			}
			s.Release()
		}
		b.clock -= 300_000_000
		if i%3 == 0 {
			b.disk.Crash(func(int) int { return 0 })
			b.Close()
			b.open()
			b.step()
		}
	}
}

func TestCloseAt(t *testing.T) {
	b := newBench(t, 0)
	b.clock += 10_000_000 // an idle while
	at := b.clock
	s, err := b.CloseAt(at)
	if err != nil || s != nil {
		t.Fatalf("beyond what is reserved: %v %v", s, err)
	}
	b.step() // a block for the reservation
	if s, err = b.CloseAt(at); err != nil || s == nil || s.Head.Time < at {
		t.Fatalf("%+v, %v", s, err)
	}
	s.Release()
	a := b.send("x")
	blk := b.propose()
	if s, _ := b.CloseAt(b.clock + 1000); s != nil {
		t.Error("closed above a block that is not durable")
	}
	b.sync(blk)
	if a.o.Time <= at {
		t.Errorf("a commit at %d, below the served read at %d", a.o.Time, at)
	}
	if _, err := b.CloseAt(b.clock + atoll.MaxAhead + 1); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a time in the future: %v", err)
	}
}

func TestSameRequestTwiceInFlight(t *testing.T) {
	b := newBench(t, 0)
	id := atoll.RequestID{200}
	a1, _ := b.sendID(id, "four")
	a2, _ := b.sendID(id, "four")
	b.step()
	if !a1.got || !a2.got || a1.n != 4 || a2.n != 4 || b.read() != 4 {
		t.Errorf("%+v %+v, counter %d", a1, a2, b.read())
	}
	a3, forget := b.sendID(atoll.RequestID{201}, "gone")
	forget()
	b.send("x")
	b.step()
	if a3.got || b.read() != 5 {
		t.Errorf("a message that nobody waited for was executed: %+v, counter %d", a3, b.read())
	}
}

func TestMailboxIsBoundedAndFair(t *testing.T) {
	b := newBench(t, 0)
	submit := func(from atoll.Principal, id uint32) error {
		m := atoll.Message{From: from, To: []atoll.CanisterID{one}, Method: "add", Payload: []byte("x")}
		binary.BigEndian.PutUint32(m.ID[:], id)
		copy(m.ID[4:], from)
		_, err := b.Submit(m, func(atoll.Outcome, error) {})
		return err
	}
	share := node.MaxMailMessages * 3 / 4
	for i := range share {
		if err := submit("greedy", uint32(i)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := submit("greedy", 1<<30); atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Fatalf("over the caller's share: %v", err)
	}
	if err := submit("modest", 1); err != nil {
		t.Fatalf("another caller: %v", err)
	}
	for i := range node.MaxMailMessages - share - 1 {
		if err := submit(atoll.Principal(fmt.Sprint("c", i%50)), uint32(i)); err != nil {
			t.Fatalf("message %d of many callers: %v", i, err)
		}
	}
	if err := submit("late", 1); atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Fatalf("over the limit: %v", err)
	}
	c, queued, _ := b.Counters()
	if c.Refused != 2 || queued != node.MaxMailMessages {
		t.Errorf("counted %d refused and %d queued", c.Refused, queued)
	}
	// The modest caller's one message is in the first block.
	blk := b.propose()
	b.sync(blk)
	if err := submit("modest", 1); err != nil {
		t.Errorf("the modest caller still waits: %v", err)
	}
}

func TestSecondProcessIsFenced(t *testing.T) {
	b := newBench(t, 0)
	b.cfg.Exclusive = false
	b.Close()
	b.cfg.Store.Close()
	b.open()
	b.step()
	first := b.Replica
	// Another process opens the same store, after the lease.
	cfg := b.cfg
	second, err := node.OpenReplica(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if wait := second.TakeOverAt(); wait <= b.clock {
		t.Fatalf("may take over at %d, the clock is %d: the lease still runs", wait, b.clock)
	}
	b.clock = second.TakeOverAt()
	if _, err := first.Acquire(); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("a strong read after the lease: %v", err)
	}
	b.Replica = second
	b.step()
	if _, err := second.Acquire(); err != nil {
		t.Errorf("a strong read under the new lease: %v", err)
	}
	if _, err := first.Propose(); atoll.KindOf(err) != atoll.Aborted {
		t.Errorf("the first process went on: %v", err)
	}
}

func TestReplayAndCheckpoint(t *testing.T) {
	b := newBench(t, 0)
	var from *mem.Store
	for i := range 50 {
		b.send(fmt.Sprint("message", i))
		b.step()
		if i == 20 {
			if err := b.cfg.Store.Checkpoint("here"); err != nil {
				t.Fatal(err)
			}
			d, _ := b.disk.Checkpoint("here")
			var err error
			if from, err = mem.Open(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, _, _ := subnet.ReadHead(b.cfg.Store)
	for _, start := range []atoll.Store{mem.New(), from} {
		m, err := subnet.Open(b.cfg.Subnet, start)
		if err != nil {
			t.Fatal(err)
		}
		if err := local.Replay(b.cfg.Store, m, start, nil); err != nil {
			t.Fatal(err)
		}
		if m.Head() != want {
			t.Errorf("the replay leads to %+v, the log to %+v", m.Head(), want)
		}
	}
	// A log entry that says another digest is noticed.
	store := b.cfg.Store
	it := store.Iter([]byte{2}, []byte{3})
	it.SeekLT([]byte{3})
	var e local.Entry
	if err := wire.Unmarshal(it.Value(), &e); err != nil {
		t.Fatal(err)
	}
	e.Digest[0] ^= 1
	batch := new(atoll.Batch)
	batch.Set(append([]byte(nil), it.Key()...), wire.Marshal(e))
	it.Close()
	store.Apply(batch)
	fresh := mem.New()
	m, _ := subnet.Open(b.cfg.Subnet, fresh)
	if err := local.Replay(store, m, fresh, nil); atoll.KindOf(err) != atoll.DataLoss {
		t.Errorf("a wrong digest: %v", err)
	}
	if err := local.Check(store, want); atoll.KindOf(err) != atoll.DataLoss {
		t.Errorf("a wrong last entry: %v", err)
	}
}

func TestReadOnlyRefusesWrites(t *testing.T) {
	b := newBench(t, 0)
	b.SetReadOnly(atoll.Errorf(atoll.ResourceExhausted, "the disk is full"))
	_, err := b.Submit(atoll.Message{To: []atoll.CanisterID{one}}, func(atoll.Outcome, error) {})
	if atoll.KindOf(err) != atoll.ResourceExhausted || b.read() != 0 {
		t.Errorf("%v", err)
	}
	b.SetReadOnly(nil)
	a := b.send("x")
	b.step()
	if a.n != 1 {
		t.Errorf("%+v", a)
	}
}

func TestFailingSyncIsUnknown(t *testing.T) {
	b := newBench(t, 0)
	in := b.send("x")
	b.disk.FailNextSync(errors.New("the disk says no"))
	blk := b.propose()
	queued := b.send("y")
	b.disk.Sync()
	err := blk.Wait()
	if err == nil {
		t.Fatal("the sync did not fail")
	}
	b.Fail(err)
	if atoll.KindOf(in.err) != atoll.Unknown || atoll.KindOf(queued.err) != atoll.Unavailable {
		t.Errorf("in the block: %v; queued: %v", in.err, queued.err)
	}
	if _, err := b.Acquire(); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("reading a dead replica: %v", err)
	}
}

// TestLogIsBounded writes more than the log may hold, in entries and in bytes:
// it is cut, what is left leads to the state, and a restart goes on with it.
func TestLogIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries int
		bytes   uint64
	}{{"entries", 200, 1 << 30}, {"bytes", 1 << 20, 100_000}} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, 0)
			b.cfg.LogEntries, b.cfg.LogBytes = tc.entries, tc.bytes
			b.Close()
			b.cfg.Store.Close()
			b.open()
			b.step()
			for i := range 600 {
				b.id++
				b.sendID(atoll.RequestID{1, byte(i), byte(i >> 8)}, string(make([]byte, 400)))
				b.step()
				if i%100 == 99 {
					b.Close()
					b.cfg.Store.Close()
					b.open()
					b.step()
				}
			}
			first, last, err := local.Bounds(b.cfg.Store)
			if err != nil {
				t.Fatal(err)
			}
			n, size := 0, 0
			for e, err := range local.Tail(b.cfg.Store, first) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				size += len(e.Record)
			}
			if n != int(last-first)+1 || n > tc.entries+64 || uint64(size) > tc.bytes+64*1000 {
				t.Errorf("%d entries of %d bytes, from %d to %d", n, size, first, last)
			}
			if n < 64 {
				t.Errorf("only %d entries are left", n)
			}
			h, _, err := subnet.ReadHead(b.cfg.Store)
			if err != nil {
				t.Fatal(err)
			}
			if err := local.Check(b.cfg.Store, h); err != nil {
				t.Error(err)
			}
		})
	}
}
