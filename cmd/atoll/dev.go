package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"atoll"
	"atoll/console"
	"atoll/gateway/admin"
	"atoll/gateway/firestore"
	"atoll/gateway/front"
	"atoll/gateway/rest"
	"atoll/host"
)

const (
	defaultAddress = "127.0.0.1:4943"
	defaultData    = "./.atoll"
	// stopTime is how long requests that are under way may take when the node
	// is stopped.
	stopTime = 5 * time.Second
	// maxSubnets bounds --subnets: each has a log and a store of its own.
	maxSubnets = 64
)

// devFlags are the flags of "atoll dev".
type devFlags struct {
	listen, data, cache, minFree string
	subnets                      int
	allowOrigins                 []string
	retention                    time.Duration
	logLevel                     string
	logJSON                      bool
}

func devCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node for development on this machine",
		Long: `dev runs a node for development on this machine. It keeps its data in a
directory: what it acknowledged is there after a crash, a kill or a loss of power.

It listens on loopback only, because everybody who reaches it may read and write
everything. Tokens are believed as Firebase's emulators believe them. One port
speaks gRPC and REST (/v1/projects/...) for Firestore's clients, and HTTP for
health (/healthz), metrics (/metrics), the viewers below /debug/ and the console;
all but health and data need the link that is printed at the start, or the token
in the file admin.token of the data directory.

Web pages of this machine may use the data over REST, those of other sites may
not, unless --allow-origin names them.

SIGINT and SIGTERM stop the node when the requests under way have ended.`,
		Example: `  atoll dev
  atoll dev --listen 127.0.0.1:8080 --data /var/lib/atoll
  FIRESTORE_EMULATOR_HOST=` + defaultAddress + ` npm test`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return dev(cmd.Context(), cmd.OutOrStdout(), f.listen, f.origins(), opt)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", defaultAddress, "loopback `address` to listen on; port 0 takes a free one")
	fl.StringVar(&f.data, "data", defaultData, "`directory` that holds all data; made if it is not there")
	fl.IntVar(&f.subnets, "subnets", 0, "`number` of logs over which new databases are spread; 0: as many as the data has, or 1")
	fl.StringVar(&f.cache, "cache", "256MiB", "memory for stored blocks, as a `size`")
	fl.StringVar(&f.minFree, "min-free", "256MiB", "free disk space, as a `size`, below which writes are refused")
	fl.DurationVar(&f.retention, "retention", host.DefaultRetention.Versions, "`time` for which old versions of documents can be read")
	fl.StringVar(&f.logLevel, "log-level", "info", "`level` from which messages are logged: debug, info, warn or error")
	fl.StringSliceVar(&f.allowOrigins, "allow-origin", nil, "`origin` whose pages may use the data over REST, such as https://app.example.com; pages of this machine always may")
	fl.BoolVar(&f.logJSON, "log-json", false, "log as JSON")
	return cmd
}

// options reads the flags.
func (f *devFlags) options(stderr io.Writer) (host.Options, error) {
	opt := host.Options{Dir: f.data, Retention: host.DefaultRetention}
	cache, err := parseSize(f.cache)
	if err != nil {
		return opt, usageError{"--cache: " + err.Error()}
	}
	if opt.MinFree, err = parseSize(f.minFree); err != nil {
		return opt, usageError{"--min-free: " + err.Error()}
	}
	opt.CacheBytes = int64(cache)
	if f.retention < time.Minute {
		return opt, usageError{fmt.Sprintf("--retention %s is below one minute", f.retention)}
	}
	opt.Retention.Versions = f.retention
	opt.Retention.Latest = max(opt.Retention.Latest, f.retention)
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return opt, usageError{fmt.Sprintf("--log-level %q is not debug, info, warn or error", f.logLevel)}
	}
	var handler slog.Handler = slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})
	if f.logJSON {
		handler = slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level})
	}
	opt.Log = slog.New(handler)
	if err := f.origins().Check(); err != nil {
		return opt, usageError{"--allow-origin: " + atoll.AsError(err).Msg}
	}
	if f.data == "" {
		return opt, usageError{"--data is empty"}
	}
	opt.Subnets, err = subnetsFor(f.data, f.subnets)
	return opt, err
}

// origins says which pages may use the data, and under which names.
func (f *devFlags) origins() rest.Origins {
	o := rest.Origins{Allowed: f.allowOrigins}
	if name, _, err := net.SplitHostPort(f.listen); err == nil { // listening fails if it is malformed
		o.Hosts = []string{name}
	}
	return o
}

// subnetsFor returns how many subnets to run: those that the data has, or as
// many as were asked for. Fewer would hide data.
func subnetsFor(dir string, asked int) (int, error) {
	have, err := countSubnets(dir)
	if err != nil {
		return 0, err
	}
	switch {
	case asked < 0 || asked > maxSubnets:
		return 0, usageError{fmt.Sprintf("--subnets %d is not from 1 to %d", asked, maxSubnets)}
	case asked == 0:
		return max(have, 1), nil
	case asked < have:
		return 0, usageError{fmt.Sprintf("--subnets %d: %s has %d subnets, and none can be left out", asked, dir, have)}
	}
	return asked, nil
}

