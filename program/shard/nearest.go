package shard

import (
	"bytes"
	"slices"

	"atoll/query"
	"atoll/value"
)

// near is a document found by its vector.
type near struct {
	place    []byte // distance, then name: Found.Key
	docKey   []byte
	distance float64
}

// nearest answers one page of a vector search: the nearest of the documents
// that the page comes to look at, the nearest first.
func (p *queryPage) nearest() error {
	limit := p.s.q.Nearest.Limit
	var best []near
	for {
		c, ok, err := p.next()
		if err == errBudget {
			p.reply.Next = p.token.from(p.floor())
			break
		}
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		n, ok, err := p.measure(&c)
		if err != nil {
			return err
		}
		at, _ := slices.BinarySearchFunc(best, n, func(a, b near) int { return bytes.Compare(a.place, b.place) })
		if !ok || at == limit {
			p.stats.Needed++
			continue
		}
		if len(best) == limit {
			best = best[:limit-1]
			p.stats.Needed++
		}
		best = slices.Insert(best, at, n)
	}
	for i := range best {
		if err := p.addNear(&best[i]); err != nil {
			return err
		}
	}
	return nil
}

// measure finds a document's place among the nearest; ok is false if it has no
// distance.
func (p *queryPage) measure(c *candidate) (n near, ok bool, err error) {
	if err := c.load(p.reading); err != nil {
		return n, false, err
	}
	n.docKey = c.key
	n.distance, ok, err = p.s.p.Distance(query.Document{Path: c.doc.path, Doc: c.doc.doc})
	if !ok || err != nil {
		return n, false, err
	}
	n.place = appendSorted(nil, value.Double(n.distance), p.s.q.Nearest.Measure == query.DotProduct)
	n.place = appendFlipped(n.place, c.key, p.s.order.nameDesc)
	return n, true, nil
}

// addNear puts a document on the page, without its fields if there is no room
// for them.
func (p *queryPage) addNear(n *near) error {
	c := candidate{pos: n.place, key: n.docKey}
	full, err := p.add(&c)
	if err != nil {
		return err
	}
	if full {
		path, err := readPath(n.docKey)
		if err != nil {
			return err
		}
		p.reply.Found = append(p.reply.Found, Found{Document: Document{Path: path}, Key: n.place})
	}
	p.reply.Found[len(p.reply.Found)-1].Distance = &n.distance
	return nil
}
