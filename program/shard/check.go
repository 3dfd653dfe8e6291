package shard

import (
	"bytes"
	"slices"

	"atoll"
	"atoll/planted"
	"atoll/query"
)

// MaxChecks is the most queries that one commit may repeat.
const MaxChecks = 100

// check finds out whether what a transaction has read is still so, before
// anything is written. It fails with Aborted if not, Invalid or WrongRange for
// what cannot be checked here, and ResourceExhausted for queries that read too
// much to be repeated in a commit.
func (c *commitment) check(req *CommitRequest) error {
	if len(req.Documents) > MaxWrites || len(req.Queries) > MaxChecks {
		return atoll.Errorf(atoll.Invalid, "a commit checks %d documents and %d queries; %d and %d are allowed",
			len(req.Documents), len(req.Queries), MaxWrites, MaxChecks)
	}
	for i := range req.Documents {
		if err := c.checkDocument(&req.Documents[i]); err != nil {
			return err
		}
	}
	if c.planted.Has(planted.QueryCheckSkipped) {
		return nil
	}
	budget := MaxScan
	for i := range req.Queries {
		if err := c.checkQuery(&req.Queries[i], &budget); err != nil {
			return err
		}
	}
	return nil
}

func (c *commitment) checkDocument(check *DocumentCheck) error {
	d, err := c.stage(check.Path)
	if err != nil {
		return err
	}
	if err := d.load(c.now); err != nil {
		return err
	}
	same := !d.live
	if check.Revision > 0 {
		same = d.live && d.stored.revision == check.Revision && (check.Updated == 0 || check.Updated == d.updated)
	}
	if !same {
		return conflict(d.name() + " has changed")
	}
	return nil
}

// checkQuery repeats a query over all ranges of the commit.
func (c *commitment) checkQuery(check *QueryCheck, budget *int) error {
	q := check.Query
	if q.Nearest != nil {
		return atoll.Errorf(atoll.Invalid, "a vector search cannot be repeated by a commit; run it outside of the transaction")
	}
	if q.Offset < 0 || q.Limit < 0 {
		return atoll.Errorf(atoll.Invalid, "the query has the offset %d and the limit %d", q.Offset, q.Limit)
	}
	end := 0
	if q.Limit > 0 {
		end = q.Offset + q.Limit
	}
	offset := q.Offset
	q.Offset, q.Limit = 0, end
	var all []candidate
	for i := range c.parts {
		some, err := c.parts[i].find(q, c.now, budget)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b candidate) int { return bytes.Compare(a.pos, b.pos) })
	if end > 0 {
		all = all[:min(end, len(all))]
	}
	digest := query.NewDigest()
	for _, found := range all[min(offset, len(all)):] {
		digest.Add(found.doc.path, found.doc.at)
	}
	if digest.Count() != check.Count || digest.Sum() != check.Digest {
		return conflict("a query finds other documents now")
	}
	return nil
}

// find returns what a query finds in the part's range, without the contents of
// documents.
func (p *part) find(q query.Query, now atoll.Time, budget *int) (found []candidate, err error) {
	s, err := newSearch(p.Descriptor, q)
	if err != nil {
		return nil, err
	}
	if err := s.customize(p.maintenance.state, now); err != nil {
		return nil, err
	}
	r := &reading{ranges: p.ranges, d: p.Descriptor, at: now, limits: usual}
	r.scan = *budget
	all, err := newResults(s, r, span{})
	if err != nil {
		return nil, err
	}
	for q.Limit == 0 || len(found) < q.Limit {
		c, ok, nextErr := all.next()
		if ok && nextErr == nil {
			nextErr = c.load(r)
		}
		if err = nextErr; err != nil || !ok {
			break
		}
		c.doc.doc = nil
		found = append(found, c)
	}
	*budget = max(0, *budget-r.stats.Keys)
	if err == errBudget {
		err = atoll.Errorf(atoll.ResourceExhausted, "the transaction's queries read more than %d keys; read less, or commit without them", MaxScan)
	}
	return found, all.close(err)
}

// conflict says that a transaction's reads are stale.
func conflict(what string) error {
	return atoll.Errorf(atoll.Aborted, "the transaction is in conflict with another one: %s since it was read; run it again", what)
}
