package admin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"atoll"
)

// Sample is what the node did during one step of time, and held at its end.
// A kind of request that did not come in that time has no latency.
type Sample struct {
	At      int64   `json:"at"`      // end of the step, in milliseconds since the epoch
	Writes  float64 `json:"writes"`  // documents written, a second
	Reads   float64 `json:"reads"`   // documents returned, a second
	Queries float64 `json:"queries"` // queries and aggregations, a second
	Errors  float64 `json:"errors"`  // requests that were answered with an error, a second
	CPU     float64 `json:"cpu"`     // processors in use: 1 is one of them all the time
	Disk    float64 `json:"disk"`    // bytes of all files
	Memory  float64 `json:"memory"`  // bytes resident

	WriteLatency *Latency `json:"writeLatency,omitempty"`
	ReadLatency  *Latency `json:"readLatency,omitempty"`
	QueryLatency *Latency `json:"queryLatency,omitempty"`
}

// Latency is how long requests of one kind took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Kinds of requests. What lasts for as long as a client likes is none of them.
const (
	kindWrite = iota
	kindRead
	kindQuery
	kinds
)

// kindOf maps the methods of Firestore's service to kinds.
var kindOf = map[string]int{
	"Commit": kindWrite, "BatchWrite": kindWrite, "CreateDocument": kindWrite, "UpdateDocument": kindWrite, "DeleteDocument": kindWrite,
	"GetDocument": kindRead, "BatchGetDocuments": kindRead, "ListDocuments": kindRead,
	"RunQuery": kindQuery, "RunAggregationQuery": kindQuery,
}

// histogram counts requests by how long they took: count[i] of them took no
// more than bound[i] seconds.
type histogram struct {
	bound []float64
	count []float64
	all   float64
}

// figures are the node's counters at one moment.
type figures struct {
	at                         time.Time
	writes, reads, errors, cpu float64
	disk, memory               float64
	took                       [kinds]histogram
}

// span is one resolution in which samples are kept: Keep of them, one in each
// Step. What is older is forgotten.
type span struct {
	name    string
	step    time.Duration
	keep    int
	last    figures // where the step at hand began
	samples []Sample
}

// newSpans returns what the console can show: ten minutes, an hour, a day. All
// of it together takes about 200 KiB.
func newSpans() []*span {
	return []*span{
		{name: "10m", step: 2 * time.Second, keep: 300},
		{name: "1h", step: 10 * time.Second, keep: 360},
		{name: "24h", step: 2 * time.Minute, keep: 720},
	}
}

// early is how much too early a tick may come.
const early = 500 * time.Millisecond

// add ends a step if it is over.
func (s *span) add(now figures) {
	if s.last.at.IsZero() {
		s.last = now
		return
	}
	// After a tick that came a little early the next one would be a step late.
	if now.at.Sub(s.last.at) < s.step-early {
		return
	}
	if len(s.samples) == s.keep {
		s.samples = slices.Delete(s.samples, 0, 1)
	}
	s.samples = append(s.samples, between(&s.last, &now))
	s.last = now
}

// between returns what happened between two moments.
func between(a, b *figures) Sample {
	seconds := b.at.Sub(a.at).Seconds()
	rate := func(before, now float64) float64 { return max(0, now-before) / seconds }
	return Sample{
		At:     b.at.UnixMilli(),
		Writes: rate(a.writes, b.writes), Reads: rate(a.reads, b.reads), Errors: rate(a.errors, b.errors),
		Queries: rate(a.took[kindQuery].all, b.took[kindQuery].all), CPU: rate(a.cpu, b.cpu),
		Disk: b.disk, Memory: b.memory,
		WriteLatency: b.took[kindWrite].since(&a.took[kindWrite]),
		ReadLatency:  b.took[kindRead].since(&a.took[kindRead]),
		QueryLatency: b.took[kindQuery].since(&a.took[kindQuery]),
	}
}

