package front_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"atoll"
	"atoll/gateway/front"
)

type fixture struct {
	*front.Front
	addr string
	slow chan struct{} // requests for /slow answer when it is closed
	in   atomic.Int64  // requests for /slow under way
}

func serve(t *testing.T, o front.Options) *fixture {
	t.Helper()
	l, err := front.ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fx := &fixture{addr: l.Addr().String(), slow: make(chan struct{})}
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, health.NewServer())
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.Method) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fx.in.Add(1)
		<-fx.slow
		io.WriteString(w, "done")
	})
	o.Listener, o.GRPC, o.HTTP, o.Log = l, g, mux, slog.New(slog.DiscardHandler)
	fx.Front = front.New(o)
	served := make(chan error, 1)
	go func() { served <- fx.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		fx.Shutdown(ctx)
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve did not return after Shutdown")
		}
		if n := fx.Counts().Open; n != 0 {
			t.Errorf("%d connections are open at the end", n)
		}
	})
	return fx
}

func (fx *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", fx.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestBothProtocols(t *testing.T) {
	fx := serve(t, front.Options{})
	cc, err := grpc.NewClient("passthrough:///"+fx.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	res, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || res.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("gRPC: %v, %v", res, err)
	}
	if got := get(t, "http://"+fx.addr+"/hello"); got != "hello GET" {
		t.Fatalf("HTTP: %q", got)
	}
	// A method that begins like the preface, and bytes that come one by one.
	for _, method := range []string{"PROPFIND", "PUT", "P"} {
		c := fx.dial(t)
		for _, b := range []byte(method + " /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		b, _ := io.ReadAll(c)
		if !strings.HasSuffix(string(b), "hello "+method) {
			t.Errorf("%s was answered with %q", method, b)
		}
	}
	if n := fx.Counts(); n.GRPC != 1 || n.HTTP != 4 || n.Silent != 0 {
		t.Errorf("counts: %+v", n)
	}
}

// TestLimit fills every place and finds that the next connection is closed,
// and that a place that becomes free is given to the next one.
func TestLimit(t *testing.T) {
	const limit = 20
	fx := serve(t, front.Options{Connections: limit})
	var held []net.Conn
	for range limit {
		held = append(held, fx.dial(t))
	}
	eventually(t, "accepting all", func() bool { return fx.Counts().Open == limit })
	over := fx.dial(t)
	over.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := over.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Fatalf("a connection above the limit was not closed: %v", err)
	}
	if n := fx.Counts(); n.Open != limit || n.Refused != 1 {
		t.Fatalf("counts: %+v", n)
	}
	held[7].Close()
	eventually(t, "making room", func() bool { return fx.Counts().Open == limit-1 })
	if got := get(t, "http://"+fx.addr+"/hello"); got != "hello GET" {
		t.Fatalf("after a place became free: %q", got)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestSlow checks that whoever says nothing, or never ends its headers, is
// hung up on.
func TestSlow(t *testing.T) {
	fx := serve(t, front.Options{SniffTimeout: 100 * time.Millisecond})
	for _, beginning := range []string{"", "PR", "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		c := fx.dial(t)
		if _, err := io.WriteString(c, beginning); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Errorf("a connection that only said %q was kept", beginning)
		}
	}
	eventually(t, "closing", func() bool { return fx.Counts().Open == 0 })
	if n := fx.Counts(); n.Silent != 2 {
		t.Errorf("counts: %+v", n)
	}
}

func TestLongHeaders(t *testing.T) {
	fx := serve(t, front.Options{})
	c := fx.dial(t)
	go io.WriteString(c, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("%v, %v", res, err)
	}
}

// TestShutdown checks that a request which is under way is answered, that new
// ones are not taken, and that waiting ends with the context.
func TestShutdown(t *testing.T) {
	fx := serve(t, front.Options{})
	answer := make(chan string, 1)
	go func() { answer <- get(t, "http://"+fx.addr+"/slow") }()
	eventually(t, "the request", func() bool { return fx.in.Load() == 1 })

	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	silent := fx.dial(t)
	eventually(t, "the silent connection", func() bool { return fx.Counts().Open == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- fx.Shutdown(t.Context()) }()
	eventually(t, "closing the port", func() bool {
		c, err := net.Dial("tcp", fx.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a silent connection was kept")
	}
	<-short.Done()
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a request was under way: %v", err)
	default:
	}
	close(fx.slow)
	if got := <-answer; got != "done" {
		t.Fatalf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestShutdownCutsOff(t *testing.T) {
	fx := serve(t, front.Options{})
	defer close(fx.slow)
	c := fx.dial(t)
	io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the request", func() bool { return fx.in.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := fx.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestListenLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.1.2.3:0", "localhost:0", "[::1]:0"} {
		l, err := front.ListenLoopback(addr)
		if err != nil {
			if strings.Contains(addr, "::1") && strings.Contains(err.Error(), "cannot") {
				continue // no IPv6 here
			}
			t.Errorf("%s: %v", addr, err)
			continue
		}
		l.Close()
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "127.0.0.1", "127.0.0.1:x", ""} {
		if l, err := front.ListenLoopback(addr); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q: %v, %v", addr, l, err)
		}
	}
	l, err := front.ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := front.ListenLoopback(l.Addr().String()); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("an address in use: %v", err)
	}
}
