package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	gofirestore "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// screen is what a node prints, and can be read at the same time.
type screen struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// served is a node of "atoll serve" within the test's process.
type served struct {
	data, operator string // addresses
	key            string // of the administrator; empty if it was not printed
	dir            string
	roots          *x509.CertPool
	out            *screen
	stop           context.CancelFunc
	ended          chan error // gets the command's error
}

// startServe runs the command and waits until it is ready.
func startServe(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	s := &served{dir: dir, out: &screen{}, ended: make(chan error, 1), roots: x509.NewCertPool()}
	var err error
	if s.data, err = freeAddress(); err == nil {
		s.operator, err = freeAddress()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	cmd := command()
	cmd.SetArgs(append([]string{"serve", "--self-signed", "--data", dir, "--listen", s.data, "--operator", s.operator}, args...))
	cmd.SetOut(s.out)
	cmd.SetErr(io.Discard)
	go func() { s.ended <- cmd.ExecuteContext(ctx) }()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.out.String(), "is ready"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the node is not ready: %s", s.out)
		}
		select {
		case err := <-s.ended:
			t.Fatalf("the node ended: %v", err)
		default:
		}
	}
	t.Cleanup(func() { s.end(t) })
	s.key = regexp.MustCompile(`atoll_admin_\S*`).FindString(s.out.String())
	pem, err := os.ReadFile(filepath.Join(dir, "tls.cert.pem"))
	if err != nil || !s.roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate: %v", err)
	}
	return s
}

// end stops the node, and may be called again.
func (s *served) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case err, first := <-s.ended:
		if first {
			close(s.ended)
		}
		if err != nil {
			t.Errorf("the node ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the node did not stop")
	}
}

// bearer sends a key or token with every request.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }

// google returns Google's own client, with a certificate to believe and a token.
func (s *served) google(t *testing.T, token string) *gofirestore.Client {
	t.Helper()
	t.Setenv(emulatorVar, "")
	opts := []option.ClientOption{
		option.WithEndpoint(s.data), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(s.roots, ""))),
	}
	if token != "" {
		opts = append(opts, option.WithGRPCDialOption(grpc.WithPerRPCCredentials(bearer(token))))
	}
	c, err := gofirestore.NewClient(t.Context(), "app", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// web returns a client of the data port.
func (s *served) web() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: true}}
}

// rest asks for a document, and returns the answer's status and body.
func (s *served) rest(t *testing.T, path string, edit func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.data+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	edit(req)
	c := s.web()
	defer c.CloseIdleConnections()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

const lisbon = "/v1/projects/app/databases/(default)/documents/cities/lisbon"

// TestServe uses a node over TLS as the administrator, as strangers, and after
// a restart.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	s := startServe(t, dir)
	if s.key == "" {
		t.Fatalf("no key was printed:\n%s", s.out)
	}
	admin := s.google(t, s.key)
	doc := admin.Doc("cities/lisbon")
	if _, err := doc.Set(t.Context(), map[string]any{"hills": 7}); err != nil {
		t.Fatal(err)
	}
	found := admin.Collection("cities").Where("hills", "==", 7).Documents(t.Context())
	if d, err := found.Next(); err != nil || d.Ref.ID != "lisbon" {
		t.Errorf("a query: %v", err)
	}
	if _, err := found.Next(); !errors.Is(err, iterator.Done) {
		t.Errorf("its end: %v", err)
	}
	for token, want := range map[string]codes.Code{
		"": codes.PermissionDenied, "owner": codes.Unauthenticated, "atoll_admin_guess": codes.Unauthenticated,
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.": codes.Unauthenticated,
	} {
		if _, err := s.google(t, token).Doc("cities/lisbon").Get(t.Context()); status.Code(err) != want {
			t.Errorf("%q: %v, want %v", token, err, want)
		}
	}
	s.end(t)

	again := startServe(t, dir)
	if again.key != "" {
		t.Error("the key was made again")
	}
	key := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.key) }
	if code, body := again.rest(t, lisbon, key); code != http.StatusOK || !strings.Contains(body, `"7"`) {
		t.Errorf("REST, after a restart: %d %s", code, body)
	}
	if code, body := again.rest(t, lisbon, func(*http.Request) {}); code != http.StatusForbidden || !strings.Contains(body, "only the administrator") {
		t.Errorf("REST without a key: %d %s", code, body)
	}
	if code, _ := again.rest(t, lisbon, func(r *http.Request) { key(r); r.Host = "evil.example.com" }); code != http.StatusMisdirectedRequest {
		t.Errorf("REST under another name: %d", code)
	}
	if code, _ := again.rest(t, lisbon, func(r *http.Request) { key(r); r.Header.Set("Origin", "https://evil.example.com") }); code != http.StatusForbidden {
		t.Errorf("REST from another origin: %d", code)
	}
	for _, path := range []string{"/", "/metrics", "/debug/", "/login", "/v1/overview", "/v1/backup", "/v1/top/"} {
		if code, _ := again.rest(t, path, key); code != http.StatusNotFound {
			t.Errorf("%s on the data port: %d", path, code)
		}
	}
	for name, c := range map[string]struct {
		edit func(*http.Request)
		code int
	}{
		"the key":     {key, http.StatusOK},
		"nothing":     {func(*http.Request) {}, http.StatusUnauthorized},
		"a wrong key": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, http.StatusUnauthorized},
		"owner":       {func(r *http.Request) { r.Header.Set("Authorization", "Bearer owner") }, http.StatusUnauthorized},
		"a page":      {func(r *http.Request) { key(r); r.Header.Set("Origin", "https://"+s.data) }, http.StatusForbidden},
		"its image":   {func(r *http.Request) { key(r); r.Header.Set("Sec-Fetch-Site", "same-origin") }, http.StatusForbidden},
	} {
		if code, body := again.rest(t, "/v1/top", c.edit); code != c.code {
			t.Errorf("the accounts with %s: %d %s", name, code, body)
		}
		if c.code == http.StatusOK {
			continue // the feed does not end
		}
		if code, body := again.rest(t, "/v1/tail", c.edit); code != c.code {
			t.Errorf("the feed with %s: %d %s", name, code, body)
		}
	}
}