// countSubnets returns how many subnets a data directory holds.
func countSubnets(dir string) (int, error) {
	n := 0
	for {
		_, err := os.Stat(host.SubnetDir(dir, atoll.SubnetID(n)))
		if errors.Is(err, fs.ErrNotExist) {
			return n, nil
		}
		if err != nil {
			return 0, atoll.Errorf(atoll.PermissionDenied, "cannot look into the data directory: %v", err)
		}
		n++
	}
}

// dev serves until ctx ends.
func dev(ctx context.Context, stdout io.Writer, listen string, origins rest.Origins, opt host.Options) error {
	l, err := front.ListenLoopback(listen)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return atoll.Errorf(atoll.PermissionDenied, "cannot make the data directory: %v", err)
	}
	if os.Getenv("GOGC") == "" {
		// The live heap is small beside the store's cache, which is not on
		// it; collecting at twice its size would take a tenth of the time.
		debug.SetGCPercent(400)
	}
	h, err := host.Start(opt)
	if err != nil {
		return startError(opt.Dir, err)
	}
	err = serve(ctx, stdout, l, h, origins, opt)
	if e := h.Close(); err == nil {
		err = e
	}
	return err
}

// startError says what to do about a node that does not start.
func startError(dir string, err error) error {
	e := atoll.AsError(err)
	if e.Kind == atoll.FailedPrecondition && strings.Contains(e.Msg, "locked") {
		return &atoll.Error{Kind: e.Kind, Msg: fmt.Sprintf("another atoll is using %s; stop it, or choose another directory with --data", dir)}
	}
	return err
}

// serve opens the doors of a node until ctx ends.
func serve(ctx context.Context, stdout io.Writer, l net.Listener, h *host.Host, origins rest.Origins, opt host.Options) error {
	keys, err := admin.NewKeys(opt.Dir)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	panicked := func(method string, cause any, stack []byte) {
		opt.Log.Error("a request ended in a defect", "method", method, "cause", cause, "stack", string(stack))
	}
	documents := firestore.New(firestore.Options{
		Router: h.Router, Auth: firestore.Auth{Dev: true}, Metrics: firestore.NewMetrics(registry), Panicked: panicked,
	})
	local, err := rest.NewLocal(documents.Server(rest.LocalOptions()...))
	if err != nil {
		return err
	}
	defer local.Close()
	web, err := rest.New(rest.Options{Service: local, Origins: origins, Metrics: rest.NewMetrics(registry), Panicked: panicked})
	if err != nil {
		return err
	}
	door, err := admin.New(admin.Options{
		Source: h.Source(), Router: h.Router, Root: host.Root, Registry: registry, Keys: keys,
		Address: l.Addr(), Console: console.Files(), Version: version,
	})
	if err != nil {
		return err
	}
	f := front.New(front.Options{
		Listener: l, HTTP: split(web, door), Log: opt.Log,
		GRPC: documents.Server(grpc.ConnectionTimeout(10 * time.Second)),
	})
	registerFront(registry, f)
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		opt.Log.Info("stopping")
		door.Close()
		limit, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := f.Shutdown(limit); err != nil {
			opt.Log.Warn("requests that were under way were cut off", "after", stopTime)
		}
	})
	welcome(stdout, l.Addr().String(), opt.Dir, door.Link())
	if err := f.Serve(); err != nil {
		return err
	}
	<-stopped
	return nil
}

// split gives requests for data to one handler and all others to another. It
// looks at the path as it was sent: a mux would clean it, and so change ids.
func split(data, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest.Owns(r) {
			data.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

func welcome(w io.Writer, address, dir, link string) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	fmt.Fprintf(w, `Atoll %s is ready.

  Firestore  export FIRESTORE_EMULATOR_HOST=%s
  Console    %s
  Data       %s

  WARNING: everybody on this machine may read and write everything. For development only.

`, version, address, link, dir)
}

// registerFront has the registry collect what the port counts.
func registerFront(registry *prometheus.Registry, f *front.Front) {
	for name, read := range map[string]func(front.Counts) int64{
		"accepted_total": func(c front.Counts) int64 { return c.Accepted },
		"refused_total":  func(c front.Counts) int64 { return c.Refused },
		"silent_total":   func(c front.Counts) int64 { return c.Silent },
		"grpc_total":     func(c front.Counts) int64 { return c.GRPC },
		"http_total":     func(c front.Counts) int64 { return c.HTTP },
	} {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "atoll", Subsystem: "connections", Name: name, Help: "Connections of the port, by what became of them.",
		}, func() float64 { return float64(read(f.Counts())) }))
	}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "atoll", Subsystem: "connections", Name: "open", Help: "Connections of the port that are open.",
	}, func() float64 { return float64(f.Counts().Open) }))
}
