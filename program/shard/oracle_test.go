package shard

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// oracle is the shards' behaviour in the plainest words: every state that every
// document ever had. What may be forgotten it keeps.
type oracle struct {
	docs     map[atoll.Path][]state
	results  map[uint64]outcome // by request id
	horizon  horizons           // as asked for
	results0 atoll.Time         // results before it may be forgotten
}

// state is a document from one time on.
type state struct {
	at       atoll.Time
	live     bool
	fields   value.Value
	created  atoll.Time
	revision uint64

	forgotten bool // a tombstone that was gone when the document was created again
}

// outcome is a commit under a request id.
type outcome struct {
	at    atoll.Time
	first atoll.Path
	reply CommitReply
}

func newOracle() *oracle {
	return &oracle{docs: map[atoll.Path][]state{}, results: map[uint64]outcome{}}
}

// at returns the state that a read at t sees.
func (o *oracle) at(p atoll.Path, t atoll.Time) state {
	var seen state
	for _, s := range o.docs[p] {
		if s.at <= t {
			seen = s
		}
	}
	return seen
}

func (s state) document(p atoll.Path) Document {
	if !s.live {
		return Document{Path: p}
	}
	return Document{Path: p, Doc: value.Encode(s.fields), Created: s.created, Updated: s.at, Revision: s.revision}
}

// commit executes writes that are well formed, and returns what they answer.
func (o *oracle) commit(now atoll.Time, id uint64, writes []Write) (CommitReply, atoll.Kind) {
	if r, ok := o.results[id]; ok && id != 0 {
		return r.reply, atoll.OK
	}
	reply := CommitReply{Time: now, Results: []WriteResult{}}
	staged, touched, deleted := map[atoll.Path]state{}, map[atoll.Path]bool{}, map[atoll.Path]bool{}
	for _, w := range writes {
		s, ok := staged[w.Path]
		if !ok {
			s = o.at(w.Path, now)
		}
		if kind := o.permit(w, s, deleted[w.Path]); kind != atoll.OK {
			return CommitReply{}, kind
		}
		var result WriteResult
		switch w.Op {
		case OpDelete:
			deleted[w.Path] = deleted[w.Path] || s.live
			touched[w.Path] = touched[w.Path] || s.live
			s = state{revision: s.revision}
		case OpSet:
			next, results := apply(s, w, now)
			if !s.live || !value.Identical(next, s.fields) {
				if !s.live {
					s.created = now
				}
				s.live, s.fields, s.at = true, next, now
				touched[w.Path], deleted[w.Path] = true, false
			}
			result = WriteResult{UpdateTime: s.at, Results: results}
		}
		staged[w.Path] = s
		reply.Results = append(reply.Results, result)
	}
	for p, s := range staged {
		if before := o.at(p, now); touched[p] && (s.live || before.live) {
			s.at, s.revision = now, before.revision+1
			o.docs[p] = append(o.docs[p], s)
		}
	}
	if id != 0 && len(writes) > 0 {
		o.results[id] = outcome{now, writes[0].Path, reply}
	}
	return reply, atoll.OK
}

func (o *oracle) permit(w Write, s state, deleted bool) atoll.Kind {
	if w.Exists != nil && *w.Exists && !s.live {
		if deleted {
			return atoll.Invalid
		}
		return atoll.NotFound
	}
	if w.Exists != nil && !*w.Exists && s.live {
		return atoll.AlreadyExists
	}
	if w.UpdateTime != nil && (s.live && *w.UpdateTime != s.at || !s.live && *w.UpdateTime != 0) {
		return atoll.FailedPrecondition
	}
	return atoll.OK
}

