package front_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"atoll"
	"atoll/gateway/front"
)

// secure is a front with a certificate.
type secure struct {
	*fixture
	dir   string
	roots *x509.CertPool
}

func serveTLS(t *testing.T, o front.Options) secure {
	t.Helper()
	dir := t.TempDir()
	cert, key, err := front.SelfSigned(dir, []string{"db.example.com", ""})
	if err != nil {
		t.Fatal(err)
	}
	if o.Certificate, err = front.OpenCertificate(cert, key, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	over := grpc.NewServer()
	healthpb.RegisterHealthServer(over, health.NewServer())
	t.Cleanup(over.Stop)
	o.GRPCOverHTTP = over
	return secure{serve(t, o), dir, pool(t, cert)}
}

func pool(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	return p
}

// client returns an HTTP client that speaks the protocols that are true.
func (s secure) client(http1, http2 bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(http1)
	p.SetHTTP2(http2)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, Protocols: &p}}
}

func (s secure) get(t *testing.T, c *http.Client, path string) (proto int, body string) {
	t.Helper()
	defer c.CloseIdleConnections()
	res, err := c.Get("https://" + s.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.ProtoMajor, string(b)
}

// check asks the gRPC health service; alpn are the protocols that the client
// offers besides h2.
func (s secure) check(t testing.TB, alpn ...string) {
	t.Helper()
	cc := dialTLS(t, s.addr, s.roots, alpn...)
	defer cc.Close()
	res, err := healthpb.NewHealthClient(cc).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || res.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("gRPC, %q offered too: %v, %v", alpn, res, err)
	}
}

func dialTLS(t testing.TB, addr string, roots *x509.CertPool, alpn ...string) *grpc.ClientConn {
	t.Helper()
	creds := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: append([]string{"h2"}, alpn...)})
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	return cc
}

func TestTLSProtocols(t *testing.T) {
	s := serveTLS(t, front.Options{})
	s.check(t)
	if n := s.Counts(); n.GRPC != 1 || n.HTTP != 0 {
		t.Errorf("a client that offers h2 alone must reach the gRPC server itself: %+v", n)
	}
	s.check(t, "http/1.1")
	for _, want := range []struct {
		http1, http2 bool
		proto        int
	}{{true, false, 1}, {true, true, 2}} {
		if proto, body := s.get(t, s.client(want.http1, want.http2), "/hello"); proto != want.proto || body != "hello GET" {
			t.Errorf("HTTP/1 %v, HTTP/2 %v: got HTTP/%d, %q", want.http1, want.http2, proto, body)
		}
	}
	if n := s.Counts(); n.GRPC != 1 || n.HTTP != 3 || n.Silent != 0 {
		t.Errorf("counts: %+v", n)
	}
}

// TestTLSNames checks for whom the certificate is.
func TestTLSNames(t *testing.T) {
	s := serveTLS(t, front.Options{})
	for name, ok := range map[string]bool{"db.example.com": true, "localhost": true, "127.0.0.1": true, "::1": true, "elsewhere.example.com": false} {
		c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.roots, ServerName: name})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestTLSIsNotOld(t *testing.T) {
	s := serveTLS(t, front.Options{})
	c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
	c, err = tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.roots})
	if err != nil || c.ConnectionState().Version != tls.VersionTLS13 {
		t.Fatalf("%v", err)
	}
	c.Close()
}

// TestPlaintextIsTold checks that who forgets the s of https learns it, and that
// others who don't speak TLS are hung up on.
func TestPlaintextIsTold(t *testing.T) {
	s := serveTLS(t, front.Options{})
	for text, want := range map[string]string{
		"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n": "this port speaks TLS",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":       "",
	} {
		c := s.dial(t)
		io.WriteString(c, text)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, err := io.ReadAll(c)
		if isTimeout(err) || want != "" && !strings.Contains(string(b), want) || want == "" && strings.Contains(string(b), "HTTP") {
			t.Errorf("%q was answered with %q, %v", text, b, err)
		}
	}
}

