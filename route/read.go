package route

import (
	"context"

	"atoll"
	"atoll/keys"
	"atoll/program/shard"
	"atoll/wire"
)

// Each reads documents at one time, and calls found for each of paths, with
// the time and the path's place in paths. at 0 means now: all that was
// acknowledged before the call. Documents come range by range, those of one
// range in the order of paths; of one that does not exist only the path is
// set. An error of found ends the reading and is returned.
//
// Only one page is in memory at a time (shard.MaxReplyBytes).
func (r *Router) Each(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who Caller, found func(at atoll.Time, i int, d *shard.Document) error) error {
	pending := make([]int, len(paths))
	for i := range pending {
		pending[i] = i
	}
	for len(pending) > 0 {
		var page, rest []int
		var reply shard.GetReply
		err := r.attempt(ctx, db, who, func(t *table) (err error) {
			if at == 0 {
				if at, err = r.common(ctx, t, paths, who); err != nil {
					return err
				}
			}
			var d *shard.Descriptor
			d, page, rest = t.page(paths, pending)
			req := shard.GetRequest{Target: target(d), At: at, Paths: make([]atoll.Path, len(page))}
			for i, n := range page {
				req.Paths[i] = paths[n]
			}
			reply = shard.GetReply{}
			return r.answer(ctx, d, who, shard.MethodGet, at, req, &reply)
		})
		if err != nil {
			return err
		}
		if len(reply.Documents) == 0 || len(reply.Documents) > len(page) {
			return &atoll.Error{Kind: atoll.Internal, Msg: "the shard answered another number of documents than were asked for"}
		}
		at = reply.Time
		for i := range reply.Documents {
			if err := found(at, page[i], &reply.Documents[i]); err != nil {
				return err
			}
		}
		pending = append(page[len(reply.Documents):], rest...)
	}
	return nil
}

// page takes those of the pending paths that lie in the range of the first,
// as many as one query may ask for.
func (t *table) page(paths []atoll.Path, pending []int) (d *shard.Descriptor, page, rest []int) {
	if len(t.ranges) == 1 {
		n := min(len(pending), shard.MaxPage)
		return &t.ranges[0], pending[:n:n], pending[n:]
	}
	n := t.of(paths[pending[0]])
	for _, i := range pending {
		if len(page) < shard.MaxPage && t.of(paths[i]) == n {
			page = append(page, i)
		} else {
			rest = append(rest, i)
		}
	}
	return &t.ranges[n], page, rest
}

// common returns a time at which all of the paths can be read: 0 if their
// ranges share a subnet, whose first answer then sets the time, else the
// largest of the subnets' clocks, for whatever was acknowledged anywhere
// before the call lies below it.
func (r *Router) common(ctx context.Context, t *table, paths []atoll.Path, who Caller) (atoll.Time, error) {
	first, last := len(t.ranges), 0
	for _, p := range paths {
		n := t.of(p)
		first, last = min(first, n), max(last, n)
	}
	return r.spanning(ctx, t, first, last, who)
}

// spanning is common for a run of ranges.
func (r *Router) spanning(ctx context.Context, t *table, first, last int, who Caller) (at atoll.Time, err error) {
	if t.oneSubnet(first, last) {
		return 0, nil
	}
	asked := make(map[atoll.SubnetID]bool)
	for i := first; i <= last; i++ {
		d := &t.ranges[i]
		if asked[d.Subnet] {
			continue
		}
		asked[d.Subnet] = true
		var reply shard.GetReply
		if err := r.answer(ctx, d, who, shard.MethodGet, 0, shard.GetRequest{Target: target(d)}, &reply); err != nil {
			return 0, err
		}
		at = max(at, reply.Time)
	}
	return at, nil
}

// Get reads documents at one time and returns them in the order of paths. It
// holds all of them in memory; for many use Each. Without paths it returns
// just a time that lies behind everything acknowledged before the call.
func (r *Router) Get(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who Caller) (shard.GetReply, error) {
	if len(paths) == 0 {
		return r.now(ctx, db, who)
	}
	reply := shard.GetReply{Documents: make([]shard.Document, len(paths))}
	err := r.Each(ctx, db, paths, at, who, func(at atoll.Time, i int, d *shard.Document) error {
		reply.Time, reply.Documents[i] = at, *d
		return nil
	})
	return reply, err
}

