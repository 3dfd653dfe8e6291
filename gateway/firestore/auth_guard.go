package firestore

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"atoll"
	"atoll/route"
)

// GuardOptions say whom a Guard lets in. Key is required.
type GuardOptions struct {
	Key      *AdminKey
	Issuers  []*Issuer
	Quotas   Quotas                // DefaultQuotas if zero
	Registry prometheus.Registerer // nil: counted for nobody
	Clock    func() time.Time      // time.Now if nil
}

// Guard keeps strangers out of a node that they can reach. As long as there are
// no rules only the administrator gets in, and only with the key; everybody
// else is refused, and told why. It is safe for concurrent use.
type Guard struct {
	key       *AdminKey
	issuers   map[string]*Issuer
	clock     func() time.Time
	callers   *accounts
	databases *accounts
	failures  *accounts // by address
	refused   *prometheus.CounterVec
}

// failureQuota bounds how often one address may come with a wrong key or token:
// ten times at once, and then ten times a minute.
var failureQuota = Quota{Requests: Rate{PerSecond: 1.0 / 6, Burst: 10}}

// Reasons for which a Guard refuses a request.
const (
	refusedCredentials = "credentials"    // a wrong key or token
	refusedFailures    = "failures"       // too many of these from one address
	refusedRules       = "no_rules"       // denied by default
	refusedCaller      = "caller_quota"   //
	refusedDatabase    = "database_quota" //
)

// NewGuard returns a Guard. It fails with Invalid if the quotas make no sense,
// or two issuers have one name.
func NewGuard(o GuardOptions) (*Guard, error) {
	if o.Quotas == (Quotas{}) {
		o.Quotas = DefaultQuotas
	}
	if err := o.Quotas.Check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	g := &Guard{
		key: o.Key, issuers: map[string]*Issuer{}, clock: o.Clock,
		callers:   newAccounts(o.Quotas.Caller, o.Quotas.Tracked, o.Clock),
		databases: newAccounts(o.Quotas.Database, o.Quotas.Tracked, o.Clock),
		failures:  newAccounts(failureQuota, o.Quotas.Tracked, o.Clock),
	}
	for _, i := range o.Issuers {
		if g.issuers[i.opt.Name] != nil {
			return nil, atoll.Errorf(atoll.Invalid, "there are two issuers called %s", i.opt.Name)
		}
		g.issuers[i.opt.Name] = i
	}
	g.register(o.Registry)
	return g, nil
}

func (g *Guard) register(reg prometheus.Registerer) {
	g.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "atoll", Subsystem: "guard", Name: "refused_total", Help: "Requests that were not let in, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{refusedCredentials, refusedFailures, refusedRules, refusedCaller, refusedDatabase} {
		g.refused.WithLabelValues(reason) // there from the start, so that rates can be computed
	}
	if reg == nil {
		return
	}
	reg.MustRegister(g.refused)
	for what, a := range map[string]*accounts{"callers": g.callers, "databases": g.databases, "failures": g.failures} {
		labels := prometheus.Labels{"table": what}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "atoll", Subsystem: "guard", Name: "tracked", ConstLabels: labels, Help: "Callers, databases and failing addresses that are kept account of.",
		}, func() float64 { n, _ := a.size(); return float64(n) }))
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "atoll", Subsystem: "guard", Name: "forgotten_total", ConstLabels: labels, Help: "Accounts forgotten for want of room.",
		}, func() float64 { _, n := a.size(); return float64(n) }))
	}
}

// caller tells who calls, from an authorization header and an address.
func (g *Guard) caller(ctx context.Context, header, address string) (route.Caller, error) {
	if header == "" {
		return route.Caller{Principal: atoll.Anonymous}, nil
	}
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return route.Caller{}, g.failed(address, atoll.Errorf(atoll.Unauthenticated, `the authorization header must have the form "Bearer {key or token}"`))
	}
	// The key costs little to compare, and cannot be guessed. Whoever has it
	// gets in, also from an address that others made fail.
	if g.key.is(token) {
		return route.Caller{Principal: Administrator}, nil
	}
	if wait := g.failures.empty(address); wait > 0 {
		g.refused.WithLabelValues(refusedFailures).Inc()
		return route.Caller{}, later(wait, "too many wrong keys and tokens came from your address")
	}
	who, err := g.user(ctx, token)
	return who, g.failed(address, err)
}

// failed counts an error that is the caller's.
func (g *Guard) failed(address string, err error) error {
	if atoll.KindOf(err) == atoll.Unauthenticated {
		g.failures.take(address)
		g.refused.WithLabelValues(refusedCredentials).Inc()
	}
	return err
}

// user tells whose a token is.
func (g *Guard) user(ctx context.Context, token string) (route.Caller, error) {
	switch {
	case token == "owner":
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, `"Bearer owner" is for emulators and is refused here; send the administrator's key instead`)
	case strings.HasPrefix(token, adminKeyPrefix):
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, `this is not the administrator's key; "atoll admin-key rotate" makes a new one`)
	}
	s, err := parseSigned(token)
	if err != nil {
		return route.Caller{}, err
	}
	i, ok := g.issuers[s.Iss]
	if !ok {
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, "this node knows no issuer called %.200q; the flag --issuer names those that it believes", s.Iss)
	}
	if err := i.verify(ctx, s, g.clock()); err != nil {
		return route.Caller{}, err
	}
	return route.Caller{Principal: userPrincipal(s.Iss, s.Sub), Claims: s.raw}, nil
}

