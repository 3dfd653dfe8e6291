package node

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"atoll"
	"atoll/subnet"
)

// runner drives one replica, and opens it again when it died.
type runner struct {
	n    *Node
	id   atoll.SubnetID
	wake chan struct{}
	on   atomic.Pointer[running]
	// programs maps canisters to their subnet.Entry, as queries find them:
	// canisters are never removed, and keep their program.
	programs sync.Map

	scrubbed  atomic.Int64 // unix seconds of the last full pass
	scrubs    atomic.Uint64
	reopens   atomic.Uint64
	freeBytes atomic.Uint64
}

// running is a replica with the disk that it runs on.
type running struct {
	*Replica
	disk  Disk
	acked map[atoll.SubnetID]uint64 // of the settling goroutine: acknowledgements sent
}

func (r *runner) replica() *Replica { return r.on.Load().Replica }

// open opens the disk and the replica on it.
func (r *runner) open() error {
	disk, err := r.n.opt.Open(r.id)
	if err != nil {
		return err
	}
	cfg := Config{
		Subnet: subnet.Config{Subnet: r.id, Programs: r.n.opt.Programs, Lanes: parallel},
		Store:  disk.Store, Clock: wallClock, Seed: randomSeed,
		Exclusive: disk.Exclusive, Mark: disk.Mark,
	}
	if r.n.opt.Genesis != nil {
		cfg.Genesis = r.n.opt.Genesis(r.id)
	}
	rep, err := OpenReplica(cfg)
	if err == nil {
		err = witness(disk, rep.last)
	}
	if err != nil {
		if rep != nil {
			rep.Close()
		}
		disk.Store.Close()
		return err
	}
	rep.wake = r.nudge
	r.on.Store(&running{rep, disk, map[atoll.SubnetID]uint64{}})
	r.nudge()
	return nil
}

// witness compares the state with what was marked durable.
func witness(d Disk, h subnet.Head) error {
	if d.Witness == nil {
		return nil
	}
	height, digest, ok := d.Witness()
	switch {
	case !ok || height < h.Height:
		return nil
	case height > h.Height:
		return atoll.Errorf(atoll.DataLoss, "subnet %d ends at height %d, but %d was acknowledged: the end of its store is missing or damaged. Restore a backup, or remove the file DURABLE to go on without the acknowledged blocks above %d", h.Subnet, h.Height, height, h.Height)
	case digest != h.Digest:
		return atoll.Errorf(atoll.DataLoss, "subnet %d has digest %s at height %d, but %s was acknowledged: its store was damaged or replaced. Restore a backup, or remove the file DURABLE to go on with what is there", h.Subnet, h.Digest, height, digest)
	}
	return nil
}

func (r *runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *runner) close() error {
	on := r.on.Load()
	if on == nil {
		return nil
	}
	on.Close()
	return on.disk.Store.Close()
}

// run drives the replica until ctx ends.
func (r *runner) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.drive(ctx)
		if ctx.Err() != nil {
			return
		}
		if atoll.KindOf(err) == atoll.DataLoss {
			// Opening it again would serve what is damaged.
			r.n.opt.Log.Error("a subnet stopped for good: its data is damaged. Restore a backup", "subnet", r.id, "error", err)
			<-ctx.Done()
			return
		}
		r.n.opt.Log.Error("a subnet stopped and is opened again", "subnet", r.id, "error", err)
		r.reopen(ctx)
	}
}

// reopen throws the state in memory away and opens the disk until it works.
func (r *runner) reopen(ctx context.Context) {
	if err := r.close(); err != nil {
		r.n.opt.Log.Warn("closing a failed store", "subnet", r.id, "error", err)
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err := r.open()
		if err == nil {
			r.reopens.Add(1)
			return
		}
		r.n.opt.Log.Error("a subnet cannot be opened; trying again", "subnet", r.id, "error", err)
	}
}

