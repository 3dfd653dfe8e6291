package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"atoll"
	"atoll/program/shard"
	"atoll/wire"
)

func mustCommit(t *testing.T, r *Router, paths ...atoll.Path) shard.CommitReply {
	t.Helper()
	reply, err := r.Commit(t.Context(), app, set(paths...), NewRequestID(), user)
	if err != nil {
		t.Fatalf("commit of %v: %v", paths, err)
	}
	return reply
}

// three lays the database out over three shards of one subnet.
func three(w *world) { w.layout(app, cut{"", 1, 0}, cut{"c/h", 2, 0}, cut{"c/p", 3, 0}) }

func TestOpensADatabaseAtItsFirstUse(t *testing.T) {
	w := newWorld()
	r := newRouter(t, w)
	mustCommit(t, r, "c/a")
	mustCommit(t, r, "c/b")
	if w.opened != 1 || w.mapAsked != 1 {
		t.Errorf("opened %d times and asked for the map %d times; want 1 and 1", w.opened, w.mapAsked)
	}
	if s := r.Stats(); s.Opened != 1 || s.Hits != 1 || s.Misses != 1 || s.Databases != 1 {
		t.Errorf("stats are %+v", s)
	}
	open := w.sent[0]
	if open.From != user.Principal || string(open.Claims) != "{}" || open.Expires == 0 {
		t.Errorf("the message that opened says %+v; it must carry the caller and end some time", open)
	}
}

func TestConcurrentFirstUseAsksOnce(t *testing.T) {
	w := newWorld()
	r := newRouter(t, w)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			if _, err := r.Commit(t.Context(), app, set(atoll.Path(fmt.Sprintf("c/%d", i))), NewRequestID(), user); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if w.opened != 1 || w.mapAsked != 1 {
		t.Errorf("opened %d times and asked for the map %d times; want 1 and 1", w.opened, w.mapAsked)
	}
}

