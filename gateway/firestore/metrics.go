package firestore

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// Metrics count what the door does.
type Metrics struct {
	requests *prometheus.CounterVec   // by method and code
	seconds  *prometheus.HistogramVec // by method
	reads    prometheus.Counter
	writes   prometheus.Counter
	refused  *prometheus.CounterVec // by limit
	panics   prometheus.Counter

	transactions prometheus.Gauge       // kept now
	ended        *prometheus.CounterVec // by outcome
}

// NewMetrics registers the door's metrics under the prefix atoll_firestore_;
// reg may be nil, then nobody collects them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "atoll", Subsystem: "firestore", Name: name, Help: help}
	}
	m := &Metrics{
		requests: prometheus.NewCounterVec(opts("requests_total", "Requests answered, by method and code."), []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "atoll", Subsystem: "firestore", Name: "request_seconds",
			Help:    "Time from a request's arrival to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 18), // 0.25 ms to 33 s
		}, []string{"method"}),
		reads:   prometheus.NewCounter(opts("documents_read_total", "Documents returned to clients.")),
		writes:  prometheus.NewCounter(opts("writes_total", "Writes committed.")),
		refused: prometheus.NewCounterVec(opts("refused_total", "Requests refused at a limit of the door."), []string{"limit"}),
		panics:  prometheus.NewCounter(opts("panics_total", "Requests ended by a defect of the door.")),
	}
	m.transactions = prometheus.NewGauge(prometheus.GaugeOpts(opts("transactions", "Transactions kept in memory.")))
	m.ended = prometheus.NewCounterVec(opts("transactions_ended_total", "Transactions ended, by outcome."), []string{"outcome"})
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.reads, m.writes, m.refused, m.panics, m.transactions, m.ended)
	}
	return m
}

func (m *Metrics) answered(method string, code codes.Code, took time.Duration) {
	m.requests.WithLabelValues(method, code.String()).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}