// drive proposes blocks while an earlier one syncs, and settles them in order.
// It returns the error that made the replica fail.
func (r *runner) drive(ctx context.Context) error {
	on := r.on.Load()
	applied := make(chan *Block, 1)
	var settling sync.WaitGroup
	settling.Go(func() { r.settle(on, applied) })
	defer settling.Wait()
	defer close(applied)
	for {
		b, err := on.Propose()
		switch {
		case err != nil:
			return err
		case b != nil:
			applied <- b
			continue
		case on.Err() != nil:
			return on.Err()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
	}
}

// settle waits for each block to be durable. It sends letters on to the other
// subnets, and sends those again that are not acknowledged after a while.
func (r *runner) settle(on *running, applied <-chan *Block) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case b, ok := <-applied:
			if !ok {
				return
			}
			if err := b.Wait(); err != nil {
				on.Fail(err)
				r.nudge()
				continue
			}
			on.Settle(b)
			if b.res.Streams || len(b.heard) > 0 {
				r.exchange(on, b.heard, false)
			}
		case <-again.C:
			r.exchange(on, nil, true)
		}
	}
}

// exchange hands letters and acknowledgements to the other subnets of this
// process: what is new, what those that were heard of may have missed, or
// again everything that is not acknowledged.
func (r *runner) exchange(on *running, heard []atoll.SubnetID, again bool) {
	s, err := on.Acquire()
	if err != nil {
		return
	}
	defer s.Release()
	streams, err := subnet.Streams(s)
	for to, st := range streams { // order does not matter: each goes to another subnet
		other, e := r.n.runner(to)
		quiet := st.Out == st.Acked && (again || st.In == on.acked[to] && !slices.Contains(heard, to))
		if e != nil || quiet {
			continue
		}
		var slice atoll.Slice
		if slice, err = subnet.Outgoing(s, r.id, to, st.Acked+1, maxSliceLetters); err != nil {
			break
		}
		slice.Acked = st.In
		on.acked[to] = st.In
		other.replica().Receive(slice)
	}
	if err != nil {
		on.Fail(err)
		r.nudge()
	}
}

// maxSliceLetters is the most letters of one subnet that a block takes.
const maxSliceLetters = 256

func (r *runner) update(ctx context.Context, m atoll.Message) (atoll.Outcome, error) {
	type result struct {
		o   atoll.Outcome
		err error
	}
	c := make(chan result, 1)
	forget, err := r.replica().Submit(m, func(o atoll.Outcome, err error) { c <- result{o, err} })
	if err != nil {
		return atoll.Outcome{}, err
	}
	select {
	case res := <-c:
		return res.o, res.err
	case <-ctx.Done():
		forget()
		return atoll.Outcome{}, atoll.Errorf(atoll.Unknown, "gave up waiting for the outcome of %s: %v", m.Method, ctx.Err())
	}
}

// state waits for a durable state that shows all up to at; 0 means the newest.
func (r *runner) state(ctx context.Context, at atoll.Time) (*State, error) {
	for {
		rep := r.replica()
		if s, final, err := rep.stateAt(at); final {
			return s, err
		}
		changed := rep.Changed()
		// What was missing may have come before we began to listen.
		if s, final, err := rep.stateAt(at); final {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, atoll.Errorf(atoll.DeadlineExceeded, "the state at %s is not durable yet", at)
		case <-changed:
		}
	}
}

// stateAt returns the state at a time, or the newest if it is 0. Final is false
// if it is worth to ask again when something changed.
func (r *Replica) stateAt(at atoll.Time) (s *State, final bool, err error) {
	if at == 0 {
		s, err = r.Acquire()
	} else {
		s, err = r.CloseAt(at)
	}
	return s, s != nil || err != nil && (r.Err() != nil || atoll.KindOf(err) == atoll.Invalid), err
}

// parallel runs lanes on as many goroutines as there are processors.
func parallel(n int, lane func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				lane(i)
			}
		})
	}
	wg.Wait()
}
