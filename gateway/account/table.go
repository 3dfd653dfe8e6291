package account

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"atoll"
)

const (
	// DefaultLimit is how many shapes a node keeps if it is told nothing else:
	// about 2 MiB.
	DefaultLimit = 1000
	// HalfLife is the time in which the weight of what was done halves.
	HalfLife = time.Minute
)

// Options say what a Table keeps. A zero field takes its default.
type Options struct {
	Limit    int                   // shapes; DefaultLimit
	Budgets  Budgets               // none if zero: see DefaultBudgets
	Clock    func() time.Time      // time.Now
	Registry prometheus.Registerer // nil: counted for nobody
}

// Table keeps account of requests by shape, of a bounded number of shapes. It is
// safe for concurrent use.
type Table struct {
	limit   int
	budgets Budgets
	clock   func() time.Time
	started time.Time
	over    [len(budgetNames)]atomic.Uint64 // requests ended, by budget

	mu      sync.Mutex // guards what follows; nothing else is locked under it
	byKey   map[string]*entry
	light   lightest // all entries, the one that weighs least first
	total   Costs
	weight  float64
	evicted uint64
	// epoch is when a weight of 1 stands for 1. What is done later is entered
	// with a larger weight instead of making all others smaller.
	epoch time.Time
}

// entry is the account of a shape.
type entry struct {
	key   string // as Call.key
	shape Shape  // what does not change, and sums
	times histogram
	first time.Time
	last  time.Time

	weight    float64 // of its costs, and of what it inherited
	inherited float64
	place     int // in light
}

// New returns a Table that is empty. It fails with Invalid if the limit or a
// budget is negative.
func New(o Options) (*Table, error) {
	if o.Limit < 0 {
		return nil, atoll.Errorf(atoll.Invalid, "accounts of %d shapes cannot be kept", o.Limit)
	}
	if err := o.Budgets.Check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	now := o.Clock()
	t := &Table{limit: cmp.Or(o.Limit, DefaultLimit), budgets: o.Budgets, clock: o.Clock, started: now, epoch: now, byKey: map[string]*entry{}}
	if o.Registry != nil {
		t.register(o.Registry)
	}
	return t, nil
}

func (t *Table) register(reg prometheus.Registerer) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "atoll", Subsystem: "account", Name: name, Help: help}
	}
	locked := func(read func() float64) func() float64 {
		return func() float64 {
			t.mu.Lock()
			defer t.mu.Unlock()
			return read()
		}
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts("shapes", "Shapes of requests that are kept account of.")), locked(func() float64 { return float64(len(t.light)) })),
		prometheus.NewCounterFunc(prometheus.CounterOpts(opts("evicted_total", "Shapes forgotten for want of room.")), locked(func() float64 { return float64(t.evicted) })),
		prometheus.NewCounterFunc(prometheus.CounterOpts(opts("keys_total", "Index entries and versions read for clients.")), locked(func() float64 { return float64(t.total.Keys) })),
		prometheus.NewCounterFunc(prometheus.CounterOpts(opts("cost_total", "Estimated processor time of requests, in microseconds.")), locked(func() float64 { return float64(t.total.Cost) })),
	)
	for i, name := range budgetNames {
		o := prometheus.CounterOpts(opts("over_budget_total", "Requests ended because of a budget."))
		o.ConstLabels = prometheus.Labels{"budget": name}
		reg.MustRegister(prometheus.NewCounterFunc(o, func() float64 { return float64(t.over[i].Load()) }))
	}
}

// record adds a request that ended now.
func (t *Table) record(c *Call, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	growth := t.growth(now)
	e := t.byKey[string(c.key)]
	if e == nil {
		e = t.room(c, now)
	}
	w := float64(c.costs.Cost) * growth
	e.weight += w
	t.weight += w
	heap.Fix(&t.light, e.place)
	e.shape.Costs.add(&c.costs)
	t.total.add(&c.costs)
	micros := int64(c.costs.Micros)
	e.times.add(micros)
	e.shape.MaxMicros = max(e.shape.MaxMicros, micros)
	e.last = now
}

// room returns a new entry for a shape, in place of the lightest one if there
// is none left. The caller holds mu.
func (t *Table) room(c *Call, now time.Time) *entry {
	shape := Shape{Method: c.method, Database: c.databaseName(), Group: strings.Clone(c.group), Text: string(c.key[:c.text])}
	if len(t.light) < t.limit {
		e := &entry{key: string(c.key), shape: shape, first: now}
		t.byKey[e.key] = e
		heap.Push(&t.light, e)
		return e
	}
	e := t.light[0]
	delete(t.byKey, e.key)
	t.evicted++
	*e = entry{key: string(c.key), shape: shape, first: now, weight: e.weight, inherited: e.weight}
	t.byKey[e.key] = e
	return e
}

// maxGrowth is the exponent at which weights are brought down again, long
// before they are too large for a number.
const maxGrowth = 256

// growth returns what a weight of 1 is entered as now. The caller holds mu.
func (t *Table) growth(now time.Time) float64 {
	halves := float64(now.Sub(t.epoch)) / float64(HalfLife)
	if halves > maxGrowth {
		down := math.Exp2(-halves)
		for _, e := range t.light { // all alike: their order stays
			e.weight *= down
			e.inherited *= down
		}
		t.weight *= down
		t.epoch, halves = now, 0
	}
	return math.Exp2(halves)
}

// Report returns an account of at most limit shapes, sorted by one of Orders.
// If database is not empty only shapes of that database are told. It fails with
// Invalid if there is no such order.
func (t *Table) Report(by, database string, limit int) (Report, error) {
	if err := Sort(nil, by); err != nil {
		return Report{}, err
	}
	r := t.copy(database)
	Sort(r.Shapes, by) // was checked
	r.Shapes = slices.Clip(r.Shapes[:max(min(limit, len(r.Shapes)), 0)])
	return r, nil
}

// copy returns a report of all shapes.
func (t *Table) copy(database string) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	// A steady load of 1 makes a weight of HalfLife/ln 2.
	load := math.Ln2 / HalfLife.Seconds() / t.growth(now)
	r := Report{
		Now: now.UnixMilli(), Started: t.started.UnixMilli(), Total: t.total, Load: t.weight * load, Shapes: []Shape{},
		Tracked: len(t.light), Limit: t.limit, Evicted: t.evicted, Budgets: t.budgets, OverBudget: map[string]uint64{},
	}
	for _, e := range t.light {
		if database != "" && e.shape.Database != database {
			continue
		}
		s := e.shape
		s.Load = (e.weight - e.inherited) * load
		s.P50Micros = min(e.times.quantile(0.5), s.MaxMicros)
		s.P99Micros = min(e.times.quantile(0.99), s.MaxMicros)
		s.First, s.Last = e.first.UnixMilli(), e.last.UnixMilli()
		r.Shapes = append(r.Shapes, s)
	}
	for i, name := range budgetNames {
		r.OverBudget[name] = t.over[i].Load()
	}
	return r
}

// lightest is a heap of entries by weight.
type lightest []*entry

func (l lightest) Len() int           { return len(l) }
func (l lightest) Less(i, j int) bool { return l[i].weight < l[j].weight }
func (l lightest) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}
func (l *lightest) Push(x any) {
	e := x.(*entry)
	e.place = len(*l)
	*l = append(*l, e)
}
func (l *lightest) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
