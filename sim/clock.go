package sim

import "atoll"

const (
	millisecond atoll.Time = 1000
	second      atoll.Time = 1_000_000

	// epoch is the true time at which every world begins.
	epoch = 1_700_000_000 * second

	// A process that has its disk alone may have any clock; its own error is
	// at most maxSkew. Processes that share a disk rely on leases, and so on
	// clocks that agree within sharedSkew.
	maxSkew    = 2 * second
	sharedSkew = 200 * millisecond
	maxDrift   = 500 // parts in a million
)

// clock is the wall clock of one process. It runs too fast or too slow, and is
// set now and then.
type clock struct {
	w      *world
	skew   atoll.Time // the most by which it is set wrong
	offset atoll.Time
	since  atoll.Time // when it was set
	drift  atoll.Time // microseconds in each second
}

func (w *world) newClock(skew atoll.Time) *clock {
	c := &clock{w: w, skew: skew, drift: w.between(-maxDrift, maxDrift)}
	c.set()
	return c
}

// set sets the clock wrong anew.
func (c *clock) set() { c.offset, c.since = c.w.between(-c.skew, c.skew), c.w.now }

// read returns what the clock shows.
func (c *clock) read() atoll.Time {
	return c.w.now + c.offset + (c.w.now-c.since)*c.drift/second
}
