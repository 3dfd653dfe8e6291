package sim

import (
	"atoll"
	"atoll/program/accounts"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// How long things are kept in a world, in true time; clocks that are wrong
// shift it. Results must outlast every repetition of a request: a message may
// wait for expiry after its client's persistence.
const (
	keepVersions = 4 * second
	keepLatest   = 12 * second
	keepResults  = 20 * second
)

// operate does what the host of an installation does: it configures it, has old
// versions collected, changes the semantics version, and mints cycles.
func (c *client) operate() {
	w := c.w
	config := wire.Marshal(accounts.Config{Subnets: uint32(len(w.sites))})
	for !w.healed {
		if _, err := c.order(w.sites[0], rootCanister, accounts.MethodConfigure, config); err == nil {
			break
		}
	}
	for !w.healed {
		s := w.sites[w.draw(len(w.sites))]
		switch n := w.draw(100); {
		case n < 70:
			c.collect(s)
		case n < 85:
			version := subnet.MinSemantics + atoll.Semantics(w.draw(int(subnet.MaxSemantics-subnet.MinSemantics)+1))
			if _, err := c.order(s, atoll.Management, subnet.MethodActivate, wire.Marshal(subnet.ActivateRequest{Version: version})); err == nil {
				w.n.Switches++
			}
		default:
			to := courierID(s.id, w.draw(couriers))
			c.order(s, atoll.Management, subnet.MethodMint, wire.Marshal(subnet.MintRequest{Canister: to, Cycles: 1000}))
		}
		c.sleep(w.between(0, 500*millisecond))
	}
}

// order sends a message in the name of the node itself.
func (c *client) order(s *site, to atoll.CanisterID, method string, payload []byte) ([]byte, error) {
	c.request()
	out, err := door{c}.send(s, atoll.Message{
		ID: c.w.bytes16(), From: atoll.Management, To: []atoll.CanisterID{to}, Method: method, Payload: payload,
	})
	if err == nil && out.Err != nil {
		err = out.Err
	}
	c.w.event("%s: %s on subnet %d: %v", c.name, method, s.id, err)
	return out.Payload, err
}

// collect has one shard forget old versions, by the clock of a process.
func (c *client) collect(s *site) {
	w := c.w
	st, err := door{c}.state(s, 0)
	if err != nil {
		return
	}
	infos, err := subnet.Canisters(st, "", 100)
	st.Release()
	if err != nil {
		w.fail("subnet %d: %v", s.id, err)
		return
	}
	var shards []atoll.CanisterID
	for _, i := range infos {
		if i.Program == "shard" {
			shards = append(shards, i.ID)
		}
	}
	if len(shards) == 0 {
		return
	}
	id := shards[w.draw(len(shards))]
	raw, err := door{c}.query(0, id, atoll.Question{Method: shard.MethodStatus})
	var status shard.Status
	if err != nil || wire.Unmarshal(raw, &status) != nil || len(status.Ranges) == 0 {
		return
	}
	p := s.serving()
	if p == nil {
		return
	}
	now := p.clock.read()
	req := shard.CollectRequest{Versions: now - keepVersions, Latest: now - keepLatest, Requests: now - keepResults, Limit: 1 + w.draw(40)}
	h := w.seen.horizon(status.Ranges[0].Database)
	h.versions, h.latest = max(h.versions, req.Versions), max(h.latest, req.Latest)
	if _, err := c.order(s, id, shard.MethodCollect, wire.Marshal(req)); err == nil {
		w.n.Collected++
	}
}

// follow reads the change feed of one database after the other client's
// changes, page by page.
func (c *client) follow(db atoll.Database) {
	w := c.w
	seg := &segment{db: db}
	w.seen.feeds = append(w.seen.feeds, seg)
	for !w.healed {
		forgotten := w.seen.horizon(db).versions
		page, err := c.router.Feed(c.request(), db, seg.to, 1+w.draw(6), c.who)
		w.event("%s: feed of %s: %d changes up to %d, %v", c.name, db, len(page.Changes), page.Closed, err)
		switch k := atoll.KindOf(err); {
		case k == atoll.OK:
			w.n.Changes += len(page.Changes)
			seg.changes = append(seg.changes, page.Changes...)
			seg.to = page.Next
			// What is forgotten while the page is read may be missing in it.
			seg.forgotten = max(forgotten, w.seen.horizon(db).versions)
		case k == atoll.FailedPrecondition && seg.to.Time < w.seen.horizon(db).latest:
			w.n.Resyncs++
			if t, _, ok := c.get(db, 0, docAt("r", 0)); ok {
				at := shard.FeedCursor{Time: t}
				seg = &segment{db: db, from: at, to: at}
				w.seen.feeds = append(w.seen.feeds, seg)
			}
		case k == atoll.FailedPrecondition || k == atoll.Invalid || k == atoll.Internal || k == atoll.DataLoss:
			w.fail("%s: the feed of %s behind %s: %v", c.name, db, seg.to.Time, err)
			return
		}
		c.sleep(w.between(0, 300*millisecond))
	}
}
