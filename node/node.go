package node

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"atoll"
	"atoll/subnet"
)

// Disk is a subnet's store with what the node needs of the disk beneath it.
type Disk struct {
	Store     atoll.Store
	Exclusive bool // a lock keeps other processes away
	// Mark and Witness keep the newest durable height and digest outside the
	// store, so that a store which lost its end is noticed. Both may be nil.
	Mark    func(atoll.Height, atoll.Hash)
	Witness func() (atoll.Height, atoll.Hash, bool)
	// Free returns the bytes that the disk has left; may be nil.
	Free func() (uint64, error)
}

// Options are what a Node is made of.
type Options struct {
	Subnets  int // numbered from 0
	Open     func(atoll.SubnetID) (Disk, error)
	Programs map[string]subnet.Entry
	Genesis  func(atoll.SubnetID) subnet.Genesis
	// Housekeep sends the messages (with Node.Order) that keep a subnet's
	// state small; may be nil. It is called every HousekeepEvery, for one
	// subnet not twice at once.
	Housekeep      func(context.Context, *Node, atoll.SubnetID)
	HousekeepEvery time.Duration
	// MinFree is the free disk space, in bytes, below which writes are
	// refused.
	MinFree uint64
	// ScrubBytes is how many bytes a second the background scrub reads; 0
	// turns it off. It pauses for ScrubPause, or a minute, between passes.
	ScrubBytes int
	ScrubPause time.Duration
	Log        *slog.Logger
}

// Node runs the subnets of one process.
type Node struct {
	opt     Options
	runners []*runner
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Start opens every subnet and runs it. It fails if one cannot be opened; a
// subnet that fails later is opened again by itself.
func Start(opt Options) (*Node, error) {
	ctx, stop := context.WithCancel(context.Background())
	n := &Node{opt: opt, stop: stop}
	for id := range atoll.SubnetID(opt.Subnets) {
		r := &runner{n: n, id: id, wake: make(chan struct{}, 1)}
		n.runners = append(n.runners, r)
		if err := r.open(); err != nil {
			n.Close()
			return nil, err
		}
	}
	for _, r := range n.runners {
		n.done.Go(func() { r.run(ctx) })
		n.done.Go(func() { r.housekeep(ctx) })
		n.done.Go(func() { r.scrub(ctx) })
	}
	return n, nil
}

// Close stops everything. Messages that are under way get their outcomes, or
// an error.
func (n *Node) Close() error {
	n.stop()
	n.done.Wait()
	var err error
	for _, r := range n.runners {
		if e := r.close(); err == nil {
			err = e
		}
	}
	return err
}

// Subnets returns the number of subnets.
func (n *Node) Subnets() int { return len(n.runners) }

func (n *Node) runner(s atoll.SubnetID) (*runner, error) {
	if int(s) >= len(n.runners) {
		return nil, atoll.Errorf(atoll.NotFound, "there is no subnet %d here", s)
	}
	return n.runners[s], nil
}

// of returns the runner of a canister's subnet.
func (n *Node) of(id atoll.CanisterID) (*runner, error) {
	s, ok := atoll.SubnetOf(id)
	if !ok {
		return nil, atoll.Errorf(atoll.Invalid, "%s is no canister", id)
	}
	return n.runner(s)
}

// Update hands a message to the subnet of its receivers and returns its outcome
// once the block that holds it is durable. An error of kind Unavailable or
// ResourceExhausted says that nothing was done; Unknown, and the end of ctx,
// that it cannot be known: the same message may be sent again under its id. A
// failed execution is Outcome.Err, not an error.
func (n *Node) Update(ctx context.Context, m atoll.Message) (atoll.Outcome, error) {
	if m.From == atoll.Management {
		return atoll.Outcome{}, atoll.Errorf(atoll.PermissionDenied, "nobody may speak for the node itself")
	}
	if len(m.To) == 0 {
		return atoll.Outcome{}, atoll.Errorf(atoll.Invalid, "the message names no receiver")
	}
	r, err := n.of(m.To[0])
	if err != nil {
		return atoll.Outcome{}, err
	}
	for _, to := range m.To[1:] {
		if o, err := n.of(to); err != nil || o != r {
			return atoll.Outcome{}, atoll.Errorf(atoll.Invalid, "the receivers of a joint message live on several subnets")
		}
	}
	return r.update(ctx, m)
}

// Query answers from the durable state of the canister's subnet. The answer
// holds everything that was acknowledged before the call.
func (n *Node) Query(ctx context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	return n.QueryAt(ctx, 0, to, q)
}

// QueryAt is Query on a state that shows all up to the time at: no commit will
// come at or below it. It fails with Invalid if at lies ahead of the clock by
// more than atoll.MaxAhead.
func (n *Node) QueryAt(ctx context.Context, at atoll.Time, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	r, err := n.of(to)
	if err != nil {
		return nil, err
	}
	s, err := r.state(ctx, at)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	if e, ok := r.programs.Load(to); ok {
		return subnet.Ask(e.(subnet.Entry), s, s.Head, to, q)
	}
	if to == subnet.ManagementOf(r.id) {
		return subnet.Query(n.opt.Programs, s, s.Head, to, q)
	}
	e, err := subnet.Find(n.opt.Programs, s, to)
	if err != nil {
		return nil, err
	}
	r.programs.Store(to, e)
	return subnet.Ask(e, s, s.Head, to, q)
}

// View returns the newest durable state of a subnet, for viewers and exports.
// It must be released soon.
func (n *Node) View(ctx context.Context, s atoll.SubnetID) (*State, error) {
	r, err := n.runner(s)
	if err != nil {
		return nil, err
	}
	return r.state(ctx, 0)
}

// Durable blocks until the subnet's durable height is above the given one, or
// ctx ends, and returns it.
func (n *Node) Durable(ctx context.Context, s atoll.SubnetID, above atoll.Height) (atoll.Height, error) {
	r, err := n.runner(s)
	if err != nil {
		return 0, err
	}
	for {
		rep := r.replica()
		changed := rep.Changed()
		if st, err := rep.Acquire(); err == nil {
			h := st.Head.Height
			st.Release()
			if h > above {
				return h, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, atoll.Errorf(atoll.DeadlineExceeded, "no block above height %d became durable in time", above)
		case <-changed:
		case <-time.After(time.Second): // the replica may have been replaced
		}
	}
}

func randomSeed() (s [16]byte) {
	rand.Read(s[:])
	return s
}

func wallClock() atoll.Time { return atoll.TimeOf(time.Now()) }

// Order sends a message in the name of the node itself, for the operator, and
// returns its reply.
func (n *Node) Order(ctx context.Context, m atoll.Message) ([]byte, error) {
	r, err := n.of(m.To[0])
	if err != nil {
		return nil, err
	}
	m.From, m.ID = atoll.Management, atoll.RequestID(randomSeed())
	o, err := r.update(ctx, m)
	if err == nil && o.Err != nil {
		err = o.Err
	}
	return o.Payload, err
}

// Checkpoint writes a durable copy of a subnet's store into a new directory. The
// log that follows leads from there to the present.
func (n *Node) Checkpoint(s atoll.SubnetID, dir string) error {
	r, err := n.runner(s)
	if err != nil {
		return err
	}
	return r.on.Load().disk.Store.Checkpoint(dir)
}

// Counters returns what a subnet did since it was last opened, and what waits
// in its mailbox.
func (n *Node) Counters(s atoll.SubnetID) (c Counters, queued, queuedBytes int) {
	r, err := n.runner(s)
	if err != nil {
		return Counters{}, 0, 0
	}
	return r.replica().Counters()
}
