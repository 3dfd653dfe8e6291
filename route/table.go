package route

import (
	"bytes"
	"context"
	"sort"
	"time"

	"atoll"
	"atoll/keys"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/wire"
)

// table is the map of one database, never changed after it was made.
type table struct {
	db     atoll.Database
	until  time.Time          // the end of the shortest lease
	ranges []shard.Descriptor // in key order, without a gap
}

// newTable checks a directory's map: a router that trusted one with a gap
// would index out of bounds, or lose a part of an answer without notice.
func newTable(db atoll.Database, m directory.Map, fetched time.Time) (*table, error) {
	bad := func(what string, i int) error {
		return &atoll.Error{Kind: atoll.Internal, Msg: "the map of " + db.String() + " is broken",
			Detail: atoll.Errorf(atoll.Internal, "version %d, range %d of %d: %s", m.Version, i, len(m.Ranges), what).Msg}
	}
	if len(m.Ranges) == 0 {
		return nil, bad("it has no range", 0)
	}
	t := &table{db: db, ranges: m.Ranges}
	for i, d := range m.Ranges {
		last := i == len(m.Ranges)-1
		switch {
		case d.Database != db:
			return nil, bad("it belongs to "+d.Database.String(), i)
		case d.Shard == "":
			return nil, bad("it has no shard", i)
		case i == 0 && len(d.Start) > 0:
			return nil, bad("keys before it are owned by nobody", i)
		case i > 0 && !bytes.Equal(m.Ranges[i-1].End, d.Start):
			return nil, bad("it does not start where the one before ends", i)
		case last != (len(d.End) == 0):
			return nil, bad("the last range, and no other, must be without end", i)
		case !last && bytes.Compare(d.Start, d.End) >= 0:
			return nil, bad("it is empty", i)
		}
		if end := fetched.Add(time.Duration(d.Lease) * time.Microsecond); i == 0 || end.Before(t.until) {
			t.until = end
		}
	}
	return t, nil
}

// docKey is where a document stands in the key space of its database.
func docKey(p atoll.Path) []byte { return keys.DocKey(keys.Ordered, p) }

// of returns the number of the range that holds a document.
func (t *table) of(p atoll.Path) int {
	if len(t.ranges) == 1 {
		return 0
	}
	return t.at(docKey(p))
}

// at returns the number of the range that holds a key.
func (t *table) at(key []byte) int {
	return sort.Search(len(t.ranges)-1, func(i int) bool { return bytes.Compare(key, t.ranges[i].End) < 0 })
}

// meets reports whether range i holds any key below hi; nil means no bound.
func (t *table) meets(i int, hi []byte) bool {
	return i < len(t.ranges) && (hi == nil || bytes.Compare(t.ranges[i].Start, hi) < 0)
}

func target(d *shard.Descriptor) shard.Target { return shard.Target{Range: d.Range, Epoch: d.Epoch} }

// oneSubnet reports whether all ranges from first to last live on one subnet.
func (t *table) oneSubnet(first, last int) bool {
	for i := first + 1; i <= last; i++ {
		if t.ranges[i].Subnet != t.ranges[first].Subnet {
			return false
		}
	}
	return true
}

// table returns the map of a database: the cached one, or a new one.
func (r *Router) table(ctx context.Context, db atoll.Database, who Caller) (*table, error) {
	if err := db.Check(); err != nil {
		return nil, err
	}
	for missed := false; ; missed = true {
		now := r.clock()
		r.mu.Lock()
		if t, ok := r.routes.get(db); ok && now.Before(t.until) {
			r.mu.Unlock()
			if !missed {
				r.counts.hits.Add(1)
			}
			return t, nil
		}
		if f, ok := r.refusals.get(db); ok && now.Before(f.until) {
			r.mu.Unlock()
			r.counts.refused.Add(1)
			return nil, f.err
		}
		f, waiting := r.fetches[db]
		if !waiting {
			f = &fetch{done: make(chan struct{})}
			r.fetches[db] = f
		}
		r.mu.Unlock()
		if !missed {
			r.counts.misses.Add(1)
		}
		if !waiting {
			r.fetch(ctx, db, who, f)
			return f.t, f.err
		}
		select {
		case <-ctx.Done():
			return nil, ended(ctx.Err())
		case <-f.done:
		}
		// The one who fetched may have failed for a reason of its own, such
		// as its deadline; then this caller tries itself.
		if k := atoll.KindOf(f.err); k != atoll.Canceled && k != atoll.DeadlineExceeded {
			return f.t, f.err
		}
	}
}

