package sim

import (
	"context"
	"fmt"
	"iter"
	"time"

	"atoll"
	"atoll/node"
	"atoll/route"
	"atoll/subnet"
)

const (
	// expiry is how long a message may wait for its execution.
	expiry = 6 * time.Second
	// patience is how long a client waits for one answer, and persistence for
	// how long it repeats a request whose outcome it does not know. Results
	// are kept for longer (see operate), whatever the clocks show.
	patience    = 2 * second
	persistence = 4 * second
	// gatewaySkew is the error of a gateway's clock.
	gatewaySkew = 100 * millisecond
)

// client is a coroutine that uses the world. It runs only while the scheduler
// resumes it, and goes on until it pauses.
type client struct {
	w      *world
	name   string
	who    route.Caller
	router *route.Router // each its own: one that is shared makes callers wait for each other
	resume func() (struct{}, bool)
	quit   func()
	yield  func(struct{}) bool
	wake   atoll.Time  // when it goes on, or
	cond   func() bool // as soon as this is true
	drop   func()      // ends the context of the request under way
	done   bool
}

// ended is what unwinds a client when the world ends.
type ended struct{}

// spawn starts a client. It ends by itself soon after the world is healed.
func (w *world) spawn(name string, run func(*client)) {
	c := &client{w: w, name: name, wake: w.now + w.between(0, 100*millisecond)}
	c.who = route.Caller{Principal: atoll.Principal(fmt.Sprintf("\x02client%02d", len(w.clients)))}
	skew := w.between(-gatewaySkew, gatewaySkew)
	c.router = route.New(route.Options{
		Node: door{c}, Root: rootCanister, MaxWait: expiry,
		Clock: func() time.Time { return (w.now + skew).Std() },
	})
	c.resume, c.quit = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != (ended{}) {
				panic(r)
			}
		}()
		c.yield = yield
		run(c)
	})
	w.clients = append(w.clients, c)
}

func (c *client) ready() bool {
	return !c.done && (c.w.now >= c.wake || c.cond != nil && c.cond())
}

func (c *client) run() bool {
	_, more := c.resume()
	c.done = !more
	return true
}

func (c *client) end() {
	c.quit()
	c.done = true
}

func (c *client) pause() {
	if !c.yield(struct{}{}) {
		panic(ended{})
	}
}

// sleep lets others go on for a time.
func (c *client) sleep(d atoll.Time) {
	c.wake, c.cond = c.w.now+d, nil
	c.pause()
}

// await waits until cond, at most for a time, and returns cond.
func (c *client) await(d atoll.Time, cond func() bool) bool {
	c.wake, c.cond = c.w.now+d, cond
	c.pause()
	return cond()
}

// travel is the time that a packet takes.
func (c *client) travel() { c.sleep(c.w.between(0, 2*millisecond)) }

// request returns the context of one request. If its outcome becomes unknown
// the door ends it, so that it is the client who decides about a repetition and
// not the router, which would wait by the real clock.
func (c *client) request() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	c.drop = cancel
	return ctx
}

// door is route.Node as one client reaches it.
type door struct{ c *client }

var _ route.Node = door{}

func (d door) site(id atoll.CanisterID) (*site, error) {
	n, ok := atoll.SubnetOf(id)
	if !ok || int(n) >= len(d.c.w.sites) {
		return nil, atoll.Errorf(atoll.NotFound, "there is no subnet of %s", id)
	}
	return d.c.w.sites[n], nil
}

// unknown ends the request and says that its outcome is open.
func (d door) unknown(why string) (atoll.Outcome, error) {
	d.c.drop()
	return atoll.Outcome{}, atoll.Errorf(atoll.Unknown, "%s", why)
}

// Update implements route.Node.
func (d door) Update(_ context.Context, m atoll.Message) (atoll.Outcome, error) {
	s, err := d.site(m.To[0])
	if err != nil {
		return atoll.Outcome{}, err
	}
	if m.To[0] == rootCanister {
		m.ID = d.c.w.bytes16() // the router draws it at random; a run must not depend on that
	}
	return d.send(s, m)
}

