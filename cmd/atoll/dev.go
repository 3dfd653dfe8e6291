package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"atoll"
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
	nodeFlags
	listen       string
	allowOrigins []string
	indexes      []string
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

--indexes keeps a database's indexes as a file firestore.indexes.json has them.

Web pages of this machine may use the data over REST, those of other sites may
not, unless --allow-origin names them.

SIGINT and SIGTERM stop the node when the requests under way have ended.`,
		Example: `  atoll dev
  atoll dev --listen 127.0.0.1:8080 --data /var/lib/atoll
  atoll dev --indexes firestore.indexes.json
  FIRESTORE_EMULATOR_HOST=` + defaultAddress + ` npm test`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt, err := f.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			opt.Migrating = migrating(cmd)
			o := f.doors()
			for _, text := range f.indexes {
				file, err := parseIndexFlag(text)
				if err != nil {
					return err
				}
				o.indexes = append(o.indexes, file)
			}
			return dev(cmd.Context(), cmd.OutOrStdout(), f.listen, o, opt)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", defaultAddress, "loopback `address` to listen on; port 0 takes a free one")
	fl.StringSliceVar(&f.allowOrigins, "allow-origin", nil, "`origin` whose pages may use the data over REST, such as https://app.example.com; pages of this machine always may")
	fl.StringArrayVar(&f.indexes, "indexes", nil, indexesFlagHelp)
	f.register(cmd)
	return cmd
}

// options reads the flags.
func (f *devFlags) options(stderr io.Writer) (host.Options, error) {
	if err := f.origins().Check(); err != nil {
		return host.Options{}, usageError{"--allow-origin: " + atoll.AsError(err).Msg}
	}
	return f.nodeFlags.options(stderr)
}

// doors says what the doors of the node are to be like.
func (f *devFlags) doors() doorOptions {
	return doorOptions{auth: firestore.Auth{Dev: true}, origins: f.origins(), registry: prometheus.NewRegistry(), budgets: f.budgets}
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
func dev(ctx context.Context, stdout io.Writer, listen string, o doorOptions, opt host.Options) error {
	l, err := front.ListenLoopback(listen)
	if err != nil {
		return err
	}
	defer l.Close()
	h, err := startHost(opt)
	if err != nil {
		return err
	}
	o.operator = l.Addr()
	err = serveDev(ctx, stdout, l, h, o, opt)
	if e := h.Close(); err == nil {
		err = e
	}
	return err
}

// startHost starts a node in its data directory, which is made if need be.
func startHost(opt host.Options) (*host.Host, error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, atoll.Errorf(atoll.PermissionDenied, "cannot make the data directory: %v", err)
	}
	if os.Getenv("GOGC") == "" {
		// The live heap is small beside the store's cache, which is not on
		// it; collecting at twice its size would take a tenth of the time.
		debug.SetGCPercent(400)
	}
	h, err := host.Start(opt)
	if err != nil {
		return nil, startError(opt.Dir, err)
	}
	return h, nil
}

// startError says what to do about a node that does not start.
func startError(dir string, err error) error {
	e := atoll.AsError(err)
	if e.Kind == atoll.FailedPrecondition && strings.Contains(e.Msg, "locked") {
		return &atoll.Error{Kind: e.Kind, Msg: fmt.Sprintf("another atoll is using %s; stop it, or choose another directory with --data", dir)}
	}
	return err
}

// serveDev opens the doors of a node until ctx ends.
func serveDev(ctx context.Context, stdout io.Writer, l net.Listener, h *host.Host, o doorOptions, opt host.Options) error {
	d, err := openDoors(h, opt, o)
	if err != nil {
		return err
	}
	defer d.close()
	unwatch, err := keepIndexes(ctx, o.indexes, h, opt.Log)
	if err != nil {
		return err
	}
	defer unwatch()
	f := front.New(front.Options{
		Listener: l, HTTP: split(d.rest, d.operator), Log: opt.Log,
		GRPC: d.documents.Server(grpc.ConnectionTimeout(10 * time.Second)),
	})
	registerFront(d.registry, f)
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		opt.Log.Info("stopping")
		d.operator.Close()
		limit, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := f.Shutdown(limit); err != nil {
			opt.Log.Warn("requests that were under way were cut off", "after", stopTime)
		}
	})
	welcome(stdout, l.Addr().String(), opt.Dir, d.operator.Link())
	if err := f.Serve(); err != nil {
		return err
	}
	<-stopped
	return nil
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