// TestSlowHandshakes holds the port with strangers that never end their
// handshake: they are hung up on, and others are served all the while.
func TestSlowHandshakes(t *testing.T) {
	s := serveTLS(t, front.Options{SniffTimeout: 300 * time.Millisecond})
	var held []net.Conn
	for i := range 30 {
		c := s.dial(t)
		// The head of a record that announces more than comes.
		io.WriteString(c, "\x16\x03\x01\x02\x00\x01"[:i%7%6])
		held = append(held, c)
	}
	if _, body := s.get(t, s.client(true, true), "/hello"); body != "hello GET" {
		t.Errorf("got %q", body)
	}
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Fatal("a connection without a handshake was kept")
		}
	}
	eventually(t, "closing and counting all", func() bool { n := s.Counts(); return n.Open == 0 && n.Silent == 30 })
}

func (s secure) shown(t *testing.T) string {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true}) // which one it is, is the question
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return string(c.ConnectionState().PeerCertificates[0].Raw)
}

func TestReload(t *testing.T) {
	s := serveTLS(t, front.Options{})
	before := s.shown(t)
	open, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	// A certificate without its key: the one before stays.
	other := t.TempDir()
	cert, key, err := front.SelfSigned(other, nil)
	if err != nil {
		t.Fatal(err)
	}
	move := func(from, name string) {
		t.Helper()
		if err := os.Rename(from, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	move(cert, front.SelfSignedCert)
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if s.shown(t) != before {
			t.Fatal("a certificate was shown whose key is not there")
		}
	}
	move(key, front.SelfSignedKey)
	eventually(t, "reloading", func() bool { return s.shown(t) != before })
	s.roots = pool(t, filepath.Join(s.dir, front.SelfSignedCert))
	s.check(t)

	// What was open stays.
	io.WriteString(open, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if b, _ := io.ReadAll(open); !strings.HasSuffix(string(b), "hello GET") {
		t.Errorf("got %q", b)
	}
}

func TestSelfSignedStays(t *testing.T) {
	dir := t.TempDir()
	read := func() string {
		cert, key, err := front.SelfSigned(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key has mode %v, %v", info.Mode(), err)
		}
		b, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if first := read(); read() != first {
		t.Error("another start made another certificate")
	}
}

func TestBadCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := front.SelfSigned(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")})
	if err := os.WriteFile(empty, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{empty, key}, {cert, empty}, {"none", key}, {cert, "none"}, {key, cert}} {
		if _, err := front.OpenCertificate(pair[0], pair[1], nil); atoll.KindOf(err) != atoll.Invalid || !strings.Contains(err.Error(), pair[0]) {
			t.Errorf("%v: %v", pair, err)
		}
	}
}

// TestTLSShutdown stops while requests are under way over both servers.
func TestTLSShutdown(t *testing.T) {
	s := serveTLS(t, front.Options{})
	cc := dialTLS(t, s.addr, s.roots)
	defer cc.Close()
	watch, err := healthpb.NewHealthClient(cc).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		_, body := s.get(t, s.client(true, true), "/slow")
		answer <- body
	}()
	eventually(t, "the request", func() bool { return s.in.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(ctx) }()
	eventually(t, "closing the port", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(s.slow)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err == nil {
		t.Error("a stream that never ends was not cut off")
	}
}

// BenchmarkGRPC compares the two ways of gRPC over TLS.
func BenchmarkGRPC(b *testing.B) {
	for name, alpn := range map[string][]string{"native": nil, "over-http": {"http/1.1"}} {
		b.Run(name, func(b *testing.B) {
			cert, key, err := front.SelfSigned(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			c, err := front.OpenCertificate(cert, key, nil)
			if err != nil {
				b.Fatal(err)
			}
			l, err := front.ListenLoopback("127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			var servers [2]*grpc.Server
			for i := range servers {
				servers[i] = grpc.NewServer(grpc.NumStreamWorkers(256))
				healthpb.RegisterHealthServer(servers[i], health.NewServer())
			}
			f := front.New(front.Options{Listener: l, Certificate: c, GRPC: servers[0], GRPCOverHTTP: servers[1], HTTP: http.NotFoundHandler()})
			go f.Serve()
			cc := dialTLS(b, l.Addr().String(), pool(b, cert), alpn...)
			defer func() {
				cc.Close()
				f.Shutdown(b.Context())
				servers[1].Stop()
			}()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := healthpb.NewHealthClient(cc).Check(b.Context(), &healthpb.HealthCheckRequest{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
