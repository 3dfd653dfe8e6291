package sim

import (
	"fmt"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
	"atoll/wire"
)

// The documents of every database. What stands in a collection is used in one
// way, which its checks rely on.
const (
	registers = 3 // r/0...: set and read whole
	counters  = 2 // c/0...: incremented
	purses    = 4 // a/0...: money is moved between them; the sum is 0
	listed    = 6 // l/0...: made, changed, removed and listed, with documents below at m
)

func docAt(collection string, n int) atoll.Path {
	return atoll.Path(fmt.Sprintf("%s/%d", collection, n))
}

func database(n int) atoll.Database {
	return atoll.Database{Project: "sim", ID: fmt.Sprintf("db%d", n)}
}

// use is what most clients do.
func (c *client) use() {
	w := c.w
	for !w.healed {
		db := database(w.draw(w.databases))
		switch n := w.draw(100); {
		case n < 18:
			c.increment(db)
		case n < 31:
			c.setRegister(db)
		case n < 44:
			c.readOne(db)
		case n < 53:
			c.transfer(db)
		case n < 61:
			c.readPurses(db)
		case n < 82:
			c.readPast(db)
		case n < 92:
			c.edit(db)
		default:
			c.list(db)
		}
		switch n := w.draw(100); {
		case n < 20:
			c.query(db)
		case n < 30:
			c.sumUp(db)
		case n < 35:
			c.sumOfPurses(db)
		case n < 50:
			c.transact(db)
		}
		c.sleep(w.between(0, w.pace))
	}
}

// commit sends writes until their outcome is known, or patience is over.
func (c *client) commit(db atoll.Database, writes ...shard.Write) (*commitRecord, error) {
	return c.commitIf(db, route.Reads{}, writes...)
}

// commitIf is commit of a transaction that has read something.
func (c *client) commitIf(db atoll.Database, reads route.Reads, writes ...shard.Write) (*commitRecord, error) {
	w := c.w
	rec := &commitRecord{id: w.bytes16(), db: db}
	w.seen.commits = append(w.seen.commits, rec)
	began, unsure := w.now, false
	for tries := 0; ; tries++ {
		reply, err := c.router.CommitIf(c.request(), db, writes, reads, rec.id, c.who)
		w.event("%s: commit %x: %v %v", c.name, rec.id[:4], reply.Time, err)
		nothing := false
		switch k := atoll.KindOf(err); k {
		case atoll.OK:
			rec.outcome, rec.reply = acked, reply
			w.n.Acked++
			w.seen.learn(db, reply.Time)
			if len(reads.Queries) > 0 {
				w.n.Kept++
			}
			return rec, nil
		case atoll.Aborted:
			w.n.Conflicts++
			if len(reads.Queries) == 0 {
				w.fail("%s: a commit to %s that has read nothing failed: %v", c.name, db, err)
			}
			fallthrough
		case atoll.NotFound, atoll.AlreadyExists, atoll.FailedPrecondition:
			if !unsure {
				rec.outcome = failed
			}
			w.n.Failed++
			return rec, err
		case atoll.Unavailable, atoll.ResourceExhausted:
			nothing = !unsure
		case atoll.Unknown, atoll.DeadlineExceeded, atoll.Canceled:
			unsure = true
		default:
			w.fail("%s: a commit to %s failed: %v", c.name, db, err)
			return rec, err
		}
		if w.now-began > persistence || tries == 20 || w.chance(3) {
			if nothing {
				rec.outcome = refused
				w.n.Refused++
			} else {
				w.n.Open++
			}
			return rec, err
		}
		w.n.Resent++
		c.sleep(w.between(0, 200*millisecond))
	}
}

// get reads documents of one database. ok is false if there was no answer.
func (c *client) get(db atoll.Database, at atoll.Time, paths ...atoll.Path) (t atoll.Time, docs []version, ok bool) {
	w := c.w
	reply, err := c.router.Get(c.request(), db, paths, at, c.who)
	if !c.answered(db, at, err) {
		return 0, nil, false
	}
	w.event("%s: get %v at %d: %d", c.name, paths, at, reply.Time)
	if at != 0 && reply.Time != at {
		w.fail("%s: a read at %s answered as of %s", c.name, at, reply.Time)
	}
	w.seen.learn(db, reply.Time)
	for i := range reply.Documents {
		if reply.Documents[i].Path != paths[i] {
			w.fail("%s: asked for %s and got %s", c.name, paths[i], reply.Documents[i].Path)
		}
		docs = append(docs, w.read(db, reply.Time, &reply.Documents[i]))
	}
	if at == 0 {
		w.n.Reads += len(docs)
	} else {
		w.n.PastReads += len(docs)
	}
	return reply.Time, docs, true
}

