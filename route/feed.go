package route

import (
	"bytes"
	"context"
	"slices"

	"atoll"
	"atoll/program/shard"
)

// Feed returns one page of the changes of a whole database behind a place, in
// the order of (time, key), at most limit of them; the reader goes on behind
// the page's Next. Closed is the time up to which nothing more can come from
// any range: with More false, a reader that has the page has seen all up to
// it. A page may be empty though there are more. Errors are those of
// shard.MethodFeed: FailedPrecondition if changes behind the place may have
// been forgotten.
func (r *Router) Feed(ctx context.Context, db atoll.Database, after shard.FeedCursor, limit int, who Caller) (shard.FeedReply, error) {
	var all shard.FeedReply
	if limit < 1 || limit > shard.MaxPage {
		return all, atoll.Errorf(atoll.Invalid, "a page of %d changes was asked for; 1 to %d are allowed", limit, shard.MaxPage)
	}
	err := r.attempt(ctx, db, who, func(t *table) error {
		pages := make([]shard.FeedReply, len(t.ranges))
		for i := range t.ranges {
			d := &t.ranges[i]
			req := shard.FeedRequest{Target: target(d), After: after, Limit: limit}
			if err := r.answer(ctx, d, who, shard.MethodFeed, 0, req, &pages[i]); err != nil {
				return err
			}
		}
		all = merge(pages, limit)
		return nil
	})
	return all, err
}

// merge makes one page of the pages of all ranges. What lies behind the place
// up to which all of them have told everything is left for the next page.
func merge(pages []shard.FeedReply, limit int) shard.FeedReply {
	if len(pages) == 1 {
		return pages[0]
	}
	all := shard.FeedReply{Closed: pages[0].Closed, Next: pages[0].Next}
	for _, page := range pages {
		all.Changes = append(all.Changes, page.Changes...)
		all.Closed = min(all.Closed, page.Closed)
		all.More = all.More || page.More
		if compare(page.Next, all.Next) < 0 {
			all.Next = page.Next
		}
	}
	slices.SortFunc(all.Changes, func(a, b shard.Change) int { return compare(a.Cursor, b.Cursor) })
	all.Changes = slices.DeleteFunc(all.Changes, func(c shard.Change) bool { return compare(c.Cursor, all.Next) > 0 })
	if len(all.Changes) > limit {
		all.Changes, all.More = all.Changes[:limit], true
		all.Next = all.Changes[limit-1].Cursor
	}
	return all
}

// compare orders places in a feed: a time with a key before a time alone,
// which stands behind all keys of that time.
func compare(a, b shard.FeedCursor) int {
	switch {
	case a.Time != b.Time:
		if a.Time < b.Time {
			return -1
		}
		return 1
	case len(a.Key) == 0 || len(b.Key) == 0:
		return len(b.Key) - len(a.Key)
	}
	return bytes.Compare(a.Key, b.Key)
}