// allow decides over one request of somebody: the quota first, so that what is
// refused costs little, then whether they get in at all.
func (g *Guard) allow(who route.Caller, address string, req any) error {
	size := sizeOf(req)
	if wait, what := g.callers.spend(accountOf(who, address), size); wait > 0 {
		g.refused.WithLabelValues(refusedCaller).Inc()
		return later(wait, "you have used up your quota of "+what+" per second")
	}
	if who.Principal != Administrator {
		g.refused.WithLabelValues(refusedRules).Inc()
		if who.Principal == atoll.Anonymous {
			return atoll.Errorf(atoll.PermissionDenied, `this node has no rules, and without them only the administrator gets in: send the key that was printed at the node's first start as "authorization: Bearer {key}", or make a new one with "atoll admin-key rotate"`)
		}
		return atoll.Errorf(atoll.PermissionDenied, "your token is good, but this node has no rules that would let you in: they come with a later release, and until then only the administrator's key opens it")
	}
	if wait, what := g.databases.spend(databaseOf(req), size); wait > 0 {
		g.refused.WithLabelValues(refusedDatabase).Inc()
		return later(wait, "the database's quota of "+what+" per second is used up")
	}
	return nil
}

// sent counts what was answered.
func (g *Guard) sent(who route.Caller, address, database string, reply any) {
	size := sizeOf(reply)
	g.callers.charge(accountOf(who, address), size)
	g.databases.charge(database, size)
}

func sizeOf(m any) int {
	if p, ok := m.(proto.Message); ok {
		return proto.Size(p)
	}
	return 0
}

// accountOf is whose quota a request is held to.
func accountOf(who route.Caller, address string) string {
	if who.Principal == atoll.Anonymous {
		return "address " + address
	}
	return "principal " + string(who.Principal)
}

// databaseOf is the database that a request is about, as its first four
// segments name it: projects/{project}/databases/{id}.
func databaseOf(req any) string {
	var name string
	switch r := req.(type) {
	case interface{ GetDatabase() string }:
		name = r.GetDatabase()
	case interface{ GetParent() string }:
		name = r.GetParent()
	case interface{ GetName() string }:
		name = r.GetName()
	case *firestorepb.UpdateDocumentRequest:
		name = r.GetDocument().GetName()
	case *adminpb.UpdateFieldRequest:
		name = r.GetField().GetName()
	}
	segments := strings.SplitN(name, "/", 5)
	return strings.Join(segments[:min(len(segments), 4)], "/")
}

// later refuses a request for now. Clients that look find in the status when to
// come back; for all others it is in the message.
func later(wait time.Duration, why string) error {
	wait = max(wait.Round(time.Millisecond), time.Millisecond)
	s := status.Newf(codes.ResourceExhausted, "%s; try again in %s", why, wait)
	if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		s = with
	}
	return s.Err()
}

// PeerKey is the metadata key under which a door in this process tells from
// which address a request came. It is believed of nobody else.
const PeerKey = "atoll-peer"

// addressOf returns the address of a caller, as far as it is somebody's own: of
// IPv6 the first 64 bits.
func addressOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	address := p.Addr.String()
	if p.Addr.Network() == "bufconn" { // a pipe within the process
		v := metadata.ValueFromIncomingContext(ctx, PeerKey)
		if len(v) != 1 {
			return ""
		}
		address = v[0]
	}
	return ownPart(address)
}

// ownPart returns the part of an address that is its holder's own.
func ownPart(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if prefix, err := ip.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}

// identify tells who sends a request.
func (a Auth) identify(ctx context.Context) (route.Caller, error) {
	var header string
	if v := metadata.ValueFromIncomingContext(ctx, "authorization"); len(v) > 0 {
		header = v[0]
	}
	if a.Guard != nil {
		return a.Guard.caller(ctx, header, addressOf(ctx))
	}
	return a.Caller(header)
}

// interceptors hold the requests of known callers to the guard's decisions.
func (a Auth) interceptors() []grpc.ServerOption {
	if a.Guard == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(a.Guard.unary), grpc.ChainStreamInterceptor(a.Guard.stream)}
}

func (g *Guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if public(info.FullMethod) {
		return handler(ctx, req)
	}
	who, address := callerOf(ctx), addressOf(ctx)
	if err := g.allow(who, address, req); err != nil {
		return nil, err
	}
	reply, err := handler(ctx, req)
	if err == nil {
		g.sent(who, address, databaseOf(req), reply)
	}
	return reply, err
}

func (g *Guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if public(info.FullMethod) {
		return handler(srv, ss)
	}
	return handler(srv, &guardedStream{ServerStream: ss, guard: g, who: callerOf(ss.Context()), address: addressOf(ss.Context())})
}

// guardedStream asks the guard about every message that comes, and tells it of
// every one that goes. One goroutine receives and one sends, as gRPC has it.
type guardedStream struct {
	grpc.ServerStream
	guard    *Guard
	who      route.Caller
	address  string
	database atomic.Pointer[string] // that the stream is about, once that was said
}

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if db := databaseOf(m); db != "" {
		s.database.Store(&db)
	}
	return s.guard.allow(s.who, s.address, m)
}

func (s *guardedStream) SendMsg(m any) error {
	if err := s.ServerStream.SendMsg(m); err != nil {
		return err
	}
	if db := s.database.Load(); db != nil {
		s.guard.sent(s.who, s.address, *db, m)
	}
	return nil
}
