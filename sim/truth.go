package sim

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"atoll"
	"atoll/keys"
	"atoll/program/shard"
	"atoll/value"
	"atoll/wire"
)

// truth is what the durable logs say that happened: every document's versions,
// by a model that knows nothing of how a shard stores them.
type truth struct {
	docs    map[place][]version
	changes map[atoll.Database][]change // in the order of the feed
	results map[atoll.RequestID]*result
	shards  map[atoll.CanisterID]atoll.Database
}

type change struct {
	cursor  shard.FeedCursor
	path    atoll.Path
	version version
}

// result is what became of a request.
type result struct {
	done  bool   // it changed documents
	reply []byte // of the execution that did
	tries int    // how often it was in a block
}

func newTruth(shards map[atoll.CanisterID]atoll.Database) *truth {
	return &truth{
		docs: map[place][]version{}, changes: map[atoll.Database][]change{},
		results: map[atoll.RequestID]*result{}, shards: shards,
	}
}

// block takes what a block did to documents. It returns what is wrong with it.
func (t *truth) block(b *atoll.Block, outcomes []atoll.Outcome) *atoll.Error {
	byID := map[atoll.RequestID][]atoll.Outcome{}
	last := b.Time - 1
	for _, o := range outcomes {
		byID[o.ID] = append(byID[o.ID], o)
	}
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Method != shard.MethodCommit {
			continue
		}
		all := byID[m.ID]
		if len(all) == 0 {
			return atoll.Errorf(atoll.Internal, "a commit in block %d has no outcome", b.Height)
		}
		o := all[0]
		byID[m.ID] = all[1:]
		if o.Time <= last {
			return atoll.Errorf(atoll.Internal, "a commit in block %d was executed at %s, and another one at %s", b.Height, o.Time, last)
		}
		last = o.Time
		if err := t.commit(m, o); err != nil {
			return err
		}
	}
	return nil
}

// commit takes the outcome of one execution of a commit.
func (t *truth) commit(m *atoll.Message, o atoll.Outcome) *atoll.Error {
	r := t.results[m.ID]
	if r == nil {
		r = new(result)
		t.results[m.ID] = r
	}
	r.tries++
	switch {
	case m.Expires != 0 && o.Time > m.Expires:
		if o.Err == nil || o.Err.Kind != atoll.DeadlineExceeded {
			return atoll.Errorf(atoll.Internal, "request %s was executed at %s, and expired at %s", m.ID, o.Time, m.Expires)
		}
		return nil
	case r.done:
		if o.Err != nil || !bytes.Equal(o.Payload, r.reply) {
			return atoll.Errorf(atoll.Internal, "request %s was repeated at %s and got another answer than the first time (%v)", m.ID, o.Time, o.Err)
		}
		return nil
	}
	var req shard.CommitRequest
	if err := wire.Unmarshal(m.Payload, &req); err != nil {
		return atoll.AsError(err)
	}
	db := t.shards[m.To[0]]
	holds, err := t.holds(db, &req, o.Time)
	if err != nil {
		return atoll.AsError(err)
	}
	staged, expected := t.apply(db, req.Writes, o.Time)
	if !holds {
		expected = atoll.Aborted
	}
	if got := atoll.KindOf(kindError(o.Err)); got != expected {
		return atoll.Errorf(atoll.Internal, "request %s at %s ended with %q, and the model with %q", m.ID, o.Time, got, expected)
	}
	if expected != atoll.OK {
		return nil
	}
	r.done, r.reply = true, o.Payload
	var reply shard.CommitReply
	if err := wire.Unmarshal(o.Payload, &reply); err != nil || reply.Time != o.Time {
		return atoll.Errorf(atoll.Internal, "request %s was executed at %s and answered as of %s", m.ID, o.Time, reply.Time)
	}
	t.keep(db, staged, o.Time)
	return nil
}