func TestRefusalIsRememberedForASecondAndBounded(t *testing.T) {
	w := newWorld()
	w.full = true
	now := time.Unix(1000, 0)
	r := newRouter(t, w, func(o *Options) { o.Clock = func() time.Time { return now } })
	get := func(project string) error {
		_, err := r.Get(t.Context(), atoll.Database{Project: project, ID: "d"}, []atoll.Path{"c/a"}, 0, user)
		return err
	}
	for range 10 {
		if err := get("p"); atoll.KindOf(err) != atoll.ResourceExhausted {
			t.Fatalf("got %v; want ResourceExhausted", err)
		}
	}
	if len(w.sent) != 1 || r.Stats().Refused != 9 {
		t.Errorf("%d messages were sent and %d requests refused; want 1 and 9", len(w.sent), r.Stats().Refused)
	}
	now = now.Add(refusalTime)
	w.full = false
	if err := get("p"); err != nil {
		t.Errorf("after the refusal has lapsed: %v", err)
	}
	w.full = true
	for i := range 3 * maxRefusals {
		if get(fmt.Sprint(i)) == nil {
			t.Fatal("opened beyond the limit")
		}
	}
	if n := r.refusals.len(); n != maxRefusals {
		t.Errorf("%d refusals are kept; the bound is %d", n, maxRefusals)
	}
	if n := len(r.fetches); n != 0 {
		t.Errorf("%d fetches are left over", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld()
	r := newRouter(t, w, func(o *Options) { o.Databases = 2 })
	for _, p := range []string{"a", "b", "a", "c", "a"} { // c pushes b out
		if _, err := r.Get(t.Context(), atoll.Database{Project: p, ID: "d"}, nil, 0, user); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s.Databases != 2 || s.Evicted != 1 || s.Misses != 3 || s.Hits != 2 {
		t.Errorf("stats are %+v", s)
	}
}

func TestLeaseEnds(t *testing.T) {
	w := newWorld()
	w.lease = 10 * time.Second
	now := time.Unix(1000, 0)
	r := newRouter(t, w, func(o *Options) { o.Clock = func() time.Time { return now } })
	mustCommit(t, r, "c/a")
	now = now.Add(w.lease - time.Microsecond)
	mustCommit(t, r, "c/a")
	if w.mapAsked != 1 {
		t.Fatalf("asked for the map %d times within its lease", w.mapAsked)
	}
	now = now.Add(time.Microsecond)
	mustCommit(t, r, "c/a")
	if w.mapAsked != 2 {
		t.Errorf("asked for the map %d times; its lease has ended", w.mapAsked)
	}
}

func TestTheShortestLeaseCounts(t *testing.T) {
	w := newWorld()
	three(w)
	w.maps[app].Ranges[1].Lease = 1_000_000
	now := time.Unix(1000, 0)
	r := newRouter(t, w, func(o *Options) { o.Clock = func() time.Time { return now } })
	mustCommit(t, r, "c/a")
	now = now.Add(time.Second)
	mustCommit(t, r, "c/a")
	if w.mapAsked != 2 {
		t.Errorf("asked for the map %d times; a lease of one range has ended", w.mapAsked)
	}
}

func TestWrongRangeIsCorrectedInOneTrip(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "c/a")
	w.layout(app, cut{"", 1, 0}, cut{"c/h", 9, 0}, cut{"c/p", 3, 0})
	mustCommit(t, r, "c/i")
	if got := w.sent[len(w.sent)-1].To[0]; got != atoll.NewCanisterID(0, 109) {
		t.Errorf("the corrected commit went to %s", got)
	}
	if w.mapAsked != 1 || r.Stats().Corrected != 1 {
		t.Errorf("asked for the map %d times, corrected %d times; the answer named the owner", w.mapAsked, r.Stats().Corrected)
	}
}

func TestWrongRangeFetchesTheMapWhenBoundsChanged(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "c/a", "c/i")
	w.layout(app, cut{"", 1, 0}, cut{"c/b", 2, 0}, cut{"c/p", 3, 0})
	mustCommit(t, r, "c/c", "c/q")
	reply, err := r.Get(t.Context(), app, []atoll.Path{"c/q", "c/a", "c/c"}, 0, user)
	if err != nil || string(reply.Documents[0].Doc) != "c/q" || string(reply.Documents[2].Doc) != "c/c" {
		t.Errorf("got %+v, %v", reply, err)
	}
	if w.mapAsked != 2 {
		t.Errorf("asked for the map %d times; want 2", w.mapAsked)
	}
}

func TestWrongRangeTwiceIsUnavailable(t *testing.T) {
	w := newWorld()
	r := newRouter(t, w)
	w.layout(app, cut{"", 1, 0})
	w.moveBack = func() { w.layout(app, cut{"", 1, 0}) } // a new epoch before each commit
	_, err := r.Commit(t.Context(), app, set("c/a"), NewRequestID(), user)
	if atoll.KindOf(err) != atoll.Unavailable {
		t.Fatalf("got %v; want Unavailable", err)
	}
	if len(w.applied) != 0 || len(w.sent) != 2 {
		t.Errorf("%d commits applied, %d messages sent; want 0 and 2", len(w.applied), len(w.sent))
	}
}

func TestForgedDescriptorDoesNotPatchTheMap(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	table, err := r.table(t.Context(), app, user)
	if err != nil {
		t.Fatal(err)
	}
	good := table.ranges[1]
	good.Epoch++
	for name, edit := range map[string]func(*shard.Descriptor){
		"another database": func(d *shard.Descriptor) { d.Database.ID = "x" },
		"no shard":         func(d *shard.Descriptor) { d.Shard = "" },
		"older epoch":      func(d *shard.Descriptor) { d.Epoch-- },
		"another range":    func(d *shard.Descriptor) { d.Range++ },
		"other bounds":     func(d *shard.Descriptor) { d.End = nil },
	} {
		d := good
		edit(&d)
		if table.replaces(&d) {
			t.Errorf("%s: would be accepted", name)
		}
	}
	if !table.replaces(&good) {
		t.Error("the good one would not be accepted")
	}
	r.correct(table, &atoll.Error{Kind: atoll.WrongRange, Data: []byte("junk")})
	if n := r.Stats().Databases; n != 0 {
		t.Error("the map was kept though the answer told nothing of the new one")
	}
}

func TestUnknownOutcomeIsSentAgainAndAppliedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.layout(app, cut{"", 1, 0})
		r := newRouter(t, w)
		w.lose = maxResends
		id := NewRequestID()
		if _, err := r.Commit(t.Context(), app, set("c/a"), id, user); err != nil {
			t.Fatal(err)
		}
		if w.applied[id] != 1 || len(w.sent) != maxResends+1 {
			t.Errorf("applied %d times, sent %d times", w.applied[id], len(w.sent))
		}
		for _, m := range w.sent {
			if m.ID != id || m.Expires != w.sent[0].Expires {
				t.Error("a repetition differs from the first message")
			}
		}
		w.lose = maxResends + 1
		if _, err := r.Commit(t.Context(), app, set("c/a"), NewRequestID(), user); atoll.KindOf(err) != atoll.Unknown {
			t.Errorf("got %v; want Unknown when no outcome came", err)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.layout(app, cut{"", 1, 0})
		r := newRouter(t, w)
		now := time.Now()
		for _, c := range []struct{ deadline, want time.Duration }{
			{0, DefaultMaxWait}, {time.Second, time.Second}, {time.Hour, DefaultMaxWait},
		} {
			ctx := t.Context()
			if c.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
				defer cancel()
			}
			if _, err := r.Commit(ctx, app, set("c/a"), NewRequestID(), user); err != nil {
				t.Fatal(err)
			}
			if got := w.sent[len(w.sent)-1].Expires; got != atoll.TimeOf(now.Add(c.want)) {
				t.Errorf("deadline %s: expires at %s, want %s later than now", c.deadline, got, c.want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), resendPause/2)
		defer cancel()
		w.lose = 1
		if _, err := r.Commit(ctx, app, set("c/a"), NewRequestID(), user); atoll.KindOf(err) != atoll.DeadlineExceeded {
			t.Errorf("got %v; want DeadlineExceeded", err)
		}
		if _, err := r.Get(ctx, app, []atoll.Path{"c/a"}, 0, user); atoll.KindOf(err) != atoll.DeadlineExceeded {
			t.Errorf("got %v; want DeadlineExceeded", err)
		}
	})
}

func TestWaiterTriesItselfWhenTheOtherGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		gate := make(chan struct{})
		node := &gated{world: w, gate: gate}
		r := New(Options{Node: node, Root: root})
		impatient, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { _, err := r.Get(impatient, app, nil, 0, user); errs <- err }()
		synctest.Wait()
		go func() { _, err := r.Get(t.Context(), app, nil, 0, user); errs <- err }()
		synctest.Wait()
		cancel()
		if err := <-errs; atoll.KindOf(err) != atoll.Canceled {
			t.Errorf("the first caller got %v; want Canceled", err)
		}
		close(gate)
		if err := <-errs; err != nil {
			t.Errorf("the second caller got %v", err)
		}
	})
}

// gated is a world whose queries wait for a gate.
type gated struct {
	*world
	gate chan struct{}
}

func (g *gated) Query(ctx context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	select {
	case <-g.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.world.Query(ctx, to, q)
}

func TestJointCommitOverShardsOfASubnet(t *testing.T) {
	w := newWorld()
	three(w)
	r := newRouter(t, w)
	mustCommit(t, r, "c/z", "c/a")
	m := w.sent[0]
	want := []atoll.CanisterID{atoll.NewCanisterID(0, 101), atoll.NewCanisterID(0, 103)}
	if !slices.Equal(m.To, want) {
		t.Errorf("sent to %v, want %v in key order", m.To, want)
	}
	var req shard.CommitRequest
	if err := wire.Unmarshal(m.Payload, &req); err != nil {
		t.Fatal(err)
	}
	if len(req.Targets) != 2 || req.Targets[0].Range != 1 || req.Targets[1].Range != 3 || req.Writes[0].Path != "c/z" {
		t.Errorf("sent %+v; want targets in the order of To and the writes as given", req)
	}
}

func TestCommitThatCannotBeRoutedIsUnimplemented(t *testing.T) {
	for name, cuts := range map[string][]cut{
		"two subnets":             {{"", 1, 0}, {"c/h", 2, 1}},
		"two ranges of one shard": {{"", 1, 0}, {"c/h", 1, 0}},
	} {
		w := newWorld()
		w.layout(app, cuts...)
		r := newRouter(t, w)
		_, err := r.Commit(t.Context(), app, set("c/a", "c/z"), NewRequestID(), user)
		if atoll.KindOf(err) != atoll.Unimplemented || len(w.sent) != 0 {
			t.Errorf("%s: got %v and %d messages; want Unimplemented and none", name, err, len(w.sent))
		}
		mustCommit(t, r, "c/z")
	}
}

func TestCommitWithoutWritesIsInvalid(t *testing.T) {
	_, err := newRouter(t, newWorld()).Commit(t.Context(), app, nil, NewRequestID(), user)
	if atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("got %v; want Invalid", err)
	}
}

