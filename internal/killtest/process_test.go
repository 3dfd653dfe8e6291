package killtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// commandVar names, for a test that runs itself again, the command that was
// built before.
const commandVar = "ATOLL_KILLTEST_BIN"

// scratch is the directory of the command's binary.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "killtest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// command builds the command once, and returns its path.
var command = sync.OnceValues(func() (string, error) {
	if built := os.Getenv(commandVar); built != "" {
		return built, nil
	}
	bin := filepath.Join(scratch, "atoll")
	out, err := exec.Command("go", "build", "-o", bin, "atoll/cmd/atoll").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return bin, nil
})

// process is a running command.
type process struct {
	*connection
	cmd    *exec.Cmd
	conn   *grpc.ClientConn
	log    *logBook
	exited chan struct{} // closed when err is set
	err    error
}

// launch starts the command on a data directory and does not wait for it.
func launch(t testing.TB, dir, addr string) *process {
	t.Helper()
	bin, err := command()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: &logBook{}, exited: make(chan struct{})}
	p.cmd = exec.Command(bin, "dev", "--listen", addr, "--data", dir)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// start launches the command and waits until it serves.
func start(ctx context.Context, t testing.TB, dir, addr string) (*process, error) {
	t.Helper()
	p := launch(t, dir, addr)
	var err error
	p.conn, err = grpc.NewClient("passthrough:"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 2 * time.Millisecond, Multiplier: 1, MaxDelay: 2 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.conn.Close() })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.exited:
			cancel(fmt.Errorf("the process ended: %v", p.err))
		case <-ctx.Done():
		}
	}()
	if _, err = healthpb.NewHealthClient(p.conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err == nil {
		p.connection, err = connect(ctx, p.conn, func() bool { return false })
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("%w (%v); it said:\n%s", err, context.Cause(ctx), p.log)
	}
	return p, nil
}

// kill ends the process as the kernel does when memory is short: at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// interrupt asks the process to end, and waits until it has.
func (p *process) interrupt(ctx context.Context) error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		return errors.New("the process does not end on an interrupt")
	}
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
