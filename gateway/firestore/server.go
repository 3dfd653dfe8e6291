package firestore

import (
	"context"
	"encoding/hex"
	"runtime/debug"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"atoll"
	"atoll/gateway/account"
	"atoll/gateway/analytics"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// Router is what the door needs of package route; see there.
type Router interface {
	Commit(ctx context.Context, db atoll.Database, writes []shard.Write, id atoll.RequestID, who route.Caller) (shard.CommitReply, error)
	Apply(ctx context.Context, db atoll.Database, writes []shard.Write, ids []atoll.RequestID, who route.Caller) ([]shard.Applied, error)
	Get(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller) (shard.GetReply, error)
	Each(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who route.Caller, found func(at atoll.Time, i int, d *shard.Document) error) error
	List(ctx context.Context, db atoll.Database, req shard.ListRequest, who route.Caller) (shard.ListReply, error)
	Collections(ctx context.Context, db atoll.Database, req shard.CollectionsRequest, who route.Caller) (shard.CollectionsReply, error)
	CommitIf(ctx context.Context, db atoll.Database, writes []shard.Write, reads route.Reads, id atoll.RequestID, who route.Caller) (shard.CommitReply, error)
	Query(ctx context.Context, db atoll.Database, q query.Query, o route.QueryOptions, who route.Caller, each func(at atoll.Time, found *shard.Found) error) (route.QueryResult, error)
	Aggregate(ctx context.Context, db atoll.Database, q query.Query, figures []query.Aggregate, o route.QueryOptions, who route.Caller) (*query.Aggregator, route.QueryResult, error)
	Group(ctx context.Context, db atoll.Database, q query.Query, grouping query.Grouping, o route.QueryOptions, who route.Caller) (*query.Groups, route.QueryResult, error)
}

// Limits bound what one client can ask for. A zero field takes its default.
type Limits struct {
	// Message is the size of a message that is read at all, in bytes; a larger
	// one is answered with RESOURCE_EXHAUSTED. Default 11 MiB.
	Message int
	// Request is the size of a request that writes, in bytes; a larger one is
	// answered with INVALID_ARGUMENT. Default 10 MiB, as in Firestore.
	Request int
	// Writes is how many writes one commit or batch may have. Default 10,000.
	Writes int
	// Documents is how many names one BatchGetDocuments may have. Default 10,000.
	Documents int
	// Streams is how many requests one connection may have under way; more
	// wait on the client's side. Default 250.
	Streams uint32
	// Deadline ends requests whose client sets none or a later one. Default 60 s.
	Deadline time.Duration
	// Parallel is how many writes of one BatchWrite are under way at once on a
	// subnet whose semantics version does not take them together. Default 32.
	Parallel int
	// PartitionNames is how many names one PartitionQuery goes through before
	// it leaves the rest to its next page. Default 100,000.
	PartitionNames int
	// Transactions is how many transactions may be under way. Default 10,000.
	Transactions int
	// TransactionReads is how many documents one transaction may read; a query
	// counts by its length. Default 10,000.
	TransactionReads int
	// AllTransactionReads bounds what all of them together may have read.
	// Default 500,000, which is about 100 MiB of notes.
	AllTransactionReads int
	// TransactionIdle ends a transaction that is not used for so long, and
	// TransactionTotal any. Default 60 s and 270 s, as in Firestore.
	TransactionIdle, TransactionTotal time.Duration
}

func (l Limits) withDefaults() Limits {
	or := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	or(&l.Message, 11<<20)
	or(&l.Request, 10<<20)
	or(&l.Writes, 10_000)
	or(&l.Documents, 10_000)
	or(&l.Parallel, 32)
	or(&l.PartitionNames, 100_000)
	or(&l.Transactions, 10_000)
	or(&l.TransactionReads, 10_000)
	or(&l.AllTransactionReads, 500_000)
	if l.Streams == 0 {
		l.Streams = 250
	}
	if l.Deadline == 0 {
		l.Deadline = 60 * time.Second
	}
	if l.TransactionIdle == 0 {
		l.TransactionIdle = 60 * time.Second
	}
	if l.TransactionTotal == 0 {
		l.TransactionTotal = 270 * time.Second
	}
	return l
}

// Options say what a Service works with. Router is required.
type Options struct {
	Router  Router
	Auth    Auth
	Limits  Limits
	Metrics *Metrics         // nil: counted for nobody
	Clock   func() time.Time // time.Now if nil
	// Accounts are kept of all requests, and hold the budgets; nil: there are none.
	Accounts *account.Table
	// Panicked is told of a request that a defect ended; nil: nobody is.
	Panicked func(method string, cause any, stack []byte)
	// Beside registers further services on every Server. Their callers are
	// identified, held to the same limits and counted like those of Firestore
	// (CallerOf); nil: there are none.
	Beside func(grpc.ServiceRegistrar)
}

// Service implements google.firestore.v1.Firestore. The only state of its own
// are the transactions under way. It is safe for concurrent use.
type Service struct {
	firestorepb.UnimplementedFirestoreServer
	router   Router
	auth     Auth
	limits   Limits
	metrics  *Metrics
	clock    func() time.Time
	accounts *account.Table
	panicked func(method string, cause any, stack []byte)
	beside   func(grpc.ServiceRegistrar)

	transactions *transactions
}

// New returns a Service.
func New(o Options) *Service {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Auth.Clock == nil {
		o.Auth.Clock = o.Clock
	}
	if o.Panicked == nil {
		o.Panicked = func(string, any, []byte) {}
	}
	if o.Beside == nil {
		o.Beside = func(grpc.ServiceRegistrar) {}
	}
	s := &Service{
		auth: o.Auth, limits: o.Limits.withDefaults(),
		metrics: o.Metrics, clock: o.Clock, accounts: o.Accounts, panicked: o.Panicked, beside: o.Beside,
	}
	s.router = meter(&o, s.limits.Deadline)
	s.transactions = newTransactions(&s.limits, s.metrics, s.clock)
	return s
}

// Server returns a gRPC server that serves s, atoll.v1.Analytics and
// grpc.health.v1.Health, within s's limits. The caller adds transport options such as TLS, gives it
// listeners and stops it.
func (s *Service) Server(more ...grpc.ServerOption) *grpc.Server {
	more = append(s.auth.interceptors(), more...)
	g := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.limits.Message),
		grpc.MaxConcurrentStreams(s.limits.Streams),
		// Requests wait for a disk, many at once; a new goroutine for each
		// would spend a tenth of the server's time on growing its stack.
		grpc.NumStreamWorkers(256),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		// A client may ping every 10 s, also while it has no request under
		// way; one that pings more often is disconnected.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		// A connection whose other end has gone away is noticed within 80 s.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 60 * time.Second, Timeout: 20 * time.Second}),
	}, more...)...)
	firestorepb.RegisterFirestoreServer(g, s)
	analytics.RegisterAnalyticsServer(g, questions{Service: s})
	healthpb.RegisterHealthServer(g, health.NewServer())
	s.beside(g)
	return g
}

