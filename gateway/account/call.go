package account

import (
	"context"
	"sync"
	"time"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
)

// Weights of Estimate, in microseconds of processor time: rough figures of one
// core of a small machine, to rank requests by, not to bill them.
const (
	costRequest = 30
	costSeek    = 3
	costKey     = 1
	costRead    = 3
	costWrite   = 60
	costBytes   = 400 // so many bytes cost one
)

// Estimate returns about how much processor time the requests took, in
// microseconds. Go tells nobody how long a goroutine ran; what it did is known.
func (c *Costs) Estimate() uint64 {
	return costRequest*c.Count + costSeek*c.Seeks + costKey*c.Keys + costRead*c.DocumentsRead +
		costWrite*c.DocumentsWritten + c.Bytes/costBytes
}

// add adds the costs of others.
func (c *Costs) add(o *Costs) {
	c.Count += o.Count
	c.Errors += o.Errors
	c.Micros += o.Micros
	c.Seeks += o.Seeks
	c.Keys += o.Keys
	c.DocumentsRead += o.DocumentsRead
	c.DocumentsWritten += o.DocumentsWritten
	c.Results += o.Results
	c.Bytes += o.Bytes
	c.Cost += o.Cost
}

// Call is one request under way. It is safe for concurrent use until End; a nil
// Call keeps no account.
type Call struct {
	table   *Table
	method  string
	session bool
	start   time.Time

	mu       sync.Mutex // guards what follows; the table's lock may be taken under it
	shaped   bool
	database atoll.Database
	group    string
	key      []byte // the text, then what else tells shapes apart
	text     int    // length of the text
	costs    Costs

	buf [192]byte // of most keys
}

// Begin starts to keep account of a request that came in at a time of the
// table's clock. A nil table gives a nil Call.
func (t *Table) Begin(method string, now time.Time) *Call {
	if t == nil {
		return nil
	}
	return &Call{table: t, method: method, start: now}
}

// BeginSession is for a stream whose messages are requests of their own: each
// of them is what Part returns, and the session itself counts nothing.
func (t *Table) BeginSession(method string, now time.Time) *Call {
	c := t.Begin(method, now)
	if c != nil {
		c.session = true
	}
	return c
}

// Part returns the Call that an operation belongs to: c, or a new one within a
// session, which begins now and is ended by the caller.
func (c *Call) Part() (part *Call, ends bool) {
	if c == nil || !c.session {
		return c, false
	}
	return c.table.Begin(c.method, c.table.clock()), true
}

// End adds the request, which was answered now, to the accounts. It is called
// once, behind everything else.
func (c *Call) End(now time.Time, failed bool) {
	if c == nil || c.session {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shape(atoll.Database{}, "", nil) // unless it has one
	c.costs.Count = 1
	if failed {
		c.costs.Errors = 1
	}
	c.costs.Micros = uint64(max(now.Sub(c.start).Microseconds(), 0))
	c.costs.Cost = c.costs.Estimate()
	c.table.record(c, now)
}

// Spend adds what a part of the request took.
func (c *Call) Spend(costs Costs) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.costs.add(&costs)
}

// Query says that the request asks a normalised query, or sums it up.
func (c *Call) Query(db atoll.Database, q *query.Query, figures []query.Aggregate) {
	c.is(db, q.Collection, func(t *text) { t.query(q, figures) })
}

// Documents says that the request reads documents by name; the first one tells
// which.
func (c *Call) Documents(db atoll.Database, paths []atoll.Path) {
	if len(paths) > 0 { // without, only a time is asked for
		c.is(db, paths[0].Parent().ID(), func(t *text) { t.path(paths[0]) })
	}
}

// List says that the request lists a collection.
func (c *Call) List(db atoll.Database, collection atoll.Path) {
	c.is(db, collection.ID(), func(t *text) { t.path(collection) })
}

// Collections says that the request lists the collections below a document or
// the root.
func (c *Call) Collections(db atoll.Database, parent atoll.Path) {
	c.is(db, "", func(t *text) { t.path(parent) })
}

// Commit says that the request writes documents.
func (c *Call) Commit(db atoll.Database, writes []shard.Write) {
	if len(writes) > 0 {
		c.is(db, writes[0].Path.Parent().ID(), func(t *text) { t.writes(writes) })
	}
}

// is gives the request its shape, if it has none. A request that does several
// things has the shape of the first.
func (c *Call) is(db atoll.Database, group string, write func(*text)) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shape(db, group, write)
}

func (c *Call) shape(db atoll.Database, group string, write func(*text)) {
	if c.shaped {
		return
	}
	t := text(c.buf[:0])
	if write != nil {
		write(&t)
	}
	c.shaped, c.database, c.group = true, db, group
	key := t.clip()
	c.text = len(key)
	for _, s := range [...]string{c.method, db.Project, db.ID} {
		key = append(append(key, 0), s...)
	}
	c.key = key
}

// Text returns the shape's text; empty if it is not known yet.
func (c *Call) Text() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.key[:c.text])
}

func (c *Call) databaseName() string {
	if c.database == (atoll.Database{}) {
		return ""
	}
	return c.database.String()
}

type callKey struct{}

// With returns a context that carries a call.
func With(ctx context.Context, c *Call) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, callKey{}, c)
}

// Of returns the call that a context carries, nil if it carries none.
func Of(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
