package sim

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"runtime/debug"
	"slices"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/subnet"
)

// world is everything that one run is made of. One goroutine drives it.
type world struct {
	seed      uint64
	opt       Options
	rng       *rand.Rand
	now       atoll.Time // true time, which no process knows
	programs  map[string]subnet.Entry
	sites     []*site
	clients   []*client
	net       []parcel
	seen      history
	databases int        // that clients use
	pace      atoll.Time // the longest that a client rests between two operations
	healed    bool       // nothing breaks any more
	trace     hash.Hash
	n         Counts
	finding   *Finding // the first
	choices   []choice // of a step, kept to spare memory
}

// choice is something that may happen next. It returns false if there was
// nothing to do.
type choice struct {
	weight int
	do     func() bool
}

// Run runs the world of a seed. The error, if any, is a *Finding: the first
// promise that was seen broken.
func Run(seed uint64, opt Options) (report Report, err error) {
	w := newWorld(seed, opt)
	defer func() {
		if r := recover(); r != nil {
			w.fail("panic: %v\n%s", r, debug.Stack())
		}
		w.stop()
		report = w.report()
		if w.finding != nil {
			err = w.finding
		}
	}()
	w.run()
	return
}

// run goes on until something is found, or everything is checked.
func (w *world) run() {
	w.begin()
	for range w.opt.Steps {
		if w.step(); w.finding != nil {
			return
		}
	}
	if w.rest(); w.finding == nil {
		w.verify()
	}
}

func newWorld(seed uint64, opt Options) *world {
	w := &world{seed: seed, opt: opt, rng: rand.New(rand.NewPCG(seed, 0x61746f6c6c)), now: epoch, trace: sha256.New()}
	if opt.Steps <= 0 {
		w.opt.Steps = DefaultSteps
	}
	if opt.Subnets <= 0 {
		w.opt.Subnets = 1 + w.draw(MaxSubnets)
	}
	w.opt.Subnets = min(w.opt.Subnets, MaxSubnets)
	if opt.Clients <= 0 {
		w.opt.Clients = 3 + w.draw(4)
	}
	w.programs = host.Programs()
	w.programs["shard"] = subnet.Entry{Program: shard.NewPlanted(opt.Planted).WithScan(scans[w.draw(len(scans))]), Ranges: true}
	w.programs[courierName] = subnet.Entry{Program: courier{}}
	w.databases, w.pace = 1+w.draw(3), 20*millisecond
	if w.chance(50) {
		w.pace = 300 * millisecond
	}
	w.seen = newHistory()
	return w
}

// begin makes the sites and the clients.
func (w *world) begin() {
	for id := range atoll.SubnetID(w.opt.Subnets) {
		s := newSite(w, id)
		w.sites = append(w.sites, s)
		s.open()
	}
	w.spawn("operator", (*client).operate)
	for i := range w.databases {
		w.spawn(fmt.Sprintf("follower %d", i), func(c *client) { c.follow(database(i)) })
	}
	w.spawn("sender", (*client).post)
	for i := range w.opt.Clients {
		w.spawn(fmt.Sprintf("client %d", i), (*client).use)
	}
}

// faultEvery is after how many steps something breaks, on average.
const faultEvery = 60

// step lets some time pass and one thing happen.
func (w *world) step() {
	w.n.Steps++
	w.pass()
	if !w.healed && w.draw(faultEvery) == 0 {
		w.breakSomething()
		return
	}
	w.choices = w.choices[:0]
	for _, c := range w.clients {
		if c.ready() {
			w.may(4, c.run)
		}
	}
	for _, s := range w.sites {
		s.choices()
	}
	if len(w.net) > 0 {
		w.may(4, w.deliver)
	}
	for len(w.choices) > 0 && !w.choose() {
	}
}

// choose takes one of the choices and reports whether it led to anything.
func (w *world) choose() bool {
	total := 0
	for _, c := range w.choices {
		total += c.weight
	}
	n := w.draw(total)
	for i, c := range w.choices {
		if n -= c.weight; n < 0 {
			w.choices = slices.Delete(w.choices, i, i+1)
			return c.do()
		}
	}
	return false
}

// may adds to what can happen in this step.
func (w *world) may(weight int, do func() bool) { w.choices = append(w.choices, choice{weight, do}) }

// pass lets time pass: mostly little, sometimes much.
func (w *world) pass() {
	w.now += 1 + w.between(0, 3*millisecond)
	if !w.healed && w.chance(2) {
		w.now += w.between(0, 1500*millisecond)
	}
}

// draw returns a number from 0 to n-1.
func (w *world) draw(n int) int { return w.rng.IntN(n) }

// chance is true in so many of a hundred cases.
func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// between returns a time from lo to hi.
func (w *world) between(lo, hi atoll.Time) atoll.Time {
	return lo + atoll.Time(w.rng.Int64N(int64(hi-lo)+1))
}

// bytes16 draws a request id, or the seed of a block.
func (w *world) bytes16() (b [16]byte) {
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// event notes what happened. The sum of all events is the run's trace.
func (w *world) event(format string, args ...any) {
	line := fmt.Appendf(nil, "%d %d ", w.n.Steps, w.now-epoch)
	line = append(fmt.Appendf(line, format, args...), '\n')
	w.trace.Write(line)
	if w.opt.Trace != nil {
		w.opt.Trace.Write(line)
	}
}

// fail notes a broken promise, if it is the first.
func (w *world) fail(format string, args ...any) {
	if w.finding == nil {
		w.finding = &Finding{Seed: w.seed, Step: w.n.Steps, What: fmt.Sprintf(format, args...)}
		w.event("FOUND %s", w.finding.What)
	}
}

// stop ends all clients.
func (w *world) stop() {
	for _, c := range w.clients {
		c.end()
	}
}

func (w *world) report() Report {
	r := Report{Seed: w.seed, Trace: atoll.Hash(w.trace.Sum(nil)), Counts: w.n}
	for _, s := range w.sites {
		r.Tips = append(r.Tips, s.tip)
	}
	return r
}
