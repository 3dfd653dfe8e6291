package firestore

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

const (
	// partitionSize is how many documents a partition has at least, as in
	// Firestore.
	partitionSize = 128
	// maxPartitions is the most partitions that are made of one query.
	maxPartitions = 10_000
)

// PartitionQuery returns names at which a query over a collection group can be
// cut into up to partition_count parts of about equal size, in order. It goes
// through the names of all documents of the group.
func (s *Service) PartitionQuery(ctx context.Context, req *firestorepb.PartitionQueryRequest) (*firestorepb.PartitionQueryResponse, error) {
	db, q, err := toQuery(req.GetParent(), req.GetStructuredQuery())
	if err != nil {
		return nil, err
	}
	given := req.GetStructuredQuery()
	if !q.Descendants || q.Where != nil || len(q.Order) > 1 || q.Order[0].Desc || given.GetLimit() != nil || q.Offset > 0 || q.Start != nil || q.End != nil || q.Nearest != nil {
		return nil, atoll.Errorf(atoll.Invalid, "a query that is partitioned must search all descendants of a collection id, ordered by __name__ ascending, without filters, limit, offset and cursors")
	}
	if req.GetPartitionCount() <= 0 {
		return nil, atoll.Errorf(atoll.Invalid, "partition_count is %d; it must be positive", req.GetPartitionCount())
	}
	at, err := readTime(req.GetReadTime())
	if err != nil {
		return nil, err
	}
	count := int(min(req.GetPartitionCount(), maxPartitions))
	size, err := pageSize(req.GetPageSize(), maxPartitions, maxPartitions)
	if err != nil {
		return nil, err
	}
	shape := pageShape{method: fmt.Sprint("partition ", count), parent: req.GetParent(), collection: q.Collection, readTime: at}
	after, err := shape.after(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	from := 0
	if after != "" { // it was written here
		if _, err := fmt.Sscan(after, &at, &from); err != nil {
			return nil, atoll.Errorf(atoll.Invalid, "the page_token does not belong to this request")
		}
	}
	points := sampler{most: 4 * count, stride: partitionSize}
	result, err := s.router.Query(ctx, db, q.Query, route.QueryOptions{At: at, NamesOnly: true}, callerOf(ctx), func(_ atoll.Time, f *shard.Found) error {
		points.add(f.Path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	cuts := points.cuts(count - 1)
	out := &firestorepb.PartitionQueryResponse{}
	for i := from; i < len(cuts) && i < from+size; i++ {
		name := fromValue(value.ReferenceTo(db, cuts[i]))
		out.Partitions = append(out.Partitions, &firestorepb.Cursor{Values: []*firestorepb.Value{name}, Before: true})
	}
	if from+size < len(cuts) {
		out.NextPageToken = shape.token(fmt.Sprint(int64(result.Time), " ", from+size))
	}
	return out, nil
}

// sampler keeps every stride-th name of a list of unknown length, at most
// most of them: when there are too many it drops every other one.
type sampler struct {
	most, stride int
	seen         int
	kept         []atoll.Path
}

func (s *sampler) add(p atoll.Path) {
	if s.seen > 0 && s.seen%s.stride == 0 {
		s.kept = append(s.kept, p)
		if len(s.kept) > s.most {
			half := s.kept[:0]
			for i := 1; i < len(s.kept); i += 2 {
				half = append(half, s.kept[i])
			}
			s.kept, s.stride = half, 2*s.stride
		}
	}
	s.seen++
}

// cuts returns up to n of the names, about equally far apart.
func (s *sampler) cuts(n int) []atoll.Path {
	if len(s.kept) <= n {
		return s.kept
	}
	out := make([]atoll.Path, n)
	for i := range out {
		out[i] = s.kept[(i+1)*(len(s.kept)+1)/(n+1)-1]
	}
	return out
}