// answered tells whether a read succeeded, and fails the world on an error that
// has no excuse.
func (c *client) answered(db atoll.Database, at atoll.Time, err error) bool {
	w := c.w
	excuse := false
	switch atoll.KindOf(err) {
	case atoll.OK:
		return true
	case atoll.Unavailable, atoll.Unknown, atoll.DeadlineExceeded, atoll.Canceled, atoll.ResourceExhausted:
		excuse = true
	case atoll.FailedPrecondition: // older than what is kept
		excuse = at != 0 && at < w.seen.horizon(db).versions
	case atoll.Invalid: // after what a slow clock takes for the future
		excuse = at > w.now-maxSkew-gatewaySkew
	}
	if !excuse {
		w.fail("%s: a read of %s at %s failed: %v", c.name, db, at, err)
	}
	return false
}

func (c *client) increment(db atoll.Database) {
	w := c.w
	p := docAt("c", w.draw(counters))
	op := operation{place: place{db, p}, kind: opAdd, call: w.seen.now(), in: content{n: 1 + int64(w.draw(3))}}
	rec, _ := c.commit(db, add(p, op.in.n))
	w.seen.done(op, rec.outcome)
}

func (c *client) setRegister(db atoll.Database) {
	w := c.w
	p := docAt("r", w.draw(registers))
	op := operation{place: place{db, p}, kind: opSet, call: w.seen.now()}
	op.in = content{n: op.call, s: fmt.Sprintf("%s at %d", c.name, op.call)}
	rec, _ := c.commit(db, set(p, op.in))
	w.seen.done(op, rec.outcome)
}

// readOne reads a register or a counter as of now.
func (c *client) readOne(db atoll.Database) {
	w := c.w
	p := docAt("c", w.draw(counters))
	if w.chance(60) {
		p = docAt("r", w.draw(registers))
	}
	op := operation{place: place{db, p}, kind: opGet, call: w.seen.now()}
	if _, docs, ok := c.get(db, 0, p); ok {
		op.out = docs[0].content
		w.seen.done(op, acked)
	}
}

// transfer moves money, so that the sum of all accounts stays 0.
func (c *client) transfer(db atoll.Database) {
	w := c.w
	from := w.draw(purses)
	to := (from + 1 + w.draw(purses-1)) % purses
	n := int64(1 + w.draw(100))
	c.commit(db, add(docAt("a", from), -n), add(docAt("a", to), n))
}

func pursePaths() (all []atoll.Path) {
	for i := range purses {
		all = append(all, docAt("a", i))
	}
	return all
}

func (c *client) readPurses(db atoll.Database) {
	at := atoll.Time(0)
	if c.w.chance(40) {
		at = c.past(db)
	}
	t, docs, ok := c.get(db, at, pursePaths()...)
	if !ok {
		return
	}
	sum := int64(0)
	for _, d := range docs {
		sum += d.n
	}
	if sum != 0 {
		c.w.fail("%s: the accounts of %s hold %d at %s: a transfer was torn", c.name, db, sum, t)
	}
}

// past returns a time at which a database was read or written; 0 if none is
// known.
func (c *client) past(db atoll.Database) atoll.Time {
	all := c.w.seen.times[db]
	if len(all) == 0 {
		return 0
	}
	return all[c.w.draw(len(all))] - c.w.between(0, 1)
}

// readPast reads some documents at one time, twice: in the past, or a little
// ahead, up to where a node promises that no commit will come any more.
func (c *client) readPast(db atoll.Database) {
	w := c.w
	at := c.past(db)
	switch known := w.seen.times[db]; {
	case at == 0 || w.chance(15):
		at = w.now + w.between(-second, 400*millisecond)
	case w.chance(40):
		at = known[len(known)-1] + w.between(0, 300*millisecond)
	}
	paths := []atoll.Path{docAt("c", w.draw(counters)), docAt("r", w.draw(registers)), docAt("a", w.draw(purses)), docAt("l", w.draw(listed))}
	for range 2 {
		if _, _, ok := c.get(db, at, paths...); !ok {
			return
		}
		c.sleep(w.between(0, 400*millisecond))
	}
}

