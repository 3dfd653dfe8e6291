package sim

import (
	"atoll"
	"atoll/subnet"
)

// parcel is a slice of letters on its way.
type parcel struct {
	to    atoll.SubnetID
	slice atoll.Slice
}

// maxParcels bounds what is on its way.
const maxParcels = 48

// exchange sends on what the other subnets may not have: letters that they have
// not acknowledged, and how far we hold theirs.
func (s *site) exchange() (sent bool) {
	w := s.w
	p := s.serving()
	if p == nil || len(w.net) >= maxParcels {
		return false
	}
	st, err := p.rep.Acquire()
	if err != nil {
		return false
	}
	defer st.Release()
	streams, err := subnet.Streams(st)
	if err != nil {
		w.fail("subnet %d: %v", s.id, err)
		return true
	}
	for _, other := range w.sites {
		str := streams[other.id]
		if str == nil || str.Out == str.Acked && str.In == s.toldOf[other.id] && !w.chance(5) {
			continue
		}
		slice, err := subnet.Outgoing(st, s.id, other.id, str.Acked+1, 1+w.draw(8))
		if err != nil {
			w.fail("subnet %d: %v", s.id, err)
			return true
		}
		slice.Acked = str.In
		s.toldOf[other.id] = str.In
		w.net = append(w.net, parcel{other.id, slice})
		w.event("letters %d to %d: %d from %d on, acknowledged %d", s.id, other.id, len(slice.Letters), slice.First, slice.Acked)
		sent = true
	}
	return sent
}

// deliver lets any parcel arrive, lose itself, or arrive and stay under way.
func (w *world) deliver() bool {
	i := w.draw(len(w.net))
	pc := w.net[i]
	switch n := w.draw(100); {
	case w.healed || n < 70:
		w.net = append(w.net[:i], w.net[i+1:]...)
	case n < 85:
		w.net = append(w.net[:i], w.net[i+1:]...)
		w.n.LostSlices++
		// They ask again for what they have not been told.
		delete(w.sites[pc.slice.From].toldOf, pc.to)
		return true
	default:
		w.n.Repeated++
	}
	if p := w.sites[pc.to].serving(); p != nil {
		w.n.Parcels++
		p.rep.Receive(pc.slice)
		w.event("letters %d to %d: %d from %d on arrive", pc.slice.From, pc.to, len(pc.slice.Letters), pc.slice.First)
	} else {
		delete(w.sites[pc.slice.From].toldOf, pc.to)
	}
	return true
}

// unheard reports whether any subnet holds letters or acknowledgements for
// another that it does not know of yet. States are by site.
func unheard(streams []map[atoll.SubnetID]*subnet.Stream) bool {
	for a := range streams {
		for b := range streams {
			if a == b {
				continue
			}
			var ab, ba subnet.Stream
			if s := streams[a][atoll.SubnetID(b)]; s != nil {
				ab = *s
			}
			if s := streams[b][atoll.SubnetID(a)]; s != nil {
				ba = *s
			}
			if ab.Out != ab.Acked || ab.Out != ba.In {
				return true
			}
		}
	}
	return false
}
