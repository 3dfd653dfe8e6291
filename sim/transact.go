package sim

import (
	"fmt"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// doctors are the documents d/0...: n is 1 for whoever is on duty. Once somebody
// is, somebody always is: nobody leaves who has not seen another one stay.
const doctors = 3

// transact reads by a query, thinks, and writes on the condition that the query
// would still find the same.
func (c *client) transact(db atoll.Database) {
	if c.w.chance(60) {
		c.changeDuty(db)
	} else {
		c.level(db)
	}
}

// changeDuty lets one doctor leave if two are on duty, or else begin. With
// checks that do not hold, two of them leave at once and nobody is left (write
// skew).
func (c *client) changeDuty(db atoll.Database) {
	w := c.w
	q := normal(query.Query{Collection: "d", Where: where(query.Equal, 1)}, db)
	rec, ok := c.find(db, q, 0)
	if !ok {
		return
	}
	since, known := w.seen.duty[db]
	if known && rec.at >= since && len(rec.found) == 0 {
		w.fail("%s: nobody of %s is on duty at %s, and somebody was at %s", c.name, db, rec.at, since)
	}
	if len(rec.found) > 0 && (!known || rec.at < since) {
		w.seen.duty[db] = rec.at
	}
	p, duty := docAt("d", w.draw(doctors)), content{n: 1, s: fmt.Sprint(w.seen.now())}
	if len(rec.found) > 1 {
		p, duty.n = rec.found[w.draw(len(rec.found))].path, 0
	}
	c.sleep(w.between(0, w.pace))
	c.commitIf(db, route.Reads{Queries: []shard.QueryCheck{rec.check()}}, set(p, duty))
}

// level moves half of what the richest account has above the poorest from one
// to the other, which it reads both: with one by a query, the other by name.
func (c *client) level(db atoll.Database) {
	w := c.w
	q := normal(query.Query{Collection: "a", Order: []query.Order{{Field: "n", Desc: true}}, Limit: 1}, db)
	richest, ok := c.find(db, q, 0)
	if !ok || len(richest.found) == 0 {
		return
	}
	from, to := richest.found[0], docAt("a", w.draw(purses))
	_, docs, ok := c.get(db, richest.at, to)
	if !ok {
		return
	}
	half := (from.version.n - docs[0].n) / 2
	if half == 0 {
		return // of the same account, or one that has the same
	}
	reads := route.Reads{Queries: []shard.QueryCheck{richest.check()}, Documents: []shard.DocumentCheck{{Path: to, Revision: docs[0].revision, Updated: docs[0].at}}}
	c.sleep(w.between(0, w.pace))
	c.commitIf(db, reads, add(from.path, -half), add(to, half))
}

// check says what a query has found, for a commit to find it again.
func (r *queryRecord) check() shard.QueryCheck {
	d := query.NewDigest()
	for _, f := range r.found {
		d.Add(f.path, f.version.at)
	}
	return shard.QueryCheck{Query: r.q, Count: d.Count(), Digest: d.Sum()}
}
