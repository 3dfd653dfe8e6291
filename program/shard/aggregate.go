package shard

import (
	"atoll"
	"atoll/query"
)

// aggregate sums up the documents of a query, as far as one page comes. Counts
// are taken from the index alone where the plan allows.
func (p Program) aggregate(v atoll.View, req *AggregateRequest) (*AggregateReply, error) {
	figures, err := query.NewAggregator(req.Aggregates)
	if err != nil {
		return nil, err
	}
	s, r, token, err := p.prepare(v, req.Target, req.Query, req.After, req.At)
	if err != nil {
		return nil, err
	}
	if s.q.Nearest != nil {
		return nil, atoll.Errorf(atoll.Invalid, "a vector search cannot be aggregated")
	}
	s.forgetOrder()
	all, err := newResults(s, r, span{lo: token.Floor})
	if err != nil {
		return nil, err
	}
	reply := &AggregateReply{Time: r.at}
	if req.Explain {
		reply.Stats.Plan = all.explain()
	}
	reply.Next, err = all.sumUp(figures, token)
	if err := all.close(err); err != nil {
		return nil, err
	}
	reply.Partial = figures.Partial()
	r.stats.Plan = reply.Stats.Plan
	reply.Stats = r.stats
	return reply, nil
}

// forgetOrder lets go of the order where only the set of documents matters, so
// that nothing is sorted for it: the first field's index still leads.
func (s *search) forgetOrder() {
	if s.q.Start != nil || s.q.End != nil || s.q.Limit > 0 || s.q.Offset > 0 {
		return
	}
	keep := min(1, len(s.order.keys))
	if s.q.Descendants {
		keep = 0
	}
	if keep == len(s.order.keys) && (keep == 0 || s.order.nameDesc == s.order.keys[0].desc) {
		return
	}
	s.lacking = len(s.order.keys) > keep
	s.order.keys = s.order.keys[:keep]
	s.order.nameDesc = keep == 1 && s.order.keys[0].desc
}

// sumUp adds documents until the result or the page ends, and returns where
// the next page begins, nil if there is none.
func (a *results) sumUp(figures *query.Aggregator, token pageToken) (next []byte, err error) {
	limited := token.Limit > 0
	for !figures.Full() {
		c, ok, err := a.next()
		if err == errBudget {
			return token.from(a.floor()), nil
		}
		if err != nil || !ok {
			return nil, err
		}
		if token.Offset > 0 {
			token.Offset--
			a.stats.Needed++
			continue
		}
		a.stats.Results++
		if !figures.Reads() {
			figures.AddCount(1)
		} else {
			if err := c.load(a.reading); err != nil {
				return nil, err
			}
			if err := figures.Add(query.Document{Path: c.doc.path, Doc: c.doc.doc}); err != nil {
				return nil, err
			}
		}
		if limited {
			if token.Limit--; token.Limit == 0 {
				return nil, nil
			}
		}
	}
	return nil, nil
}
