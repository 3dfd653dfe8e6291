package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"atoll"
	"atoll/gateway/admin"
	"atoll/gateway/firestore"
	"atoll/gateway/front"
	"atoll/gateway/rest"
	"atoll/host"
)

const (
	defaultServe    = ":4943"
	defaultOperator = "127.0.0.1:4944"
	// operatorStop is how long the operator's requests may take at the end.
	operatorStop = 2 * time.Second
)

// serveFlags are the flags of "atoll serve".
type serveFlags struct {
	nodeFlags
	listen, operator string
	cert, key        string
	selfSigned       bool
	names            []string
	allowOrigins     []string
	issuers          []string
	quotas           string
	drain, linger    time.Duration
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node that others reach, over TLS",
		Long: `serve runs a node for production. One port speaks gRPC and REST for Firestore's
clients over TLS (1.2 or later, HTTP/2 and HTTP/1.1), and /healthz.

Nobody gets in by default. Until rules come with a later release, only who sends
the administrator's key as "authorization: Bearer {key}" may read and write; it is
printed once, at the first start, and stored as a hash. Tokens of issuers named
with --issuer (RS256) are verified, and their callers are told the same.

The operator's door (console, metrics, viewers, change feed) has a port of its own,
on loopback only. It takes the same links and tokens as that of "atoll dev". The
change feed and the accounts of requests ("atoll tail", "atoll top") are also on the
first port, for the administrator's key.

SIGTERM and SIGINT stop the node: health says so, no connections are accepted any
more, and requests under way may take --drain until they are cut off.`,
		Example: `  atoll serve --self-signed --data /var/lib/atoll
  atoll serve --cert cert.pem --key key.pem --listen :443
  atoll serve --self-signed --issuer iss=https://securetoken.google.com/my-app,aud=my-app,keys=keys.json`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			opt.Migrating = migrating(cmd)
			return f.run(cmd.Context(), cmd.OutOrStdout(), opt)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", defaultServe, "`address` to listen on; without a host, on every network")
	fl.StringVar(&f.operator, "operator", defaultOperator, "loopback `address` of the operator's door")
	fl.StringVar(&f.cert, "cert", "", "`file` with the certificate and its chain, in PEM; read again when it changes")
	fl.StringVar(&f.key, "key", "", "`file` with the certificate's key, in PEM")
	fl.BoolVar(&f.selfSigned, "self-signed", false, "use a certificate of its own, made at the first start in the data directory")
	fl.StringSliceVar(&f.names, "name", nil, "`name` or address under which clients ask, besides those in the certificate")
	fl.StringSliceVar(&f.allowOrigins, "allow-origin", nil, "`origin` whose pages may use the data over REST, such as https://app.example.com")
	fl.StringArrayVar(&f.issuers, "issuer", nil, "issuer of tokens, as `iss=NAME,aud=AUDIENCE,keys=PLACE`; the place is a file or an https:// address with a JSON Web Key Set")
	fl.StringVar(&f.quotas, "quotas", "", "JSON `file` with quotas per caller and database; see docs/operations.md")
	fl.DurationVar(&f.drain, "drain", 30*time.Second, "`time` that requests under way may take when the node is stopped")
	fl.DurationVar(&f.linger, "linger", 0, "`time` for which a node that is stopping still accepts connections, so that load balancers see its health first")
	f.register(cmd)
	return cmd
}

// options reads the flags, but for what is known only when the node has its
// data directory.
func (f *serveFlags) options(stderr io.Writer) (host.Options, error) {
	files := f.cert != "" && f.key != ""
	switch {
	case f.selfSigned == (f.cert != "" || f.key != ""), !f.selfSigned && !files:
		return host.Options{}, usageError{"a certificate is needed: give --cert and --key, or --self-signed"}
	case f.drain < 0 || f.linger < 0:
		return host.Options{}, usageError{"--drain and --linger must not be negative"}
	}
	if err := (rest.Origins{Allowed: f.allowOrigins}).Check(); err != nil {
		return host.Options{}, usageError{"--allow-origin: " + atoll.AsError(err).Msg}
	}
	return f.nodeFlags.options(stderr)
}

// run serves until ctx ends.
func (f *serveFlags) run(ctx context.Context, stdout io.Writer, opt host.Options) error {
	data, err := front.Listen(f.listen)
	if err != nil {
		return err
	}
	defer data.Close()
	operator, err := front.ListenLoopback(f.operator)
	if err != nil {
		return err
	}
	defer operator.Close()
	h, err := startHost(opt)
	if err != nil {
		return err
	}
	s := server{opt: opt, log: opt.Log, linger: f.linger, drain: f.drain}
	err = s.open(f, h, data, operator)
	if err == nil {
		err = s.serve(ctx, stdout, data.Addr().String())
	}
	if e := h.Close(); err == nil {
		err = e
	}
	return err
}

// server is a node with its two ports.
type server struct {
	opt           host.Options
	log           *slog.Logger
	linger, drain time.Duration

	source         admin.Source
	certificate    *front.Certificate
	newKey         string // of the administrator, if it was made now
	doors          *doors
	overHTTP       *grpc.Server
	data, operator *front.Front
	stopping       atomic.Bool
}