// now asks for the time alone.
func (r *Router) now(ctx context.Context, db atoll.Database, who Caller) (reply shard.GetReply, err error) {
	err = r.attempt(ctx, db, who, func(t *table) error {
		if at, err := r.spanning(ctx, t, 0, len(t.ranges)-1, who); err != nil || at != 0 {
			reply.Time = at
			return err
		}
		d := &t.ranges[0]
		return r.answer(ctx, d, who, shard.MethodGet, 0, shard.GetRequest{Target: target(d)}, &reply)
	})
	return reply, err
}

// List returns one page of a collection's documents in the order of their
// names; the request's target is filled in here. The page may be shorter than
// the limit though More is true.
func (r *Router) List(ctx context.Context, db atoll.Database, req shard.ListRequest, who Caller) (shard.ListReply, error) {
	lo, hi := keys.CollectionSpan(keys.Ordered, req.Collection)
	if req.After != "" {
		lo = docKey(req.Collection.Child(req.After))
	}
	var all shard.ListReply
	left, err := r.walk(ctx, db, who, lo, hi, &req.At, func(d *shard.Descriptor) (done bool, err error) {
		var page shard.ListReply
		req.Target = target(d)
		if err := r.answer(ctx, d, who, shard.MethodList, req.At, req, &page); err != nil {
			return false, err
		}
		// A missing document above documents of several ranges is in the
		// pages of all of them: going on behind it counts it once.
		if n := len(page.Documents); n > 0 {
			req.After = page.Documents[n-1].Path.ID()
			req.Limit -= n
		}
		req.At, all.Time, all.More = page.Time, page.Time, page.More
		all.Documents = append(all.Documents, page.Documents...)
		return page.More || req.Limit <= 0, nil
	})
	all.More = all.More || left
	return all, err
}

// Collections returns one page of the ids of the collections below a document,
// or below the root; the request's target is filled in here.
func (r *Router) Collections(ctx context.Context, db atoll.Database, req shard.CollectionsRequest, who Caller) (shard.CollectionsReply, error) {
	var lo, hi []byte
	if req.Parent != "" {
		lo = docKey(req.Parent)
		hi = keys.SubtreeEnd(lo)
	}
	if req.After != "" {
		lo, _ = keys.CollectionSpan(keys.Ordered, req.Parent.Child(req.After))
	}
	var all shard.CollectionsReply
	left, err := r.walk(ctx, db, who, lo, hi, &req.At, func(d *shard.Descriptor) (done bool, err error) {
		var page shard.CollectionsReply
		req.Target = target(d)
		if err := r.answer(ctx, d, who, shard.MethodCollections, req.At, req, &page); err != nil {
			return false, err
		}
		if n := len(page.IDs); n > 0 {
			req.After = page.IDs[n-1]
			req.Limit -= n
		}
		req.At, all.Time, all.More = page.Time, page.Time, page.More
		all.IDs = append(all.IDs, page.IDs...)
		return page.More || req.Limit <= 0, nil
	})
	all.More = all.More || left
	return all, err
}

// walk visits the ranges that meet lo <= key < hi, in order, at one time,
// until visit says that it is done. left tells that ranges remained then.
func (r *Router) walk(ctx context.Context, db atoll.Database, who Caller, lo, hi []byte, at *atoll.Time, visit func(*shard.Descriptor) (done bool, err error)) (left bool, err error) {
	for {
		var done bool
		err := r.attempt(ctx, db, who, func(t *table) (err error) {
			n := t.at(lo)
			last := n
			for t.meets(last+1, hi) {
				last++
			}
			if *at == 0 {
				if *at, err = r.spanning(ctx, t, n, last, who); err != nil {
					return err
				}
			}
			if done, err = visit(&t.ranges[n]); err != nil {
				return err
			}
			if left = last > n; left {
				lo = t.ranges[n].End
			}
			return nil
		})
		if err != nil || done || !left {
			return left, err
		}
	}
}

// attempt runs one step of a request by the map, and once more by a corrected
// map if the shard says that the range is not its own.
func (r *Router) attempt(ctx context.Context, db atoll.Database, who Caller, step func(*table) error) error {
	for corrected := false; ; corrected = true {
		t, err := r.table(ctx, db, who)
		if err != nil {
			return err
		}
		err = step(t)
		if atoll.KindOf(err) != atoll.WrongRange {
			return err
		}
		r.correct(t, err)
		if corrected {
			return moved(db)
		}
	}
}

// answer asks the owner of a range about a time; 0 means now.
func (r *Router) answer(ctx context.Context, d *shard.Descriptor, who Caller, method string, at atoll.Time, req, reply any) error {
	b, err := r.query(ctx, d.Shard, who, method, at, wire.Marshal(req))
	if err != nil {
		return err
	}
	return decode(b, reply, "shard")
}