// send hands a message to a process of a site.
func (d door) send(s *site, m atoll.Message) (atoll.Outcome, error) {
	c := d.c
	c.travel()
	if !c.await(patience, s.answers) {
		return atoll.Outcome{}, atoll.Errorf(atoll.Unavailable, "nobody answers")
	}
	p := s.serving()
	var told bool
	var out atoll.Outcome
	var failed error
	served := s.served
	forget, err := p.rep.Submit(m, func(o atoll.Outcome, err error) {
		told, out, failed = true, o, err
		if err == nil && o.Time <= served {
			c.w.fail("%s on subnet %d was executed at %s, after a read at %s was answered", m.Method, s.id, o.Time, served)
		}
	})
	if err != nil {
		return atoll.Outcome{}, err
	}
	c.await(patience, func() bool { return told || p.gone })
	switch {
	case !told && p.gone:
		return d.unknown("the connection broke")
	case !told:
		forget()
		return d.unknown("no answer in time")
	case atoll.KindOf(failed) == atoll.Unknown:
		return d.unknown(failed.Error())
	case failed != nil:
		return out, failed
	}
	c.travel()
	if !c.w.healed && c.w.chance(4) {
		c.w.n.LostAcks++
		return d.unknown("the answer was lost")
	}
	s.acked = max(s.acked, out.Time)
	return out, nil
}

// Query implements route.Node.
func (d door) Query(_ context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	return d.query(0, to, q)
}

// QueryAt implements route.Node.
func (d door) QueryAt(_ context.Context, at atoll.Time, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	return d.query(at, to, q)
}

func (d door) query(at atoll.Time, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	c := d.c
	s, err := d.site(to)
	if err != nil {
		return nil, err
	}
	acked := s.acked
	c.travel()
	st, err := d.state(s, at)
	if atoll.KindOf(err) == atoll.Invalid && at <= acked {
		c.w.fail("%s may not read subnet %d as of %s, though a message of %s was acknowledged: %v", c.name, s.id, at, acked, err)
	}
	if err != nil {
		return nil, err
	}
	defer st.Release()
	if at == 0 && st.Head.Time < acked {
		c.w.fail("%s read subnet %d as of %s, after a message of %s was acknowledged", c.name, s.id, st.Head.Time, acked)
	}
	s.show(st.Head, max(at, st.Head.Time))
	if c.w.chance(8) {
		c.sleep(c.w.between(0, 300*millisecond)) // a slow reader
	}
	reply, err := subnet.Query(c.w.programs, st, st.Head, to, q)
	if atoll.KindOf(err) == atoll.NotFound && at != 0 && st.Head.Height < s.tip.Height {
		// A process that has fallen behind may serve the past, and yet not
		// know a canister that was made since.
		err = atoll.Errorf(atoll.Unavailable, "%v", err)
	}
	c.travel()
	return reply, err
}

// state waits for a durable state that shows all up to at, as package node's
// own driver does; 0 means the newest.
func (d door) state(s *site, at atoll.Time) (*node.State, error) {
	c := d.c
	for until := c.w.now + patience; c.w.now < until; {
		p := s.serving()
		if p == nil {
			c.sleep(c.w.between(0, 20*millisecond))
			continue
		}
		var st *node.State
		var err error
		changed := p.rep.Changed()
		if at == 0 {
			st, err = p.rep.Acquire()
		} else {
			st, err = p.rep.CloseAt(at)
		}
		if st != nil || atoll.KindOf(err) == atoll.Invalid {
			return st, err
		}
		c.await(c.w.between(0, 50*millisecond), func() bool { return closed(changed) })
	}
	return nil, atoll.Errorf(atoll.DeadlineExceeded, "subnet %d gave no state in time", s.id)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
