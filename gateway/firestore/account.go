package firestore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"atoll"
	"atoll/gateway/account"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// accounted begin the methods that accounts are kept of.
var accounted = []string{"/google.firestore.v1.Firestore/", "/atoll.v1.Analytics/"}

// account begins the account of a request. Of services beside its own a Service
// keeps none.
func (s *Service) account(fullMethod, method string, start time.Time) *account.Call {
	switch {
	case !slices.ContainsFunc(accounted, func(prefix string) bool { return strings.HasPrefix(fullMethod, prefix) }):
		return nil
	case method == "Write" || method == "Listen":
		return s.accounts.BeginSession(method, start)
	}
	return s.accounts.Begin(method, start)
}

// metered is a Router that tells the call in a request's context what it costs,
// and holds it to the budgets.
type metered struct {
	router    Router // named, so that no method of it goes by unnoticed
	clock     func() time.Time
	queryTime time.Duration // 0: the deadline of all requests is the bound
	allowed   *allowance    // nil: there is no such budget
}

// meter returns the Router that a Service works with.
func meter(o *Options, deadline time.Duration) Router {
	if o.Accounts == nil {
		return o.Router
	}
	b := o.Accounts.Budgets()
	m := &metered{router: o.Router, clock: o.Clock, allowed: newAllowance(o.Accounts, o.Clock)}
	if b.Time < deadline {
		m.queryTime = b.Time
	}
	return m
}

// allowance is how many keys each caller may read in a minute. It is spent by
// what was read, so that it can be overdrawn by a page.
type allowance struct {
	table   *account.Table
	callers *accounts // with keys in place of bytes
}

// newAllowance returns nil if there is no such budget.
func newAllowance(t *account.Table, clock func() time.Time) *allowance {
	n := float64(t.Budgets().CallerKeys)
	if n == 0 {
		return nil
	}
	return &allowance{t, newAccounts(Quota{Bytes: Rate{PerSecond: n / 60, Burst: n}}, DefaultQuotas.Tracked, clock)}
}

// operation is what a request has the router do once.
type operation struct {
	m     *metered
	call  *account.Call
	ends  bool   // the call ends with it
	who   string // whose allowance is spent
	spent int    // keys
}

func (m *metered) begin(ctx context.Context, who route.Caller) *operation {
	op := &operation{m: m}
	op.call, op.ends = account.Of(ctx).Part()
	if m.allowed != nil {
		op.who = accountOf(who, addressOf(ctx))
	}
	return op
}

// spend takes what was read so far from the caller's allowance.
func (op *operation) spend(keys int) {
	if op.m.allowed != nil && keys > op.spent {
		op.m.allowed.callers.charge(op.who, keys-op.spent)
		op.spent = keys
	}
}

// allow says whether the operation may read on, or begin.
func (op *operation) allow(spent shard.QueryStats) error {
	a := op.m.allowed
	if a == nil {
		return op.call.Allow(spent)
	}
	op.spend(spent.Keys)
	if wait, _ := a.callers.spend(op.who, 0); wait > 0 {
		return later(wait, a.table.OverCallerKeys(op.call))
	}
	return op.call.Allow(spent)
}

// end keeps account of what the operation took.
func (op *operation) end(costs account.Costs, err error) {
	op.spend(int(costs.Keys))
	op.call.Spend(costs)
	if op.ends {
		op.call.End(op.m.clock(), err != nil)
	}
}

// late returns what to say of a query that was ended by the clock.
func (op *operation) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || atoll.KindOf(err) == atoll.DeadlineExceeded {
		if over := op.call.InTime(); over != nil {
			return over
		}
	}
	return err
}

// bounded gives a query its time.
func (m *metered) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if m.queryTime == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, m.queryTime)
}

func costsOf(st *shard.QueryStats) account.Costs {
	return account.Costs{Seeks: uint64(st.Seeks), Keys: uint64(st.Keys), DocumentsRead: uint64(st.Documents)}
}

// Query implements Router.
func (m *metered) Query(ctx context.Context, db atoll.Database, q query.Query, o route.QueryOptions, who route.Caller, each func(at atoll.Time, found *shard.Found) error) (route.QueryResult, error) {
	op := m.begin(ctx, who)
	op.call.Query(db, &q, nil)
	o.Allow = op.allow
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	var found, bytes int
	result, err := m.router.Query(ctx, db, q, o, who, func(at atoll.Time, f *shard.Found) error {
		found++
		bytes += len(f.Doc)
		return each(at, f)
	})
	err = op.late(err)
	costs := costsOf(&result.Stats)
	costs.Results, costs.Bytes = uint64(found), uint64(bytes)
	op.end(costs, err)
	return result, err
}

// Aggregate implements Router.
func (m *metered) Aggregate(ctx context.Context, db atoll.Database, q query.Query, figures []query.Aggregate, o route.QueryOptions, who route.Caller) (*query.Aggregator, route.QueryResult, error) {
	op := m.begin(ctx, who)
	op.call.Query(db, &q, figures)
	o.Allow = op.allow
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	sum, result, err := m.router.Aggregate(ctx, db, q, figures, o, who)
	err = op.late(err)
	costs := costsOf(&result.Stats)
	if err == nil {
		costs.Results = 1
	}
	op.end(costs, err)
	return sum, result, err
}