// edit makes, changes or removes a listed document, or two of them.
func (c *client) edit(db atoll.Database) {
	w := c.w
	p := docAt("l", w.draw(listed))
	if w.chance(30) {
		p = docAt(string(p)+"/m", w.draw(2))
	}
	new := content{n: w.seen.now(), s: c.name}
	switch w.draw(6) {
	case 0:
		c.commit(db, onlyIf(set(p, new), false))
	case 1:
		c.commit(db, onlyIf(set(p, new), true))
	case 2:
		c.commit(db, remove(p))
	case 3:
		c.commit(db, onlyIf(remove(p), true))
	case 4:
		c.commit(db, set(p, new), remove(docAt("l", w.draw(listed))), add(p, 1))
	case 5:
		if t, docs, ok := c.get(db, 0, p); ok && docs[0].live {
			c.sleep(w.between(0, 10*millisecond))
			c.commit(db, onlyAt(set(p, new), docs[0].at))
		} else if ok {
			c.commit(db, onlyAt(set(p, new), t)) // of no version: fails
		}
	}
}

// list reads a collection in pages, all at the time of the first.
func (c *client) list(db atoll.Database) {
	w := c.w
	req := shard.ListRequest{Collection: "l", Limit: 1 + w.draw(4)}
	if w.chance(30) {
		req.Collection = docAt("l", w.draw(listed)) + "/m"
	}
	if w.chance(40) {
		req.At = c.past(db)
	}
	rec := &listRecord{db: db, collection: req.Collection}
	for {
		page, err := c.router.List(c.request(), db, req, c.who)
		if !c.answered(db, req.At, err) {
			return
		}
		w.event("%s: list %s at %d: %d documents", c.name, req.Collection, page.Time, len(page.Documents))
		w.n.Lists++
		if rec.at == 0 {
			w.seen.lists = append(w.seen.lists, rec)
		}
		rec.at, req.At = page.Time, page.Time
		for i := range page.Documents {
			w.read(db, page.Time, &page.Documents[i])
		}
		rec.docs = append(rec.docs, page.Documents...)
		if rec.whole = !page.More; rec.whole {
			return
		}
		if n := len(rec.docs); n > 0 {
			req.After = rec.docs[n-1].Path.ID()
		}
		c.sleep(w.between(0, 50*millisecond))
	}
}

// post has couriers write letters to each other.
func (c *client) post() {
	w := c.w
	for !w.healed {
		s := w.sites[w.draw(len(w.sites))]
		from := courierID(s.id, w.draw(couriers))
		m := atoll.Message{Method: "post", To: []atoll.CanisterID{from}}
		switch n := w.draw(100); {
		case n < 8:
			m.Method = "doom"
		case n < 25:
			m.Method = "flush"
		case n < 40:
			m.Method, m.To = "joint", []atoll.CanisterID{courierID(s.id, 0), courierID(s.id, 1)}
			if w.chance(30) {
				m.Method = "doom"
			}
		default:
			o := courierOrder{To: courierID(atoll.SubnetID(w.draw(len(w.sites))), w.draw(couriers)), Cycles: uint64(w.draw(5000))}
			if n < 45 {
				o.To = atoll.NewCanisterID(atoll.SubnetID(w.draw(len(w.sites))), 999) // nobody
			}
			for range 1 + w.draw(4) {
				o.Fates = append(o.Fates, fate(w.draw(int(fates))))
			}
			m.Payload = wire.Marshal(o)
		}
		if c.letter(m) && m.Method == "joint" {
			s.joint++
		}
		c.sleep(w.between(0, 3*w.pace))
	}
}

// letter sends a message to couriers, once, and reports whether it was executed.
func (c *client) letter(m atoll.Message) (done bool) {
	m.ID, m.From = c.w.bytes16(), c.who.Principal
	out, err := door{c}.Update(c.request(), m)
	c.w.event("%s: %s to %s: %v %v", c.name, m.Method, m.To, err, out.Err)
	switch {
	case err == nil && m.Method == "doom" && out.Err == nil:
		c.w.fail("a message that fails was answered as if it had not")
	case err == nil && m.Method != "doom" && out.Err != nil:
		c.w.fail("courier %s could not %s: %v", m.To, m.Method, out.Err)
	}
	return err == nil && out.Err == nil
}
