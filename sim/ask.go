package sim

import (
	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// queryRecord is what a query found, or what an aggregation of it came to.
type queryRecord struct {
	db    atoll.Database
	q     query.Query
	at    atoll.Time
	found []found
	// figures are asked for in the order of figuresOf; nil: the documents
	// themselves were.
	figures []value.Value
}

// found is one document of a result, with its content if that was asked for.
type found struct {
	path    atoll.Path
	version version
}

// scans are how many keys a page of a query may read before it ends. Databases
// of worlds are small, so most worlds have small pages.
var scans = []int{3, 10, 40, shard.MaxScan}

// where compares the number of documents.
func where(op query.Op, n int64) *query.Filter {
	return &query.Filter{Op: op, Field: "n", Value: value.EncodeValue(value.Int(n))}
}

// someQuery draws a query over the documents of a world.
func (w *world) someQuery() (q query.Query) {
	switch q.Collection = []string{"a", "a", "c", "r", "l", "d", "m"}[w.draw(7)]; {
	case q.Collection == "m" && w.chance(70):
		q.Descendants = true
	case q.Collection == "m":
		q.Parent = docAt("l", w.draw(listed))
	case w.chance(5):
		q = query.Query{Descendants: true}
	}
	if q.Collection != "" && w.chance(50) {
		q.Where = where([]query.Op{query.Equal, query.NotEqual, query.Less, query.GreaterOrEqual}[w.draw(4)], int64(w.draw(7)-3))
	}
	if q.Collection != "" && w.chance(50) {
		q.Order = append(q.Order, query.Order{Field: "n", Desc: w.chance(50)})
	} else if q.Where == nil && w.chance(30) {
		q.Order = append(q.Order, query.Order{Field: value.NameField, Desc: w.chance(50)})
	}
	q.Limit, q.Offset = max(0, w.draw(10)-4), max(0, w.draw(6)-3)
	return q
}

// normal returns the query in the form in which it is asked.
func normal(q query.Query, db atoll.Database) query.Query {
	q, err := query.Normalize(q, db)
	if err != nil {
		panic(err) // the simulator's own mistake
	}
	return q
}

// time draws when a query reads: mostly now, else at a time that is known.
func (c *client) time(db atoll.Database) atoll.Time {
	if c.w.chance(40) {
		return c.past(db)
	}
	return 0
}

// query asks for the documents of a query.
func (c *client) query(db atoll.Database) {
	c.find(db, normal(c.w.someQuery(), db), c.time(db))
}

// find runs a query, page by page. ok is false if there was no whole answer.
func (c *client) find(db atoll.Database, q query.Query, at atoll.Time) (rec *queryRecord, ok bool) {
	w := c.w
	rec = &queryRecord{db: db, q: q}
	result, err := c.router.Query(c.request(), db, q, route.QueryOptions{At: at}, c.who, func(now atoll.Time, f *shard.Found) error {
		v, err := versionOf(&f.Document)
		rec.at, rec.found = now, append(rec.found, found{f.Path, v})
		if w.chance(10) {
			c.sleep(w.between(0, 30*millisecond)) // others write meanwhile
		}
		return err
	})
	if !c.answered(db, max(at, result.Time), err) {
		return rec, false
	}
	w.event("%s: query %s at %d: %d documents at %d, %d keys", c.name, q.Parent.Child(q.Collection), at, len(rec.found), result.Time, result.Stats.Keys)
	c.asked(rec, at, result.Time)
	w.n.Queries++
	return rec, true
}

// asked notes an answer as of a time.
func (c *client) asked(rec *queryRecord, at, answered atoll.Time) {
	w := c.w
	if at != 0 && answered != at || len(rec.found) > 0 && rec.at != answered {
		w.fail("%s: a query at %s answered as of %s, and its documents as of %s", c.name, at, answered, rec.at)
	}
	rec.at = answered
	w.seen.learn(rec.db, answered)
	w.seen.queries = append(w.seen.queries, rec)
}

// figuresOf are what is asked of a query's documents.
var figuresOf = []query.Aggregate{{Op: query.Count}, {Op: query.Sum, Field: "n"}, {Op: query.Max, Field: "n"}}

// sumUp asks for figures of a query's documents.
func (c *client) sumUp(db atoll.Database) {
	w := c.w
	q, at := normal(w.someQuery(), db), c.time(db)
	sum, result, err := c.router.Aggregate(c.request(), db, q, figuresOf, route.QueryOptions{At: at}, c.who)
	if !c.answered(db, max(at, result.Time), err) {
		return
	}
	rec := &queryRecord{db: db, q: q, figures: sum.Result()}
	w.event("%s: sums of %s at %d: %v at %d", c.name, q.Parent.Child(q.Collection), at, rec.figures, result.Time)
	c.asked(rec, at, result.Time)
	w.n.Aggregates++
}

// sumOfPurses asks for all accounts, or their sum, at one time: whoever sees a
// transfer sees both sides of it.
func (c *client) sumOfPurses(db atoll.Database) {
	w := c.w
	q, at, total := normal(query.Query{Collection: "a", Order: []query.Order{{Field: "n", Desc: w.chance(50)}}}, db), c.time(db), int64(0)
	if w.chance(50) {
		rec, ok := c.find(db, q, at)
		if !ok {
			return
		}
		for _, f := range rec.found {
			total += f.version.n
		}
	} else {
		sum, result, err := c.router.Aggregate(c.request(), db, q, figuresOf, route.QueryOptions{At: at}, c.who)
		if !c.answered(db, max(at, result.Time), err) {
			return
		}
		w.n.Aggregates++
		total = sum.Result()[1].Int()
	}
	if total != 0 {
		w.fail("%s: a query at %s finds %d in the accounts of %s: a transfer was torn", c.name, at, total, db)
	}
}
