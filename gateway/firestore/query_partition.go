package firestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

const (
	// partitionSize is about how many documents a partition has at least, as
	// in Firestore.
	partitionSize = 128
	// maxPartitions is the most partitions that are made of one query.
	maxPartitions = 10_000
)

// PartitionQuery returns names at which a query over a collection group can be
// cut into up to partition_count parts of equal size, in order. It counts the
// names of the group and goes through them once more for the points, at most
// Limits.PartitionNames of them with one request: a page may then be empty and
// have a token for the next one. All pages are of one time.
func (s *Service) PartitionQuery(ctx context.Context, req *firestorepb.PartitionQueryRequest) (*firestorepb.PartitionQueryResponse, error) {
	db, q, err := toPartition(req)
	if err != nil {
		return nil, err
	}
	at, err := readTime(req.GetReadTime())
	if err != nil {
		return nil, err
	}
	count := min(int64(req.GetPartitionCount()), maxPartitions)
	size, err := pageSize(req.GetPageSize(), maxPartitions, maxPartitions)
	if err != nil {
		return nil, err
	}
	shape := pageShape{method: fmt.Sprint("partition ", count), parent: req.GetParent(), collection: q.Collection, readTime: at}
	p := partition{s: s, db: db, q: q, who: callerOf(ctx), place: partitionPlace{At: at}}
	if err := p.place.read(&shape, req.GetPageToken()); err != nil {
		return nil, err
	}
	out := &firestorepb.PartitionQueryResponse{}
	more := p.place.Total > 0
	if !more {
		if more, err = p.count(ctx); err != nil {
			return nil, err
		}
	}
	if p.place.Total > 0 && p.read < s.limits.PartitionNames {
		points, left, err := p.points(ctx, count, size)
		if err != nil {
			return nil, err
		}
		for _, path := range points {
			name := fromValue(value.ReferenceTo(db, path))
			out.Partitions = append(out.Partitions, &firestorepb.Cursor{Values: []*firestorepb.Value{name}, Before: true})
		}
		more = left
	}
	if more {
		out.NextPageToken = shape.token(p.place.String())
	}
	return out, nil
}

// toPartition converts the query that is to be cut.
func toPartition(req *firestorepb.PartitionQueryRequest) (atoll.Database, query.Query, error) {
	db, q, err := toQuery(req.GetParent(), req.GetStructuredQuery())
	if err != nil {
		return db, q.Query, err
	}
	if !q.Descendants || q.Where != nil || len(q.Order) > 1 || q.Order[0].Desc || req.GetStructuredQuery().GetLimit() != nil || q.Offset > 0 || q.Start != nil || q.End != nil || q.Nearest != nil {
		return db, q.Query, atoll.Errorf(atoll.Invalid, "a query that is partitioned must search all descendants of a collection id, ordered by __name__ ascending, without filters, limit, offset and cursors")
	}
	if req.GetPartitionCount() <= 0 {
		return db, q.Query, atoll.Errorf(atoll.Invalid, "partition_count is %d; it must be positive", req.GetPartitionCount())
	}
	return db, q.Query, nil
}

// partitionPlace is how far the pages of a PartitionQuery have come: what their
// tokens hold.
type partitionPlace struct {
	At    atoll.Time // of all pages; 0 before the first
	Total int64      // names of the group; 0 until all are counted
	Seen  int64      // names counted, or gone through for the points
	Last  atoll.Path // the last of them; empty if there is none
}

// String writes the place for a token.
func (p *partitionPlace) String() string {
	return fmt.Sprintf("%d %d %d/%s", int64(p.At), p.Total, p.Seen, p.Last)
}

// read takes the place from a token, unless it is empty.
func (p *partitionPlace) read(shape *pageShape, token string) error {
	text, err := shape.after(token)
	if err != nil || text == "" {
		return err
	}
	var at int64
	var last string
	n, err := fmt.Sscanf(text, "%d %d %d/", &at, &p.Total, &p.Seen)
	if err == nil && n == 3 {
		_, last, _ = strings.Cut(text, "/")
	}
	p.At, p.Last = atoll.Time(at), atoll.Path(last)
	if err != nil || at <= 0 || p.Seen < 0 || p.Total < 0 || p.Last != "" && (!p.Last.IsDocument() || p.Last.Check() != nil) {
		return atoll.Errorf(atoll.Invalid, "the page_token does not belong to this request")
	}
	return nil
}

// partition is one request for the points.
type partition struct {
	s     *Service
	db    atoll.Database
	q     query.Query
	who   route.Caller
	place partitionPlace
	read  int // names, with this request
}

// errPoints ends a query when it has found enough points.
var errPoints = errors.New("the page has its points")

// each goes on through the names, as far as one request may. point is told the
// number of each, from 0. more tells that there may be names left.
func (p *partition) each(ctx context.Context, point func(n int64, path atoll.Path) error) (more bool, err error) {
	q := p.q
	q.Limit = p.s.limits.PartitionNames - p.read
	if p.place.Last != "" {
		q.Start = &query.Cursor{Values: [][]byte{value.EncodeValue(value.ReferenceTo(p.db, p.place.Last))}}
	}
	result, err := p.s.router.Query(ctx, p.db, q, route.QueryOptions{At: p.place.At, NamesOnly: true}, p.who, func(_ atoll.Time, f *shard.Found) error {
		if err := point(p.place.Seen, f.Path); err != nil {
			return err
		}
		p.read++
		p.place.Seen++
		p.place.Last = f.Path
		return nil
	})
	if err != nil && err != errPoints {
		return false, err
	}
	p.place.At = result.Time
	return err == errPoints || p.read == p.s.limits.PartitionNames, nil
}

// count counts names. When it has come to the end the place is at the beginning
// again, with the total. more tells that the answer needs a further page.
func (p *partition) count(ctx context.Context) (more bool, err error) {
	more, err = p.each(ctx, func(int64, atoll.Path) error { return nil })
	if err != nil || more {
		return more, err
	}
	p.place = partitionPlace{At: p.place.At, Total: p.place.Seen}
	return p.place.Total > 0, nil
}

// points returns the names of a page at which the group is cut: those numbered
// total/parts, 2*total/parts, ...
func (p *partition) points(ctx context.Context, count int64, size int) (points []atoll.Path, more bool, err error) {
	total := p.place.Total
	parts := min(count, (total+partitionSize-1)/partitionSize)
	next := (p.place.Seen*parts + total - 1) / total // the first cut that is not passed
	next = max(next, 1)
	if next >= parts {
		return nil, false, nil
	}
	more, err = p.each(ctx, func(n int64, path atoll.Path) error {
		if next == parts || len(points) == size {
			return errPoints
		}
		if n == next*total/parts {
			points = append(points, path)
			next++
		}
		return nil
	})
	return points, more && next < parts, err
}
