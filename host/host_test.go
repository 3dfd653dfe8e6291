package host_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"atoll"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/log/local"
	"atoll/node"
	"atoll/program/shard"
	"atoll/route"
	"atoll/subnet"
	"atoll/value"
)

func start(t testing.TB, opt host.Options) *host.Host {
	t.Helper()
	h, err := host.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

var db = atoll.Database{Project: "p", ID: atoll.DefaultDatabase}

func doc(t testing.TB, n int64) []byte {
	t.Helper()
	return value.AppendDocument(nil, value.Map(value.Field{Name: "n", Value: value.Int(n)}))
}

func TestWriteReadReopen(t *testing.T) {
	for _, subnets := range []int{1, 3} {
		t.Run(fmt.Sprint(subnets), func(t *testing.T) {
			dir := t.TempDir()
			ctx := context.Background()
			var last atoll.Time
			for round := range 3 {
				h := start(t, host.Options{Dir: dir, Subnets: subnets})
				var wg sync.WaitGroup
				for i := range 20 {
					wg.Go(func() {
						d := atoll.Database{Project: "p", ID: fmt.Sprint("db", i%5)}
						w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: doc(t, int64(round))}
						reply, err := h.Router.Commit(ctx, d, []shard.Write{w}, atoll.RequestID{byte(round), byte(i)}, route.Caller{Principal: atoll.Anonymous})
						if err != nil || reply.Time <= last {
							t.Errorf("commit: %v, %v", reply.Time, err)
						}
					})
				}
				wg.Wait()
				got, err := h.Router.Get(ctx, db, []atoll.Path{"c/1"}, 0, route.Caller{Principal: atoll.Anonymous})
				if err != nil || len(got.Documents) != 1 || got.Documents[0].Doc != nil {
					t.Errorf("a document that was never written: %+v, %v", got, err)
				}
				last = atoll.TimeOf(time.Now()) - 1000
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestSemanticsRollForwardAndBack restarts an installation under the newest and
// the oldest semantics in turn, writing all the while, and replays its log.
func TestSemanticsRollForwardAndBack(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	who := route.Caller{Principal: atoll.Anonymous}
	for round := range 6 {
		want := atoll.Semantics(1 + round%2)
		h := start(t, host.Options{Dir: dir, Semantics: want})
		for i := range 10 {
			w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: doc(t, int64(round))}
			if _, err := h.Router.Commit(ctx, db, []shard.Write{w}, atoll.RequestID{byte(round), byte(i)}, who); err != nil {
				t.Fatal(err)
			}
		}
		s, err := h.View(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s.Head.Semantics != want {
			t.Errorf("round %d runs under version %d, not %d", round, s.Head.Semantics, want)
		}
		replay(t, s)
		s.Release()
		h.Close()
	}
}

// replay executes the whole log of a state again, in memory, on one lane, and
// compares the digest at every height.
func replay(t *testing.T, s *node.State) {
	t.Helper()
	again := mem.New(mem.WithSplit(keys.Split))
	m, err := subnet.Open(subnet.Config{Subnet: s.Head.Subnet, Programs: host.Programs()}, again)
	if err != nil {
		t.Fatal(err)
	}
	heights := 0
	if err := local.Replay(s, m, again, func(atoll.Height) { heights++ }); err != nil {
		t.Fatal(err)
	}
	if got := m.Head(); got != s.Head || heights == 0 {
		t.Errorf("%d blocks executed again lead to\n%+v, not to\n%+v", heights, got, s.Head)
	}
}

// TestHistoryIsCollected keeps history for a moment only: it goes, what is
// current stays, and an idle installation stops writing its log.
func TestHistoryIsCollected(t *testing.T) {
	ctx := context.Background()
	who := route.Caller{Principal: atoll.Anonymous}
	h := start(t, host.Options{Dir: t.TempDir(), CollectEvery: 10 * time.Millisecond,
		Retention: host.Retention{Versions: 100 * time.Millisecond, Latest: 200 * time.Millisecond, Requests: 100 * time.Millisecond}})
	var first atoll.Time
	for i := range 50 {
		w := shard.Write{Op: shard.OpSet, Path: "c/hot", Doc: doc(t, int64(i))}
		reply, err := h.Router.Commit(ctx, db, []shard.Write{w}, atoll.RequestID{byte(i)}, who)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = reply.Time
		}
	}
	var before, after int
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		before, after = after, rangeKeys(t, h)
		if after == 1 && before == 1 {
			break
		}
	}
	if after != 1 {
		t.Errorf("%d keys are left of one document", after)
	}
	if got, err := h.Router.Get(ctx, db, []atoll.Path{"c/hot"}, 0, who); err != nil || len(got.Documents) != 1 || got.Documents[0].Doc == nil || got.Documents[0].Revision != 50 {
		t.Errorf("the current document: %+v, %v", got, err)
	}
	if _, err := h.Router.Get(ctx, db, []atoll.Path{"c/hot"}, first, who); atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Errorf("a read of what is collected: %v", err)
	}
	time.Sleep(500 * time.Millisecond)
	c1, _, _ := h.Counters(0)
	time.Sleep(time.Second)
	if c2, _, _ := h.Counters(0); c2.Blocks > c1.Blocks+2 {
		t.Errorf("an idle installation wrote %d blocks in a second", c2.Blocks-c1.Blocks)
	}
}

// rangeKeys counts the versions, changes and results of the range families.
func rangeKeys(t *testing.T, h *host.Host) (n int) {
	t.Helper()
	s, err := h.View(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	it := s.Iter([]byte{keys.SpaceRanges}, []byte{keys.SpaceRanges + 1})
	for ok := it.SeekGE([]byte{keys.SpaceRanges}); ok; ok = it.Next() {
		if k := it.Key(); len(k) > 5 && keys.Space(k[5]) <= keys.Requests {
			n++
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
