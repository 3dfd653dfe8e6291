package admin

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"atoll"
	"atoll/backup"
	"atoll/gateway/account"
)

// Options say what a Door shows. All fields but Version are required.
type Options struct {
	Source   Source
	Router   Router
	Root     atoll.CanisterID // of the accounts program
	Registry *prometheus.Registry
	Keys     *Keys
	Address  net.Addr // on which the node listens
	Console  fs.FS    // the files of the console, index.html among them
	Version  string
	// Data serves Firestore's REST interface in the operator's name. The door
	// passes on what comes from a session alone, and says no more of who asks.
	// nil: documents are only shown.
	Data http.Handler
	// Accounts are what /v1/top tells of; nil: it tells nothing.
	Accounts *account.Table
	// Backup makes a backup of the node; see package backup. nil: it makes none.
	Backup func(ctx context.Context, dir string, full bool, tell func(backup.Progress)) (backup.Manifest, error)
}

// Door serves the operator. It is safe for concurrent use.
type Door struct {
	source   Source
	router   Router
	root     atoll.CanisterID
	registry *prometheus.Registry
	keys     *Keys
	version  string
	address  string
	port     string
	started  time.Time
	mux      *http.ServeMux
	handler  http.Handler

	data     http.Handler
	accounts *account.Table
	history  history

	makeBackup func(context.Context, string, bool, func(backup.Progress)) (backup.Manifest, error)
	backingUp  sync.Mutex // held while a backup is made

	tails   atomic.Int64 // streams now
	refused atomic.Int64 // requests of other sites, or for other hosts
	closing context.Context
	close   context.CancelFunc
}

// New returns a door, and registers the node's metrics. It fails with Invalid
// if the address is no host and port.
func New(o Options) (*Door, error) {
	_, port, err := net.SplitHostPort(o.Address.String())
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "%q is no address of a port", o.Address)
	}
	d := &Door{
		source: o.Source, router: o.Router, root: o.Root, registry: o.Registry, keys: o.Keys,
		version: o.Version, address: o.Address.String(), port: port, started: time.Now(), mux: http.NewServeMux(), makeBackup: o.Backup,
		data: o.Data, accounts: o.Accounts, history: history{spans: newSpans()},
	}
	d.closing, d.close = context.WithCancel(context.Background())
	d.register()
	d.routes(o.Console)
	d.handler = d.guard(d.split())
	go d.record(d.closing)
	return d, nil
}

// Close ends the streams, so that the server can be shut down, and the taking of
// samples.
func (d *Door) Close() { d.close() }

// Link returns a new link that begins a session, once.
func (d *Door) Link() string { return "http://" + d.address + d.keys.Link() }

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// split gives requests for documents to Options.Data and all others to the mux.
func (d *Door) split() http.Handler {
	documents := d.private(d.passData)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ownsData(r) {
			documents.ServeHTTP(w, r)
			return
		}
		d.mux.ServeHTTP(w, r)
	})
}

func (d *Door) routes(console fs.FS) {
	open := func(pattern string, h http.HandlerFunc) { d.mux.HandleFunc(pattern, h) }
	private := func(pattern string, h http.HandlerFunc) { d.mux.Handle(pattern, d.private(h)) }

	open("GET /healthz", d.healthz)
	open("GET /login", d.login)
	open("GET /debug/style.css", d.style)
	private("POST /logout", d.logout)
	private("POST /v1/links", d.link)

	metrics := promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{})
	private("GET /metrics", metrics.ServeHTTP)

	private("GET /v1/overview", d.overview)
	private("GET /v1/samples", d.samples)
	private("GET /v1/storage", d.storage)
	private("GET /v1/databases", d.databases)
	private("GET /v1/collections", d.collections)
	private("GET /v1/documents", d.documents)
	private("GET /v1/document", d.document)
	private("GET /v1/indexes", d.indexes)
	private("GET /v1/tail", d.tail)
	private("GET /v1/top", d.top)
	private("POST /v1/backup", d.backup)

	private("GET /debug/{$}", d.debugIndex)
	private("GET /debug/subnets", d.debugSubnets)
	private("GET /debug/canisters", d.debugCanisters)
	private("GET /debug/streams", d.debugStreams)
	private("GET /debug/log", d.debugLog)
	private("GET /debug/block", d.debugBlock)
	private("GET /debug/store", d.debugStore)
	private("GET /debug/pprof/", pprof.Index)
	private("GET /debug/pprof/cmdline", pprof.Cmdline)
	private("GET /debug/pprof/profile", pprof.Profile)
	private("GET /debug/pprof/symbol", pprof.Symbol)
	private("GET /debug/pprof/trace", pprof.Trace)

	private("GET /", http.FileServerFS(console).ServeHTTP)
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) { writeStatus(w, http.StatusOK, v) }

func writeStatus(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v) // an error is the client's, who has gone
}

// Problem is the body of every answer that is not a success.
type Problem struct {
	Error struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"error"`
}

func writeError(w http.ResponseWriter, status int, kind, message string) {
	var p Problem
	p.Error.Kind, p.Error.Message = kind, message
	writeStatus(w, status, p)
}

// httpStatus is what a kind becomes, as in google.rpc.Code.
var httpStatus = map[atoll.Kind]int{
	atoll.Invalid: http.StatusBadRequest, atoll.OutOfRange: http.StatusBadRequest, atoll.FailedPrecondition: http.StatusGone,
	atoll.NotFound: http.StatusNotFound, atoll.PermissionDenied: http.StatusForbidden, atoll.ResourceExhausted: http.StatusTooManyRequests,
	atoll.Unavailable: http.StatusServiceUnavailable, atoll.DeadlineExceeded: http.StatusGatewayTimeout,
	atoll.Unauthenticated: http.StatusUnauthorized,
}

// fail answers with an error. Whoever gets this far is the operator, and gets
// the detail too.
func fail(w http.ResponseWriter, err error) {
	e := atoll.AsError(err)
	status, ok := httpStatus[e.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	message := e.Msg
	if e.Detail != "" {
		message += " (" + e.Detail + ")"
	}
	writeError(w, status, e.Kind.String(), message)
}