// since returns how long the requests took that came after before; nil if none
// came.
func (h *histogram) since(before *histogram) *Latency {
	if h.all <= before.all {
		return nil
	}
	if len(before.count) != len(h.count) {
		before = &histogram{count: make([]float64, len(h.count))}
	}
	quantile := func(q float64) float64 {
		want := q * (h.all - before.all)
		low, below := 0.0, 0.0
		for i, bound := range h.bound {
			n := h.count[i] - before.count[i]
			if n >= want && n > below {
				return 1000 * (low + (bound-low)*(want-below)/(n-below))
			}
			low, below = bound, n
		}
		return 1000 * low // it took longer than the last bound
	}
	return &Latency{quantile(0.50), quantile(0.99)}
}

// history keeps samples of the node. A new sample is taken for as long as the
// door is open, also while nobody looks.
type history struct {
	mu    sync.Mutex // guards spans
	spans []*span
}

func (h *history) add(now figures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.spans {
		s.add(now)
	}
}

// of returns a copy of the samples of a span, and their step.
func (h *history) of(name string) ([]Sample, time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.spans {
		if s.name == name {
			return append([]Sample{}, s.samples...), s.step, nil
		}
	}
	return nil, 0, atoll.Errorf(atoll.Invalid, "the parameter span, %q, is none of 10m, 1h and 24h", clip(name))
}

// record takes samples until ctx ends.
func (d *Door) record(ctx context.Context) {
	tick := time.NewTicker(d.history.spans[0].step)
	defer tick.Stop()
	for {
		d.history.add(d.figures())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// figures reads the node's counters.
func (d *Door) figures() figures {
	now := figures{at: time.Now()}
	families, err := d.registry.Gather()
	if err != nil {
		return now
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is not there
			if h := m.GetHistogram(); h != nil {
				if kind, ok := kindOf[labelOf(m.GetLabel(), "method")]; ok && family.GetName() == secondsTotal {
					buckets := h.GetBucket()
					now.took[kind].add(float64(h.GetSampleCount()), len(buckets), func(i int) (float64, uint64) {
						return buckets[i].GetUpperBound(), buckets[i].GetCumulativeCount()
					})
				}
				continue
			}
			if family.GetName() == requestsTotal && labelOf(m.GetLabel(), "code") == "OK" {
				continue // only errors are counted here
			}
			now.count(family.GetName(), value)
		}
	}
	return now
}

// count adds one series of a metric.
func (f *figures) count(name string, value float64) {
	switch name {
	case writesTotal:
		f.writes += value
	case readsTotal:
		f.reads += value
	case requestsTotal:
		f.errors += value
	case "atoll_store_disk_bytes":
		f.disk += value
	case "process_resident_memory_bytes":
		f.memory += value
	case "process_cpu_seconds_total":
		f.cpu += value
	}
}

// add adds a series with n bounds. All series have the same bounds.
func (h *histogram) add(all float64, n int, bucket func(int) (bound float64, count uint64)) {
	if h.bound == nil {
		h.bound, h.count = make([]float64, n), make([]float64, n)
	}
	h.all += all
	for i := range min(n, len(h.bound)) {
		bound, count := bucket(i)
		h.bound[i] = bound
		h.count[i] += float64(count)
	}
}

// labelOf returns the value of a label of a series.
func labelOf[P interface {
	GetName() string
	GetValue() string
}](pairs []P, name string) string {
	for _, p := range pairs {
		if p.GetName() == name {
			return p.GetValue()
		}
	}
	return ""
}

// samples answers with what was recorded.
func (d *Door) samples(w http.ResponseWriter, r *http.Request) {
	name := or(r.FormValue("span"), "10m")
	list, step, err := d.history.of(name)
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, samplesReply{Span: name, Step: step.Milliseconds(), Now: time.Now().UnixMilli(), Samples: list})
}

type samplesReply struct {
	Span    string   `json:"span"`
	Step    int64    `json:"step"` // in milliseconds
	Now     int64    `json:"now"`  // milliseconds since the epoch
	Samples []Sample `json:"samples"`
}