// fetch gets the map of a database for all who wait for f.
func (r *Router) fetch(ctx context.Context, db atoll.Database, who Caller, f *fetch) {
	f.err = atoll.Errorf(atoll.Canceled, "the map of %s was not fetched", db) // unless it is, below
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.fetches, db)
		switch atoll.KindOf(f.err) {
		case atoll.OK:
			r.routes.put(db, f.t)
			r.refusals.remove(db)
		case atoll.ResourceExhausted, atoll.PermissionDenied, atoll.Invalid, atoll.NotFound:
			r.routes.remove(db)
			r.refusals.put(db, refusal{f.err, r.clock().Add(refusalTime)})
		}
		close(f.done)
	}()
	f.t, f.err = r.ask(ctx, db, who)
}

// ask fetches a map from the directory that the accounts program names. The
// lease counts from before the question, so that it ends here before it ends
// at the owner of a range.
func (r *Router) ask(ctx context.Context, db atoll.Database, who Caller) (*table, error) {
	e, err := r.find(ctx, db, who)
	if err != nil {
		return nil, err
	}
	now := r.clock()
	b, err := r.query(ctx, e.Directory, who, directory.MethodMap, 0, wire.Marshal(directory.MapRequest{}))
	if err != nil {
		return nil, err
	}
	var m directory.Map
	if err := decode(b, &m, "directory"); err != nil {
		return nil, err
	}
	return newTable(db, m, now)
}

// find asks the accounts program for a database, and opens one that is new.
func (r *Router) find(ctx context.Context, db atoll.Database, who Caller) (e accounts.Entry, err error) {
	req := wire.Marshal(accounts.OpenRequest{Database: db})
	b, err := r.query(ctx, r.root, who, accounts.MethodFind, 0, req)
	if atoll.KindOf(err) == atoll.NotFound {
		b, err = r.update(ctx, atoll.Message{
			ID: NewRequestID(), From: who.Principal, To: []atoll.CanisterID{r.root}, Method: accounts.MethodOpen,
			Payload: req, Expires: r.expires(ctx), Claims: who.Claims,
		})
		if err == nil {
			r.counts.opened.Add(1)
		}
	}
	if err != nil {
		return e, err
	}
	if err := decode(b, &e, "accounts program"); err != nil {
		return e, err
	}
	if e.Directory == "" {
		return e, &atoll.Error{Kind: atoll.Internal, Msg: "the database " + db.String() + " has no directory"}
	}
	return e, nil
}

// correct learns from a WrongRange answer to a request that was routed by t:
// if the shard names a newer owner of just that range the map is patched, for
// a correction then costs one trip; else the map is forgotten.
func (r *Router) correct(t *table, wrong error) {
	r.counts.corrected.Add(1)
	var d shard.Descriptor
	patched := wire.Unmarshal(atoll.AsError(wrong).Data, &d) == nil && t.replaces(&d)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, ok := r.routes.get(t.db); !ok || now != t {
		return // somebody has corrected it before
	}
	if !patched {
		r.routes.remove(t.db)
		return
	}
	next := &table{db: t.db, until: t.until, ranges: append([]shard.Descriptor(nil), t.ranges...)}
	next.ranges[next.at(d.Start)] = d
	r.routes.put(t.db, next)
}

// replaces reports whether d is a newer state of a range of t, with the same
// bounds, so that it can be put in its place.
func (t *table) replaces(d *shard.Descriptor) bool {
	old := &t.ranges[t.at(d.Start)]
	return d.Database == t.db && d.Shard != "" && d.Range == old.Range && d.Epoch > old.Epoch &&
		bytes.Equal(d.Start, old.Start) && bytes.Equal(d.End, old.End)
}

// decode reads what another program answered. That it cannot be read is no
// fault of the caller.
func decode(b []byte, v any, from string) error {
	if err := wire.Unmarshal(b, v); err != nil {
		return &atoll.Error{Kind: atoll.Internal, Msg: "the " + from + " gave an answer that cannot be read", Detail: err.Error()}
	}
	return nil
}