// TestServeQuota sends more than a file allows, by REST and gRPC: both are held
// to one account, and a stranger's address is that of the client.
func TestServeQuota(t *testing.T) {
	file := filepath.Join(t.TempDir(), "quotas.json")
	if err := os.WriteFile(file, []byte(`{"caller":{"requests":{"perSecond":0.01,"burst":4}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, t.TempDir(), "--quotas", file)
	key := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.key) }
	for i := range 3 {
		if code, body := s.rest(t, lisbon, key); code != http.StatusNotFound {
			t.Fatalf("request %d: %d %s", i, code, body)
		}
	}
	cc, err := grpc.NewClient("passthrough:///"+s.data, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(s.roots, "")))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.key)
	get := func(ctx context.Context) error {
		_, err := firestorepb.NewFirestoreClient(cc).GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: strings.TrimPrefix(lisbon, "/v1/")})
		return err
	}
	if err := get(ctx); status.Code(err) != codes.NotFound {
		t.Errorf("the fourth: %v", err)
	}
	if err := get(ctx); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the fifth: %v", err)
	}
	if code, body := s.rest(t, lisbon, key); code != http.StatusTooManyRequests || !strings.Contains(body, "try again in") {
		t.Errorf("the sixth: %d %s", code, body)
	}
	// Strangers have their address's account; what they say of it is not believed.
	nobody := func(*http.Request) {}
	for range 4 {
		if code, _ := s.rest(t, lisbon, nobody); code != http.StatusForbidden {
			t.Errorf("a stranger: %d", code)
		}
	}
	told := metadata.AppendToOutgoingContext(t.Context(), "atoll-peer", "192.0.2.1")
	if err := get(told); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a stranger over gRPC: %v", err)
	}
}

// TestServeDrain stops a node while a request is under way: health says so,
// the request is answered, nobody else is taken.
func TestServeDrain(t *testing.T) {
	s := startServe(t, t.TempDir(), "--linger", "500ms")
	health := func() (string, error) { return askHealth(t.Context(), &connection{addr: s.operator}) }
	if said, err := health(); said != "ok" || err != nil {
		t.Fatalf("health: %q, %v", said, err)
	}
	if said, err := askHealth(t.Context(), &connection{addr: "https://" + s.data, ca: filepath.Join(s.dir, "tls.cert.pem")}); said != "ok" || err != nil {
		t.Fatalf("health over TLS: %q, %v", said, err)
	}
	if _, err := askHealth(t.Context(), &connection{addr: "https://" + s.data}); err == nil {
		t.Error("a certificate that nobody vouches for was believed")
	}
	// The body of this request does not end yet.
	body, rest := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://"+s.data+lisbon, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	answered := make(chan int, 1)
	go func() {
		c := s.web()
		defer c.CloseIdleConnections()
		res, err := c.Do(req)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		defer res.Body.Close()
		answered <- res.StatusCode
	}()
	if _, err := io.WriteString(rest, `{"fields":`); err != nil {
		t.Fatal(err)
	}
	s.stop()
	// While it lingers, load balancers learn that it stops, and others are served.
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	wait("stopping", func() bool { _, err := health(); return err != nil && strings.Contains(err.Error(), "stopping") })
	if code, text := s.rest(t, "/healthz", func(*http.Request) {}); code != http.StatusServiceUnavailable || !strings.Contains(text, "stopping") {
		t.Errorf("health while it lingers: %d %s", code, text)
	}
	wait("closing the port", func() bool {
		c, err := net.Dial("tcp", s.data)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if _, err := health(); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("health while it drains: %v", err)
	}
	io.WriteString(rest, `{}}`)
	rest.Close()
	if code := <-answered; code != http.StatusOK {
		t.Errorf("the request under way was answered with %d", code)
	}
	s.end(t)
	if _, err := health(); err == nil {
		t.Error("a node that has stopped says that it is well")
	}
}

// TestNotify checks that a service manager is told when the node is ready and
// when it stops.
func TestNotify(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	s := startServe(t, t.TempDir())
	s.end(t)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		b := make([]byte, 100)
		l.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := l.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("got %q, %v; want %s", b[:n], err, want)
		}
	}
}

func TestServeFlags(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--cert", "a"}, {"--key", "a"}, {"--cert", "a", "--key", "b", "--self-signed"}, {"--self-signed", "--key", "b"},
		{"--self-signed", "--drain", "-1s"}, {"--self-signed", "--allow-origin", "*"}, {"--self-signed", "--issuer", "x"},
		{"--self-signed", "--issuer", "iss=a,aud=b"}, {"--self-signed", "--issuer", "iss=a,iss=b,aud=c,keys=d"},
	} {
		cmd := command()
		cmd.SetArgs(append([]string{"serve", "--data", filepath.Join(t.TempDir(), "d"), "--listen", "127.0.0.1:0", "--operator", "127.0.0.1:0"}, args...))
		cmd.SetOut(io.Discard)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := cmd.ExecuteContext(ctx)
		cancel()
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
