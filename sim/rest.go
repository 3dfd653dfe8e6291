package sim

import (
	"atoll"
	"atoll/subnet"
	"atoll/wire"
)

// maxRest is how many steps a healed world may take to come to rest.
const maxRest = 40_000

// rest heals the world and lets it go on until nothing is left to do.
func (w *world) rest() {
	w.heal()
	w.settleDown()
	if w.finding != nil {
		return
	}
	for _, s := range w.sites {
		for i := range couriers {
			w.flush(s, courierID(s.id, i))
		}
	}
	w.settleDown()
}

func (w *world) heal() {
	w.event("healed")
	w.healed = true
	for _, s := range w.sites {
		s.empty()
		s.heal()
		for len(s.procs) > 1 {
			p := s.procs[0]
			p.rep.Fail(atoll.Errorf(atoll.Unavailable, "retired"))
			p.end()
		}
		for _, p := range s.procs {
			p.paused = 0
			p.takeWrites()
		}
	}
}

// settleDown goes on until all clients have ended and everything that was sent
// has arrived and is durable.
func (w *world) settleDown() {
	for n := 0; n < maxRest; n++ {
		if w.step(); w.finding != nil || n%64 == 0 && w.quiet() {
			return
		}
	}
	w.fail("the world does not come to rest")
}

func (w *world) quiet() bool {
	for _, c := range w.clients {
		if !c.done {
			return false
		}
	}
	streams := make([]map[atoll.SubnetID]*subnet.Stream, len(w.sites))
	for i, s := range w.sites {
		if len(s.procs) != 1 || !s.drain() {
			return false
		}
		var err error
		if streams[i], err = subnet.Streams(s.store); err != nil {
			w.fail("subnet %d: %v", s.id, err)
		}
	}
	w.net = nil
	return !unheard(streams)
}

// drain has a site do all that it can do alone.
func (s *site) drain() bool {
	for w := s.w; w.finding == nil && len(s.procs) == 1; {
		p := s.procs[0]
		p.propose()
		if len(p.flying) == 0 {
			return p.clock.read() >= p.from
		}
		if s.sync(); !p.gone {
			p.settle()
		}
	}
	return false
}

// flush asks a courier for the answers that it owes.
func (w *world) flush(s *site, id atoll.CanisterID) {
	m := atoll.Message{ID: w.bytes16(), From: "\x02end", To: []atoll.CanisterID{id}, Method: "flush", Payload: wire.Marshal(struct{}{})}
	if _, err := s.procs[0].rep.Submit(m, func(atoll.Outcome, error) {}); err != nil {
		w.fail("courier %s cannot be asked at the end: %v", id, err)
	}
}
