package host

import (
	"context"
	"time"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// page is what one page of a field came to.
type page struct {
	deleted int
	looked  int           // at documents that an index would have passed over
	more    bool          // the next page can follow at once
	lag     time.Duration // of the document that is overdue most
}

// pageByIndex deletes the documents that are overdue most.
func (s *sweeper) pageByIndex(ctx context.Context, db atoll.Database, f shard.FieldIndex) (p page, err error) {
	now := atoll.TimeOf(s.opt.Clock())
	limit := min(expirePage, s.opt.Rate)
	due, err := s.find(ctx, db, f, now, query.Query{
		Where: &query.Filter{Op: query.LessOrEqual, Field: f.Field, Value: value.EncodeValue(value.Timestamp(now))}, Limit: limit,
	}, func(*shard.Found) {})
	if err != nil {
		return p, err
	}
	p.more = len(due) == limit
	p.lag = lag(due, now)
	p.deleted, err = s.delete(ctx, db, due)
	return p, err
}

// scan is how far a look at all documents of a collection group has come.
type scan struct {
	after atoll.Path // the last one that was looked at; empty: none yet
	begun time.Time
	rest  time.Time // until when nothing is done after all were looked at
}

// pageByScan looks at documents in the order of their names and deletes those
// whose time has come: for a field that is not indexed.
func (s *sweeper) pageByScan(ctx context.Context, db atoll.Database, f shard.FieldIndex, c *scan) (p page, err error) {
	if time.Now().Before(c.rest) {
		return p, nil
	}
	if c.after == "" {
		c.begun = time.Now()
	}
	now := atoll.TimeOf(s.opt.Clock())
	q := query.Query{Limit: scanPage, Order: []query.Order{{Field: value.NameField}}}
	if c.after != "" {
		q.Start = &query.Cursor{Values: [][]byte{value.EncodeValue(value.ReferenceTo(db, c.after))}}
	}
	due, err := s.find(ctx, db, f, now, q, func(found *shard.Found) {
		p.looked++
		c.after = found.Path
	})
	if err != nil {
		return p, err
	}
	p.more = p.looked == scanPage
	if !p.more {
		took := time.Since(c.begun)
		*c = scan{rest: time.Now().Add(max(s.opt.Every, scanRest*took))}
	}
	p.lag = lag(due, now)
	p.deleted, err = s.delete(ctx, db, due)
	return p, err
}

// overdue is a document whose time has come.
type overdue struct {
	path    atoll.Path
	updated atoll.Time
	since   atoll.Time // when its time had come and it was there
}

// find runs a query over a collection group and returns the documents that hold
// in the field a timestamp that is not after now. A value of another kind is no
// time, nor is one in an array.
func (s *sweeper) find(ctx context.Context, db atoll.Database, f shard.FieldIndex, now atoll.Time, q query.Query, each func(*shard.Found)) ([]overdue, error) {
	path, err := value.ParseFieldPath(f.Field)
	if err != nil {
		return nil, err
	}
	q.Collection, q.Descendants, q.Selects, q.Select = f.Collection, true, true, []string{f.Field}
	if q, err = query.Normalize(q, db); err != nil {
		return nil, err
	}
	var due []overdue
	_, err = s.router.Query(ctx, db, q, route.QueryOptions{}, administrator, func(_ atoll.Time, found *shard.Found) error {
		each(found)
		v, ok, err := value.Doc(found.Doc).Lookup(path)
		if err != nil || !ok {
			return err
		}
		if v.Kind() == value.KindTimestamp && v.Time() <= now {
			due = append(due, overdue{found.Path, found.Updated, max(v.Time(), found.Updated)})
		}
		return nil
	})
	return due, err
}

// lag returns for how long the first of the documents to be due has been so.
func lag(due []overdue, now atoll.Time) time.Duration {
	var most atoll.Time
	for _, d := range due {
		most = max(most, now-d.since)
	}
	return time.Duration(most) * time.Microsecond
}

// delete deletes documents if they are as they were found: one whose time was
// moved meanwhile stays. It returns how many it deleted.
func (s *sweeper) delete(ctx context.Context, db atoll.Database, due []overdue) (int, error) {
	if len(due) == 0 {
		return 0, nil
	}
	writes := make([]shard.Write, len(due))
	for i, d := range due {
		writes[i] = shard.Write{Op: shard.OpDelete, Path: d.path, UpdateTime: &due[i].updated}
	}
	err := s.commit(ctx, db, writes)
	if err == nil {
		return len(due), nil
	}
	if !stays(err) && atoll.KindOf(err) != atoll.Unimplemented {
		return 0, err
	}
	// One of them has changed, or they lie where one commit does not reach.
	deleted := 0
	for i := range writes {
		switch err := s.commit(ctx, db, writes[i:i+1]); {
		case err == nil:
			deleted++
		case stays(err):
			s.counts.kept.Add(1)
		default:
			return deleted, err
		}
	}
	return deleted, nil
}

func (s *sweeper) commit(ctx context.Context, db atoll.Database, writes []shard.Write) error {
	if _, err := s.router.Commit(ctx, db, writes, route.NewRequestID(), administrator); err != nil {
		return err
	}
	s.counts.deleted.Add(uint64(len(writes)))
	return nil
}

// stays reports whether an error says that a document is not as it was found.
func stays(err error) bool {
	switch atoll.KindOf(err) {
	case atoll.FailedPrecondition, atoll.NotFound, atoll.Aborted:
		return true
	}
	return false
}