// Group implements Router.
func (m *metered) Group(ctx context.Context, db atoll.Database, q query.Query, grouping query.Grouping, o route.QueryOptions, who route.Caller) (*query.Groups, route.QueryResult, error) {
	op := m.begin(ctx, who)
	op.call.Query(db, &q, grouping.Figures)
	o.Allow = op.allow
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	groups, result, err := m.router.Group(ctx, db, q, grouping, o, who)
	err = op.late(err)
	costs := costsOf(&result.Stats)
	if err == nil {
		costs.Results = uint64(groups.Len())
	}
	op.end(costs, err)
	return groups, result, err
}

// Get implements Router.
func (m *metered) Get(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller) (shard.GetReply, error) {
	if len(paths) == 0 { // only the time is asked for
		return m.router.Get(ctx, db, paths, at, who)
	}
	op := m.begin(ctx, who)
	op.call.Documents(db, paths)
	err := op.allow(shard.QueryStats{})
	var reply shard.GetReply
	if err == nil {
		reply, err = m.router.Get(ctx, db, paths, at, who)
	}
	op.end(read(reply.Documents), err)
	return reply, err
}

// read returns the costs of documents that were fetched by their names.
func read(documents []shard.Document) account.Costs {
	n := uint64(len(documents))
	costs := account.Costs{Keys: n, DocumentsRead: n}
	for i := range documents {
		if doc := documents[i].Doc; doc != nil {
			costs.Results++
			costs.Bytes += uint64(len(doc))
		}
	}
	return costs
}

// Each implements Router.
func (m *metered) Each(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller, found func(at atoll.Time, i int, d *shard.Document) error) error {
	op := m.begin(ctx, who)
	op.call.Documents(db, paths)
	err := op.allow(shard.QueryStats{})
	var costs account.Costs
	if err == nil {
		err = m.router.Each(ctx, db, paths, at, who, func(at atoll.Time, i int, d *shard.Document) error {
			costs.Keys++
			costs.DocumentsRead++
			if d.Doc != nil {
				costs.Results++
				costs.Bytes += uint64(len(d.Doc))
			}
			return found(at, i, d)
		})
	}
	op.end(costs, err)
	return err
}

// List implements Router.
func (m *metered) List(ctx context.Context, db atoll.Database, req shard.ListRequest, who route.Caller) (shard.ListReply, error) {
	op := m.begin(ctx, who)
	op.call.List(db, req.Collection)
	err := op.allow(shard.QueryStats{})
	var reply shard.ListReply
	if err == nil {
		reply, err = m.router.List(ctx, db, req, who)
	}
	op.end(read(reply.Documents), err)
	return reply, err
}

// Collections implements Router.
func (m *metered) Collections(ctx context.Context, db atoll.Database, req shard.CollectionsRequest, who route.Caller) (shard.CollectionsReply, error) {
	op := m.begin(ctx, who)
	op.call.Collections(db, req.Parent)
	err := op.allow(shard.QueryStats{})
	var reply shard.CollectionsReply
	if err == nil {
		reply, err = m.router.Collections(ctx, db, req, who)
	}
	n := uint64(len(reply.IDs))
	op.end(account.Costs{Seeks: n, Keys: n, Results: n}, err)
	return reply, err
}

// Commit implements Router.
func (m *metered) Commit(ctx context.Context, db atoll.Database, writes []shard.Write, id atoll.RequestID, who route.Caller) (shard.CommitReply, error) {
	op := m.begin(ctx, who)
	op.call.Commit(db, writes)
	reply, err := m.router.Commit(ctx, db, writes, id, who)
	op.end(written(writes, err), err)
	return reply, err
}

// CommitIf implements Router.
func (m *metered) CommitIf(ctx context.Context, db atoll.Database, writes []shard.Write, reads route.Reads, id atoll.RequestID, who route.Caller) (shard.CommitReply, error) {
	op := m.begin(ctx, who)
	op.call.Commit(db, writes)
	reply, err := m.router.CommitIf(ctx, db, writes, reads, id, who)
	costs := written(writes, err)
	costs.Keys += uint64(len(reads.Documents))
	op.end(costs, err)
	return reply, err
}

// Apply implements Router.
func (m *metered) Apply(ctx context.Context, db atoll.Database, writes []shard.Write, ids []atoll.RequestID, who route.Caller) ([]shard.Applied, error) {
	op := m.begin(ctx, who)
	results, err := m.router.Apply(ctx, db, writes, ids, who)
	if atoll.KindOf(err) == atoll.Unimplemented {
		return results, err // the writes are committed one by one
	}
	op.call.Commit(db, writes)
	var done []shard.Write
	for i := range results {
		if results[i].Err == nil {
			done = append(done, writes[i])
		}
	}
	op.end(written(done, err), err)
	return results, err
}

// written returns the costs of a commit.
func written(writes []shard.Write, err error) (costs account.Costs) {
	if err != nil {
		return costs
	}
	costs.DocumentsWritten = uint64(len(writes))
	for i := range writes {
		costs.Bytes += uint64(len(writes[i].Doc))
	}
	return costs
}