func kindError(e *atoll.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// step is a document on its way through a commit.
type step struct {
	path    atoll.Path
	version version
	changed bool
}

// apply returns what writes make of the documents, or the kind of the error
// with which all of them fail.
func (t *truth) apply(db atoll.Database, writes []shard.Write, now atoll.Time) ([]*step, atoll.Kind) {
	var all []*step
	for i := range writes {
		w := &writes[i]
		n := slices.IndexFunc(all, func(s *step) bool { return s.path == w.Path })
		if n < 0 {
			n = len(all)
			all = append(all, &step{path: w.Path, version: t.newest(place{db, w.Path}, atoll.MaxTime)})
		}
		if kind := all[n].write(w, now); kind != atoll.OK {
			return nil, kind
		}
	}
	return all, atoll.OK
}

func (s *step) write(w *shard.Write, now atoll.Time) atoll.Kind {
	v := &s.version
	at := v.at
	if !v.live {
		at = 0
	}
	switch {
	case w.Exists != nil && *w.Exists && !v.live:
		return atoll.NotFound
	case w.Exists != nil && !*w.Exists && v.live:
		return atoll.AlreadyExists
	case w.UpdateTime != nil && *w.UpdateTime != at:
		return atoll.FailedPrecondition
	}
	if w.Op == shard.OpDelete {
		s.changed = s.changed || v.live
		v.live, v.content, v.created = false, content{}, 0
		return atoll.OK
	}
	if !v.live {
		v.live, v.created, v.content = true, now, content{}
	}
	if !w.HasMask {
		v.content, _ = decodeContent(w.Doc)
	}
	for _, tr := range w.Transforms {
		by, _ := value.DecodeValue(tr.Operand)
		v.n += by.Int()
	}
	v.at, s.changed = now, true
	return atoll.OK
}

// keep makes what a commit staged the newest versions.
func (t *truth) keep(db atoll.Database, staged []*step, now atoll.Time) {
	first := len(t.changes[db])
	for _, s := range staged {
		p := place{db, s.path}
		before := t.newest(p, atoll.MaxTime)
		if !s.changed || !s.version.live && !before.live {
			continue
		}
		s.version.at, s.version.revision = now, before.revision+1
		t.docs[p] = append(t.docs[p], s.version)
		cursor := shard.FeedCursor{Time: now, Key: keys.DocKey(keys.Ordered, s.path)}
		t.changes[db] = append(t.changes[db], change{cursor, s.path, s.version})
	}
	slices.SortFunc(t.changes[db][first:], func(a, b change) int { return compareCursors(a.cursor, b.cursor) })
}

// newest returns the last version of a document at or before a time.
func (t *truth) newest(p place, at atoll.Time) version {
	all := t.docs[p]
	n, _ := slices.BinarySearchFunc(all, at, func(v version, at atoll.Time) int {
		if v.at <= at {
			return -1
		}
		return 1
	})
	if n == 0 {
		return version{}
	}
	return all[n-1]
}

// agrees reports whether what a reader got is the version that was there. A
// document that was deleted in between may count its revisions anew, for the
// count goes with its tombstone.
func (t *truth) agrees(p place, want, got version) bool {
	if !want.live {
		return !got.live
	}
	if slices.ContainsFunc(t.docs[p], func(v version) bool { return !v.live }) {
		want.revision = got.revision
	}
	return want == got
}

// children returns the documents of a collection that exist at a time, in order.
func (t *truth) children(db atoll.Database, collection atoll.Path, at atoll.Time) []atoll.Path {
	var out []atoll.Path
	for p := range t.docs { // order does not matter: sorted below
		if p.db == db && p.path.Parent() == collection && t.newest(p, at).live {
			out = append(out, p.path)
		}
	}
	slices.SortFunc(out, func(a, b atoll.Path) int { return strings.Compare(string(a), string(b)) })
	return out
}

// compareCursors orders places in a feed; one without a key stands behind all
// of its time.
func compareCursors(a, b shard.FeedCursor) int {
	if a.Time != b.Time || len(a.Key) > 0 && len(b.Key) > 0 {
		return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Key, b.Key))
	}
	return cmp.Compare(len(b.Key), len(a.Key))
}