// open makes all that a server needs. What fails here leaves nothing running.
func (s *server) open(f *serveFlags, h *host.Host, data, operator net.Listener) (err error) {
	if s.certificate, err = f.certificate(s.log); err != nil {
		return err
	}
	s.source = h.Source()
	registry := prometheus.NewRegistry()
	guard, err := s.guard(f, registry)
	if err != nil {
		return err
	}
	names := append(slices.Clone(f.names), s.certificate.Names()...)
	s.doors, err = openDoors(h, s.opt, doorOptions{
		auth: firestore.Auth{Guard: guard}, origins: rest.Origins{Allowed: f.allowOrigins, Hosts: names},
		operator: operator.Addr(), registry: registry, budgets: f.budgets,
	})
	if err != nil {
		return err
	}
	s.overHTTP = s.doors.documents.Server()
	s.data = front.New(front.Options{
		Listener: data, Certificate: s.certificate, Log: s.log,
		GRPC: s.doors.documents.Server(grpc.ConnectionTimeout(10 * time.Second)), GRPCOverHTTP: s.overHTTP,
		HTTP: split(s.doors.rest, s.strangers(s.doors.operator.Programs(guard.Administrator))),
	})
	s.operator = front.New(front.Options{
		Listener: operator, HTTP: s.withHealth(s.doors.operator), GRPC: grpc.NewServer(), Log: s.log, Connections: 200,
	})
	registerFront(registry, s.data)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "atoll", Name: "certificate_expiry_timestamp_seconds", Help: "When the certificate expires.",
	}, func() float64 { return float64(s.certificate.NotAfter().Unix()) }))
	return nil
}

// certificate opens the certificate that the flags name.
func (f *serveFlags) certificate(log *slog.Logger) (*front.Certificate, error) {
	cert, key := f.cert, f.key
	if f.selfSigned {
		names := slices.Clone(f.names)
		if name, _, err := net.SplitHostPort(f.listen); err == nil { // listening fails if it is malformed
			names = append(names, name)
		}
		var err error
		if cert, key, err = front.SelfSigned(f.data, names); err != nil {
			return nil, err
		}
	}
	c, err := front.OpenCertificate(cert, key, log)
	if err != nil {
		return nil, err
	}
	if left := time.Until(c.NotAfter()); left < 14*24*time.Hour {
		log.Warn("the certificate expires soon, or has expired", "until", c.NotAfter())
	}
	return c, nil
}

// guard reads who may get in. At the first start it makes the key.
func (s *server) guard(f *serveFlags, registry *prometheus.Registry) (*firestore.Guard, error) {
	o := firestore.GuardOptions{Quotas: firestore.DefaultQuotas, Registry: registry}
	var err error
	if f.quotas != "" {
		if o.Quotas, err = firestore.ReadQuotas(f.quotas); err != nil {
			return nil, err
		}
	}
	for _, text := range f.issuers {
		i, err := parseIssuer(text)
		if err != nil {
			return nil, err
		}
		o.Issuers = append(o.Issuers, i)
	}
	have, err := firestore.HasAdminKey(f.data)
	if err == nil && !have {
		s.newKey, err = firestore.MakeAdminKey(f.data)
	}
	if err != nil {
		return nil, err
	}
	if o.Key, err = firestore.OpenAdminKey(f.data); err != nil {
		return nil, err
	}
	return firestore.NewGuard(o)
}

// parseIssuer reads the value of --issuer.
func parseIssuer(text string) (*firestore.Issuer, error) {
	var o firestore.IssuerOptions
	fields := map[string]*string{"iss": &o.Name, "aud": &o.Audience, "keys": &o.Keys}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		field, ok := fields[name]
		if !ok || value == "" || *field != "" {
			return nil, usageError{fmt.Sprintf("--issuer %q does not have the form iss=NAME,aud=AUDIENCE,keys=PLACE", text)}
		}
		*field = value
	}
	if o.Name == "" || o.Audience == "" || o.Keys == "" {
		return nil, usageError{fmt.Sprintf("--issuer %q needs all of iss, aud and keys", text)}
	}
	return firestore.NewIssuer(o)
}

// serve answers on both ports until ctx ends, or one of them fails.
func (s *server) serve(ctx context.Context, stdout io.Writer, address string) error {
	defer s.doors.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	for _, f := range []*front.Front{s.data, s.operator} {
		go func() {
			ended <- f.Serve()
			cancel()
		}()
	}
	s.welcome(stdout, address)
	s.notify("READY=1")
	<-ctx.Done()
	s.stop()
	return firstError(<-ended, <-ended)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// stop lets the requests that are under way end. The operator's door is the
// last, so that it tells about the others.
func (s *server) stop() {
	s.stopping.Store(true)
	s.log.Info("stopping", "linger", s.linger, "drain", s.drain)
	s.notify("STOPPING=1")
	time.Sleep(s.linger)
	s.doors.operator.Close() // ends streams, which would not end by themselves
	limit, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	if err := s.data.Shutdown(limit); err != nil {
		s.log.Warn("requests that were under way were cut off", "after", s.drain)
	}
	s.overHTTP.Stop() // its requests came over the port that is closed now
	limit, cancel = context.WithTimeout(context.Background(), operatorStop)
	defer cancel()
	if err := s.operator.Shutdown(limit); err != nil {
		s.log.Warn("requests of the operator were cut off", "after", operatorStop)
	}
}

// notify tells the service manager, if there is one.
func (s *server) notify(state string) {
	if err := notifyManager(state); err != nil {
		s.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}

func (s *server) welcome(w io.Writer, address string) {
	dir := s.opt.Dir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	fmt.Fprintf(w, `Atoll %s is ready.

  Data       https://%s (Firestore's gRPC and REST)
  Certificate, SHA-256
             %s
  Console    %s
  Directory  %s

`, version, address, s.certificate.Fingerprint(), s.doors.operator.Link(), dir)
	if s.newKey != "" {
		fmt.Fprintf(w, `  Administrator's key, shown only now:

             %s

  Send it as "authorization: Bearer {key}". "atoll admin-key rotate" makes a new one.

`, s.newKey)
	}
}