func TestBrokenMapIsRefused(t *testing.T) {
	w := newWorld()
	three(w)
	m := w.maps[app]
	good := slices.Clone(m.Ranges)
	for name, edit := range map[string]func(d []shard.Descriptor) []shard.Descriptor{
		"empty":          func(d []shard.Descriptor) []shard.Descriptor { return nil },
		"gap":            func(d []shard.Descriptor) []shard.Descriptor { return []shard.Descriptor{d[0], d[2]} },
		"no beginning":   func(d []shard.Descriptor) []shard.Descriptor { return d[1:] },
		"no end":         func(d []shard.Descriptor) []shard.Descriptor { return d[:2] },
		"order":          func(d []shard.Descriptor) []shard.Descriptor { d[0], d[1] = d[1], d[0]; return d },
		"no shard":       func(d []shard.Descriptor) []shard.Descriptor { d[1].Shard = ""; return d },
		"other database": func(d []shard.Descriptor) []shard.Descriptor { d[1].Database.ID = "x"; return d },
		"empty range": func(d []shard.Descriptor) []shard.Descriptor {
			d[0].End, d[1].Start = d[1].End, d[1].End
			return d
		},
		"end in the midst": func(d []shard.Descriptor) []shard.Descriptor { d[1].End, d[2].Start = nil, nil; return d },
	} {
		m.Ranges = edit(slices.Clone(good))
		_, err := newRouter(t, w).Get(t.Context(), app, []atoll.Path{"c/z"}, 0, user)
		if atoll.KindOf(err) != atoll.Internal {
			t.Errorf("%s: got %v; want Internal", name, err)
		}
	}
}

func TestBadDatabaseNameIsInvalid(t *testing.T) {
	w := newWorld()
	_, err := newRouter(t, w).Get(t.Context(), atoll.Database{Project: strings.Repeat("x", 64), ID: "d"}, nil, 0, user)
	if atoll.KindOf(err) != atoll.Invalid || len(w.asked) != 0 {
		t.Errorf("got %v after %d questions; want Invalid without any", err, len(w.asked))
	}
}

func TestErrorsOfTheNodePass(t *testing.T) {
	for _, k := range []atoll.Kind{atoll.Unavailable, atoll.ResourceExhausted, atoll.FailedPrecondition} {
		w := newWorld()
		w.layout(app, cut{"", 1, 0})
		r := New(Options{Node: &failing{w, atoll.Errorf(k, "as it is")}, Root: root})
		_, err := r.Commit(t.Context(), app, set("c/a"), NewRequestID(), user)
		if atoll.KindOf(err) != k || r.Stats().Resent != 0 {
			t.Errorf("%s: got %v, resent %d times", k, err, r.Stats().Resent)
		}
	}
	w := newWorld()
	w.layout(app, cut{"", 1, 0})
	strange := errors.New("strange")
	r := New(Options{Node: &failing{w, strange}, Root: root})
	if _, err := r.Commit(t.Context(), app, set("c/a"), NewRequestID(), user); !errors.Is(err, strange) {
		t.Errorf("got %v", err)
	}
}

// failing is a world that takes no messages.
type failing struct {
	*world
	err error
}

func (f *failing) Update(context.Context, atoll.Message) (atoll.Outcome, error) {
	return atoll.Outcome{}, f.err
}
