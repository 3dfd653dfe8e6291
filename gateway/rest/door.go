package rest

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"atoll"
)

// Options say what a Door works with. Service is required.
type Options struct {
	// Service is a connection to the gRPC service; see Local.
	Service grpc.ClientConnInterface
	// Origins say which pages may ask, and under which names.
	Origins Origins
	// MaxBody is the size of a body that is read, in bytes; a larger one is
	// answered with INVALID_ARGUMENT. Default 10 MiB, as in Firestore.
	MaxBody int64
	// Stall is how long a client may take to read a part of an answer before
	// it is cut off. Default 30 s.
	Stall time.Duration
	// Clear is what a node for development clears a database with; nil: none is
	// cleared.
	Clear   Clear
	Metrics *Metrics // nil: counted for nobody
	// Panicked is told of a request that a defect of this door ended; nil:
	// nobody is.
	Panicked func(method string, cause any, stack []byte)
}

// Metrics count what never reaches the service; what does is counted there.
type Metrics struct{ refused *prometheus.CounterVec }

// Reasons for which a request does not reach the service.
const (
	refusedHost      = "host"
	refusedOrigin    = "origin"
	refusedMalformed = "malformed"
)

// NewMetrics registers the door's metrics under the prefix atoll_rest_; reg may
// be nil, then nobody collects them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "atoll", Subsystem: "rest", Name: "refused_total",
		Help: "REST requests that were refused before they were passed on, by reason.",
	}, []string{"reason"})}
	for _, reason := range []string{refusedHost, refusedOrigin, refusedMalformed} {
		m.refused.WithLabelValues(reason) // there from the start, so that rates can be computed
	}
	if reg != nil {
		reg.MustRegister(m.refused)
	}
	return m
}

// Door is an http.Handler for the addresses that Owns names. It is safe for
// concurrent use.
type Door struct {
	service  grpc.ClientConnInterface
	origins  Origins
	maxBody  int64
	stall    time.Duration
	clear    Clear
	metrics  *Metrics
	panicked func(method string, cause any, stack []byte)
	routes   []route
	parser   parser
}

// New returns a Door. It fails with Invalid if the origins are malformed.
func New(o Options) (*Door, error) {
	if err := o.Origins.Check(); err != nil {
		return nil, err
	}
	routes, err := allRoutes()
	if err != nil {
		return nil, atoll.Errorf(atoll.Internal, "the definition of Firestore's service cannot be used: %v", err)
	}
	definition, err := withVerify()
	if err != nil {
		return nil, atoll.Errorf(atoll.Internal, "the definition of Firestore's service cannot be extended: %v", err)
	}
	d := &Door{
		service: o.Service, origins: o.Origins, maxBody: o.MaxBody, stall: o.Stall,
		clear: o.Clear, metrics: o.Metrics, panicked: o.Panicked,
		routes: routes, parser: parser{definition.Messages()},
	}
	if d.maxBody == 0 {
		d.maxBody = 10 << 20
	}
	if d.stall == 0 {
		d.stall = 30 * time.Second
	}
	if d.metrics == nil {
		d.metrics = NewMetrics(nil)
	}
	if d.panicked == nil {
		d.panicked = func(string, any, []byte) {}
	}
	return d, nil
}

// Owns reports whether a request is for this door, by its path.
func Owns(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/v1/projects/") || strings.HasPrefix(r.URL.Path, emulatorPrefix)
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		cause := recover()
		switch cause {
		case nil:
			return
		case http.ErrAbortHandler:
			panic(cause)
		}
		d.panicked("REST "+r.Method, cause, debug.Stack())
		// Behind a part of an answer this makes no valid JSON, which will do.
		d.fail(w, call{}, atoll.Errorf(atoll.Internal, "internal error"))
	}()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if !d.admit(w, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, emulatorPrefix) {
		d.emulator(w, r)
		return
	}
	c, err := d.read(r)
	if err != nil {
		d.metrics.refused.WithLabelValues(refusedMalformed).Inc()
		d.fail(w, c, err)
		return
	}
	ctx, err := outgoing(r)
	switch {
	case err != nil:
		d.metrics.refused.WithLabelValues(refusedMalformed).Inc()
		d.fail(w, c, err)
	case c.method.streams:
		d.stream(ctx, w, c)
	default:
		d.unary(ctx, w, c)
	}
}

// passed are the headers that the service gets to see.
var passed = []string{"Authorization", "Atoll-Request-Id"}

// outgoing returns the context of the call of the service.
func outgoing(r *http.Request) (context.Context, error) {
	ctx := r.Context()
	for _, name := range passed {
		for _, v := range r.Header.Values(name) {
			for i := range len(v) {
				if v[i] < ' ' || v[i] > '~' {
					return nil, atoll.Errorf(atoll.Invalid, "the header %s holds a character that is not printable ASCII", name)
				}
			}
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), v)
		}
	}
	return ctx, nil
}