// apply returns the fields that a set makes of a document.
func apply(s state, w Write, now atoll.Time) (value.Value, [][]byte) {
	next := must(value.DecodeDocument(w.Doc))
	if w.HasMask {
		old := value.Map()
		if s.live {
			old = s.fields
		}
		var paths []value.FieldPath
		for _, m := range w.Mask {
			paths = append(paths, must(value.ParseFieldPath(m)))
		}
		next = must(value.ApplyMask(old, next, paths))
	}
	var results [][]byte
	for _, t := range w.Transforms {
		path := must(value.ParseFieldPath(t.Field))
		old, _ := next.Lookup(path)
		var v value.Value
		switch t.Kind {
		case ServerTime:
			v = value.Timestamp(now)
		case Increment:
			v = must(value.Increment(old, must(value.DecodeValue(t.Operand))))
		case Maximum:
			v = must(value.Max(old, must(value.DecodeValue(t.Operand))))
		case ArrayUnion:
			v = must(value.ArrayUnion(old, must(value.DecodeValue(t.Operand))))
		}
		next = value.SetPath(next, path, v)
		if t.Kind == ArrayUnion {
			v = value.Null()
		}
		results = append(results, value.EncodeValue(v))
	}
	return next, results
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// paths returns all paths that ever had a document, in the order of keys.
func (o *oracle) paths() []atoll.Path {
	byKey := make(map[string]atoll.Path, len(o.docs))
	for p := range o.docs {
		byKey[string(keys.DocKey(placement, p))] = p
	}
	all := make([]atoll.Path, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		all = append(all, byKey[key])
	}
	return all
}

// list returns a whole collection.
func (o *oracle) list(collection atoll.Path, t atoll.Time, missing bool) []Document {
	var all []Document
	for _, p := range o.paths() {
		rest, below := strings.CutPrefix(string(p), string(collection)+"/")
		if !below || !o.at(p, t).live {
			continue
		}
		id, _, deeper := strings.Cut(rest, "/")
		child := collection.Child(id)
		switch {
		case !deeper:
			all = append(all, o.at(p, t).document(p))
		case missing && !o.at(child, t).live && (len(all) == 0 || all[len(all)-1].Path != child):
			all = append(all, Document{Path: child})
		}
	}
	return all
}

// collections returns the ids of all collections below a parent.
func (o *oracle) collections(parent atoll.Path, t atoll.Time) []string {
	var all []string
	for _, p := range o.paths() {
		rest, below := strings.CutPrefix(string(p), string(parent)+"/")
		if parent == "" {
			rest, below = string(p), true
		}
		if id, _, _ := strings.Cut(rest, "/"); below && o.at(p, t).live && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// changed is one change with what is to become of it.
type changed struct {
	Change
	forgettable bool // superseded at or before the horizon
}

// feed returns all changes, in the order of (time, key).
func (o *oracle) feed() []changed {
	var all []changed
	for _, p := range o.paths() {
		key := keys.DocKey(placement, p)
		for i, s := range o.docs[p] {
			next := i + 1
			all = append(all, changed{
				Change{FeedCursor{s.at, key}, s.document(p)},
				next < len(o.docs[p]) && o.docs[p][next].at <= o.horizon.Versions,
			})
		}
	}
	slices.SortFunc(all, func(a, b changed) int {
		return cmp.Or(cmp.Compare(a.Cursor.Time, b.Cursor.Time), bytes.Compare(a.Cursor.Key, b.Cursor.Key))
	})
	return all
}

// kept returns how many keys each space holds after a collection that came to
// its end.
func (o *oracle) kept() (versions, entries, results int) {
	entry := map[string]bool{}
	name := func(p atoll.Path, at atoll.Time) string { return at.String() + string(p) }
	for _, c := range o.feed() {
		p, t := c.Doc.Path, c.Cursor.Time
		if o.at(p, t).forgotten {
			continue
		}
		last := o.docs[p][len(o.docs[p])-1]
		if !c.forgettable && (t >= o.horizon.Latest || last.at != t || last.live) {
			versions++
		}
		if !c.forgettable && t >= o.horizon.Latest {
			entry[name(p, t)] = true
		}
	}
	for _, r := range o.results {
		if r.at >= o.results0 {
			results++
			entry[name(r.first, r.at)] = true
		}
	}
	return versions, len(entry), results
}
