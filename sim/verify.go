package sim

import (
	"bytes"
	"fmt"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/log/local"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// verify cuts the power of a world at rest, opens its disks, and holds what the
// clients saw against what is there.
func (w *world) verify() {
	shards := map[atoll.CanisterID]atoll.Database{}
	for _, s := range w.sites {
		s.reopen()
		if w.finding != nil {
			return
		}
		w.owners(s, shards)
	}
	t := newTruth(shards)
	for _, s := range w.sites {
		if err := s.replay(t); err != nil {
			w.fail("subnet %d: %v", s.id, err)
		}
	}
	for _, check := range []func(*truth){w.checkCommits, w.checkReads, w.checkLists, w.checkQueries, w.checkFeeds, w.checkState} {
		if check(t); w.finding != nil {
			return
		}
	}
	w.checkCouriers()
	w.checkCycles()
	if p, ok := w.seen.linearizable(); !ok {
		w.fail("the history of %s of %s is not linearizable", p.path, p.db)
	}
}

// reopen opens the disk once more, without anything that was not durable, and
// reads all of it.
func (s *site) reopen() {
	s.disk.Crash(func(int) int { return 0 })
	st, err := mem.Open(s.disk, mem.WithSplit(keys.Split))
	if err != nil {
		s.w.fail("subnet %d cannot be opened at the end: %v", s.id, err)
		return
	}
	s.store = st
	if s.checkHead(); s.w.finding != nil {
		return
	}
	h := s.head()
	if err := local.Check(st, h); err != nil {
		s.w.fail("subnet %d: %v", s.id, err)
		return
	}
	if err := audit(st); err != nil {
		s.w.fail("subnet %d: %v", s.id, err)
	}
}

// replay executes the log from its beginning on an empty store, with the lanes
// of each block in reverse, and tells t what happened.
func (s *site) replay(t *truth) error {
	cfg := s.w.config(s)
	cfg.Lanes = func(n int, lane func(int)) {
		for i := n - 1; i >= 0; i-- {
			lane(i)
		}
	}
	store := mem.New(mem.WithSplit(keys.Split))
	m, err := subnet.Open(cfg, store)
	if err != nil {
		return err
	}
	for e, err := range local.Tail(s.store, 1) {
		if err != nil {
			return err
		}
		b, chain, chained, err := m.Head().Chain.Follow(e.Record)
		if err != nil {
			return err
		}
		if !chained {
			return atoll.Errorf(atoll.DataLoss, "the log has a record of an epoch that was over, at position %d", chain.Position)
		}
		res, err := m.Execute(b, chain)
		if err != nil {
			return err
		}
		if res.Head.Digest != e.Digest {
			return atoll.Errorf(atoll.DataLoss, "block %d gave digest %s when it was executed again, and %s at first", b.Height, res.Head.Digest, e.Digest)
		}
		if _, err := store.Apply(res.Batch); err != nil {
			return err
		}
		if err := t.block(b, res.Outcomes); err != nil {
			return err
		}
	}
	return nil
}

// ask queries a canister of a site's final state.
func (s *site) ask(to atoll.CanisterID, method string, req, reply any) error {
	raw, err := subnet.Query(s.w.programs, s.store, s.head(), to, atoll.Question{Method: method, Payload: wire.Marshal(req)})
	if err != nil {
		return err
	}
	return wire.Unmarshal(raw, reply)
}

// owners notes the database of each shard of a site, and makes sure that no key
// has two owners.
func (w *world) owners(s *site, shards map[atoll.CanisterID]atoll.Database) {
	infos, err := subnet.Canisters(s.store, "", 1000)
	if err != nil {
		w.fail("subnet %d: %v", s.id, err)
		return
	}
	for _, info := range infos {
		if info.Program != "shard" {
			continue
		}
		var st shard.Status
		if err := s.ask(info.ID, shard.MethodStatus, struct{}{}, &st); err != nil {
			w.fail("shard %s: %v", info.ID, err)
			return
		}
		for _, d := range st.Ranges {
			for other, db := range shards { // order does not matter: any is a finding
				if db == d.Database {
					w.fail("shards %s and %s both own all of %s", other, info.ID, db)
				}
			}
			shards[info.ID] = d.Database
		}
	}
}

// checkCommits holds what clients know of their commits against the log.
func (w *world) checkCommits(t *truth) {
	for _, c := range w.seen.commits {
		r := t.results[c.id]
		done := r != nil && r.done
		switch {
		case c.outcome == acked && !done:
			w.fail("commit %s to %s was acknowledged at %s and is not in the log", c.id, c.db, c.reply.Time)
		case c.outcome == acked && !bytes.Equal(r.reply, wire.Marshal(c.reply)):
			w.fail("commit %s to %s was acknowledged at %s with another answer than the log gives", c.id, c.db, c.reply.Time)
		case c.outcome == refused && r != nil:
			w.fail("commit %s to %s was told that nothing was done, and is in the log", c.id, c.db)
		case c.outcome == failed && done:
			w.fail("commit %s to %s failed, and was executed", c.id, c.db)
		}
	}
}

// checkReads holds every document that was read against the model.
func (w *world) checkReads(t *truth) {
	var bad []string
	for k, got := range w.seen.reads { // order does not matter: sorted below
		if want := t.newest(k.place, k.at); !t.agrees(k.place, want, got) {
			bad = append(bad, fmt.Sprintf("%s of %s at %s was read as %+v, and is %+v", k.path, k.db, k.at, got, want))
		}
	}
	if slices.Sort(bad); len(bad) > 0 {
		w.fail("%s", bad[0])
	}
}

// checkLists makes sure that lists were whole.
func (w *world) checkLists(t *truth) {
	for _, l := range w.seen.lists {
		want := t.children(l.db, l.collection, l.at)
		if !l.whole {
			want = want[:min(len(want), len(l.docs))]
		}
		got := make([]atoll.Path, len(l.docs))
		for i := range l.docs {
			got[i] = l.docs[i].Path
		}
		if !slices.Equal(got, want) {
			w.fail("collection %s of %s at %s was listed as %q, and held %q", l.collection, l.db, l.at, got, want)
			return
		}
	}
}

// checkFeeds makes sure that the readers of feeds saw every change once and in
// order.
func (w *world) checkFeeds(t *truth) {
	for _, seg := range w.seen.feeds {
		if err := t.checkSegment(seg); err != nil {
			w.fail("the feed of %s: %v", seg.db, err)
			return
		}
	}
}

// checkSegment compares a part of a feed with the changes of the model. Only
// what was superseded below the horizon may be missing.
func (t *truth) checkSegment(seg *segment) error {
	got := seg.changes
	for _, want := range t.changes[seg.db] {
		if compareCursors(want.cursor, seg.from) <= 0 || compareCursors(want.cursor, seg.to) > 0 {
			continue
		}
		p := place{seg.db, want.path}
		if len(got) == 0 || compareCursors(got[0].Cursor, want.cursor) != 0 {
			if next := t.newest(p, seg.forgotten); next.at > want.cursor.Time {
				continue
			}
			return atoll.Errorf(atoll.Internal, "the change of %s at %s is missing", want.path, want.cursor.Time)
		}
		v, err := versionOf(&got[0].Doc)
		if err != nil {
			return err
		}
		if got[0].Doc.Path != want.path || !t.agrees(p, want.version, v) {
			return atoll.Errorf(atoll.Internal, "the change of %s at %s is shown as %+v, and is %+v", want.path, want.cursor.Time, v, want.version)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		return atoll.Errorf(atoll.Internal, "the change of %s at %s is shown, and never was or came twice", got[0].Doc.Path, got[0].Cursor.Time)
	}
	return nil
}

// checkState holds the documents and the feeds that are stored at the end
// against the model, and the maps of all databases against their shards.
func (w *world) checkState(t *truth) {
	var list accounts.ListReply
	if err := w.sites[0].ask(rootCanister, accounts.MethodList, accounts.ListRequest{Limit: 1000}, &list); err != nil {
		w.fail("the accounts: %v", err)
		return
	}
	owned := map[atoll.CanisterID]bool{}
	for _, e := range list.Entries {
		d, err := w.descriptor(e)
		if err == nil && t.shards[d.Shard] != e.Database {
			err = atoll.Errorf(atoll.Internal, "its shard %s does not own it", d.Shard)
		}
		if err == nil {
			owned[d.Shard] = true
			err = t.checkShard(w.sites[d.Subnet], d)
		}
		if err != nil {
			w.fail("%s: %v", e.Database, err)
			return
		}
	}
	if len(owned) != len(t.shards) {
		w.fail("%d shards own a range, and the maps name %d", len(t.shards), len(owned))
	}
}

// descriptor returns the only range of a database.
func (w *world) descriptor(e accounts.Entry) (d shard.Descriptor, err error) {
	var m directory.Map
	n, ok := atoll.SubnetOf(e.Directory)
	if !ok || int(n) >= len(w.sites) {
		return d, atoll.Errorf(atoll.Internal, "its directory %s is on no subnet", e.Directory)
	}
	if err := w.sites[n].ask(e.Directory, directory.MethodMap, directory.MapRequest{}, &m); err != nil {
		return d, err
	}
	if len(m.Ranges) != 1 || m.Ranges[0].Database != e.Database {
		return d, atoll.Errorf(atoll.Internal, "its map is %+v", m)
	}
	return m.Ranges[0], nil
}

// checkShard reads what a shard holds: every document as of now, and the feed
// for as far back as it is kept.
func (t *truth) checkShard(s *site, d shard.Descriptor) error {
	target := shard.Target{Range: d.Range, Epoch: d.Epoch}
	for p := range t.docs { // order does not matter: any is a finding
		if p.db != d.Database {
			continue
		}
		var got shard.GetReply
		if err := s.ask(d.Shard, shard.MethodGet, shard.GetRequest{Target: target, Paths: []atoll.Path{p.path}}, &got); err != nil {
			return err
		}
		v, err := versionOf(&got.Documents[0])
		if want := t.newest(p, atoll.MaxTime); err != nil || !t.agrees(p, want, v) {
			return atoll.Errorf(atoll.Internal, "%s is stored as %+v, and should be %+v", p.path, v, want)
		}
	}
	var st shard.Status
	if err := s.ask(d.Shard, shard.MethodStatus, struct{}{}, &st); err != nil {
		return err
	}
	from := shard.FeedCursor{Time: st.Feed}
	var page shard.FeedReply
	if err := s.ask(d.Shard, shard.MethodFeed, shard.FeedRequest{Target: target, After: from, Limit: shard.MaxPage}, &page); err != nil {
		return err
	}
	return t.checkSegment(&segment{db: d.Database, from: from, to: page.Next, changes: page.Changes, forgotten: st.Horizon})
}

// checkCouriers makes sure that every letter and every answer came once.
func (w *world) checkCouriers() {
	reports := map[atoll.CanisterID]*courierReport{}
	for _, s := range w.sites {
		for i := range couriers {
			id, r := courierID(s.id, i), new(courierReport)
			if err := s.ask(id, "report", struct{}{}, r); err != nil {
				w.fail("courier %s: %v", id, err)
				return
			}
			reports[id] = r
			w.n.Letters += int(r.Letters)
			w.n.Joint += int(r.Joint)
			switch {
			case r.Wrong != "":
				w.fail("courier %s: %s", id, r.Wrong)
			case r.Open > 0 || r.Deferred > 0:
				w.fail("courier %s waits for %d answers and owes %d, though everything is at rest", id, r.Open, r.Deferred)
			case r.Junk > 0:
				w.fail("courier %s holds %d keys of messages that failed", id, r.Junk)
			}
		}
	}
	for _, s := range w.sites {
		if a, b := reports[courierID(s.id, 0)], reports[courierID(s.id, 1)]; a.Joint != b.Joint || a.Joint < uint64(s.joint) {
			w.fail("%d joint messages to the couriers of subnet %d were acknowledged; one executed %d and the other %d", s.joint, s.id, a.Joint, b.Joint)
		}
	}
	for from, r := range reports { // order does not matter: any is a finding
		for to, other := range reports { // as above
			if sent, got := r.Sent[to.String()], other.Got[from.String()]; sent != got {
				w.fail("courier %s sent %d letters to courier %s, which got %d", from, sent, to, got)
			}
		}
	}
}

// checkCycles makes sure that what was sent between subnets has arrived.
func (w *world) checkCycles() {
	var sent, received uint64
	for _, s := range w.sites {
		sent += s.head().Sent
		received += s.head().Received
	}
	if sent != received {
		w.fail("%d cycles were sent between subnets, and %d received", sent, received)
	}
}
