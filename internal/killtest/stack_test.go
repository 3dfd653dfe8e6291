package killtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/node"
	"atoll/route"
	"atoll/subnet"
)

// disk is what a stack stands on: a file system, with a directory as package
// host lays it out.
type disk struct {
	fs   vfs.FS
	dir  string
	free func(dir string) (uint64, error) // nil: the file system is asked
	min  uint64                           // free bytes below which writes are refused
}

func (d disk) store(log *slog.Logger) (*pebble.Store, error) {
	return pebble.Open(pebble.Options{
		Dir: host.SubnetDir(d.dir, 0), FS: d.fs, Split: keys.Split, CacheBytes: 4 << 20, DiskFree: d.free,
		Logger: func(format string, args ...any) { log.Error(fmt.Sprintf(format, args...)) },
	})
}

// stack is an installation of one subnet, in this process, on any disk: what
// package host puts together and what the command serves.
type stack struct {
	*connection
	node *node.Node
	log  *logBook
	grpc *grpc.Server
	conn *grpc.ClientConn
}

// startStack opens or makes the installation on a disk, and connects to it.
// lost may be nil.
func startStack(ctx context.Context, d disk, lost func() bool) (*stack, error) {
	s := &stack{log: &logBook{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	s.node, err = node.Start(node.Options{
		Subnets: 1, Programs: host.Programs(), Genesis: host.Genesis, MinFree: d.min,
		Log: log,
		Open: func(atoll.SubnetID) (node.Disk, error) {
			st, err := d.store(log)
			if err != nil {
				return node.Disk{}, err
			}
			return node.Disk{
				Store: st, Exclusive: true, Free: st.Free, Witness: st.Durable,
				Mark: func(h atoll.Height, x atoll.Hash) { st.MarkDurable(h, x) },
			}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	router := route.New(route.Options{Node: s.node, Root: host.Root})
	s.grpc = firestore.New(firestore.Options{Router: router, Auth: firestore.Auth{Dev: true}}).Server()
	l := bufconn.Listen(1 << 20)
	go s.grpc.Serve(l)
	s.conn, err = grpc.NewClient("passthrough:stack", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err == nil {
		if lost == nil {
			lost = func() bool { return false }
		}
		s.connection, err = connect(ctx, s.conn, lost)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// stop closes everything. The disk is as it is.
func (s *stack) stop() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.grpc.Stop()
	s.node.Close()
}

// logBook holds what was logged.
type logBook struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBook) has(text string) bool { return strings.Contains(l.String(), text) }

// audit opens a subnet's store by itself, and checks that the log leads to the
// state, that the state is what its head says, and that nothing is missing of
// what was marked durable.
func audit(d disk) (err error) {
	st, err := d.store(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() {
		if cerr := st.Close(); err == nil {
			err = cerr
		}
	}()
	head, _, err := subnet.ReadHead(st)
	if err != nil {
		return err
	}
	if err := local.Check(st, head); err != nil {
		return err
	}
	if height, digest, ok := st.Durable(); ok && (height > head.Height || height == head.Height && digest != head.Digest) {
		return fmt.Errorf("the state ends at height %d with digest %s; %d with %s was durable", head.Height, head.Digest, height, digest)
	}
	if head.Height == 0 {
		return nil
	}
	a, err := subnet.NewAudit(st)
	for done := false; err == nil && !done; {
		done, err = a.Step(10_000)
	}
	return err
}

// within returns a context for one part of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