// public reports whether a method needs no caller; only health does not.
func public(method string) bool {
	return strings.HasPrefix(method, "/"+healthpb.Health_ServiceDesc.ServiceName+"/")
}

type callerKey struct{}

// CallerOf returns who sent the request of a context that a Server gave to the
// method of a service.
func CallerOf(ctx context.Context) route.Caller { return callerOf(ctx) }

func callerOf(ctx context.Context) route.Caller {
	who, _ := ctx.Value(callerKey{}).(route.Caller)
	return who
}

// enter says who calls and bounds how long the call may take.
func (s *Service) enter(ctx context.Context, method string) (context.Context, context.CancelFunc, error) {
	if public(method) {
		return ctx, func() {}, nil
	}
	who, err := s.auth.identify(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, callerKey{}, who), s.limits.Deadline)
	return ctx, cancel, nil
}

// guard runs one request: a panic becomes INTERNAL, errors become statuses,
// and all is counted.
func (s *Service) guard(ctx context.Context, fullMethod string, serve func(context.Context) error) error {
	start := s.clock()
	method := fullMethod[strings.LastIndexByte(fullMethod, '/')+1:]
	call := s.account(fullMethod, method, start)
	st := statusOf(s.recovered(method, func() error {
		ctx, cancel, err := s.enter(ctx, fullMethod)
		if err != nil {
			return err
		}
		defer cancel()
		return serve(account.With(ctx, call))
	}))
	now := s.clock()
	s.metrics.answered(method, st.Code(), now.Sub(start))
	call.End(now, st.Code() != codes.OK)
	return st.Err()
}

// recovered turns a panic of do into an error.
func (s *Service) recovered(method string, do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.metrics.panics.Inc()
			s.panicked(method, cause, debug.Stack())
			err = atoll.Errorf(atoll.Internal, "internal error")
		}
	}()
	return do()
}

func (s *Service) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (reply any, err error) {
	err = s.guard(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		reply, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (s *Service) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return s.guard(ss.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(srv, &serverStream{ServerStream: ss, ctx: ctx})
	})
}

// refuse counts a request that is over a limit and returns its error.
func (s *Service) refuse(limit, format string, args ...any) error {
	s.metrics.refused.WithLabelValues(limit).Inc()
	return atoll.Errorf(atoll.Invalid, format, args...)
}

// checkWrites holds a request that writes to the limits.
func (s *Service) checkWrites(req proto.Message, writes int) error {
	if writes > s.limits.Writes {
		return s.refuse("writes", "the request has %d writes; %d are allowed", writes, s.limits.Writes)
	}
	if writes*value.MaxDocumentSize < s.limits.Request/2 {
		return nil // each document is held to its own limit; measuring takes time
	}
	if n := proto.Size(req); n > s.limits.Request {
		return s.refuse("request_bytes", "the request has %d bytes; %d are allowed", n, s.limits.Request)
	}
	return nil
}

// requestIDKey is the metadata key of a request id chosen by the client.
const requestIDKey = "atoll-request-id"

// requestID returns the id that the client gave, or a new one.
func requestID(ctx context.Context) (atoll.RequestID, error) {
	v := metadata.ValueFromIncomingContext(ctx, requestIDKey)
	if len(v) == 0 {
		return route.NewRequestID(), nil
	}
	var id atoll.RequestID
	if len(v) > 1 || len(v[0]) != hex.EncodedLen(len(id)) {
		return id, atoll.Errorf(atoll.Invalid, "%s must be given once, as %d hexadecimal digits", requestIDKey, hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(v[0])); err != nil {
		return id, atoll.Errorf(atoll.Invalid, "%s %q is not hexadecimal", requestIDKey, v[0])
	}
	return id, nil
}
