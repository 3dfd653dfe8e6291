package firestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"atoll"
)

// guarded returns a guard whose clock stands still but for what the test adds.
func guarded(t testing.TB, edit ...func(*GuardOptions)) (g *Guard, key, dir string, now *time.Time) {
	t.Helper()
	dir = t.TempDir()
	key, err := MakeAdminKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	k, err := OpenAdminKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	i, _ := fileIssuer(t, jwks(jwk("k1", &signers()[0].PublicKey)))
	at := testNow
	o := GuardOptions{Key: k, Issuers: []*Issuer{i}, Registry: prometheus.NewRegistry(), Clock: func() time.Time { return at }}
	for _, e := range edit {
		e(&o)
	}
	if g, err = NewGuard(o); err != nil {
		t.Fatal(err)
	}
	return g, key, dir, &at
}

// TestWhoGetsIn asks as everybody who might, over the wire.
func TestWhoGetsIn(t *testing.T) {
	g, key, _, _ := guarded(t)
	addr, _ := start(t, func(o *Options) { o.Auth = Auth{Guard: g} })
	client := firestorepb.NewFirestoreClient(dial(t, addr))
	for name, c := range map[string]struct {
		header string
		code   codes.Code
		says   string
	}{
		"the administrator":  {"Bearer " + key, codes.NotFound, ""}, // the document
		"in small letters":   {"bearer " + key, codes.NotFound, ""},
		"nobody":             {"", codes.PermissionDenied, "only the administrator"},
		"a known caller":     {"Bearer " + sign(t, signers()[0], rs256, good()), codes.PermissionDenied, "token is good"},
		"owner":              {"Bearer owner", codes.Unauthenticated, "for emulators"},
		"unsigned":           {"Bearer " + jwt(unsigned, `{"sub":"a"}`, ""), codes.Unauthenticated, "unsigned tokens"},
		"forged":             {"Bearer " + sign(t, signers()[1], rs256, good()), codes.Unauthenticated, "signature"},
		"expired":            {"Bearer " + sign(t, signers()[0], rs256, good(set("exp", 1))), codes.Unauthenticated, "expired"},
		"an unknown issuer":  {"Bearer " + sign(t, signers()[0], rs256, good(set("iss", "x"))), codes.Unauthenticated, "no issuer"},
		"another key":        {"Bearer " + key[:len(key)-1], codes.Unauthenticated, "not the administrator's key"},
		"the hash":           {"Bearer " + hashOf(key), codes.Unauthenticated, "neither"},
		"no scheme":          {key, codes.Unauthenticated, "Bearer"},
		"a key with a space": {"Bearer  " + key, codes.Unauthenticated, ""},
	} {
		g.failures = newAccounts(failureQuota, 10, g.clock) // each alone
		ctx := t.Context()
		if c.header != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.header)
		}
		_, err := client.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: "projects/p/databases/(default)/documents/c/d"})
		if s := status.Convert(err); s.Code() != c.code || !strings.Contains(s.Message(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
		stream, err := client.RunQuery(ctx, &firestorepb.RunQueryRequest{Parent: "projects/p/databases/(default)/documents",
			QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: &firestorepb.StructuredQuery{
				From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: "c"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		want := c.code
		if want == codes.NotFound {
			want = codes.OK
		}
		if _, err = stream.Recv(); status.Code(err) != want && !(want == codes.OK && err.Error() == "EOF") {
			t.Errorf("%s, a stream: got %v", name, err)
		}
	}
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// TestKeyIsRotated checks that the old key ends while the node runs, and that
// the key is stored nowhere.
func TestKeyIsRotated(t *testing.T) {
	g, old, dir, _ := guarded(t)
	text, err := os.ReadFile(filepath.Join(dir, AdminKeyFile))
	if err != nil || strings.Contains(string(text), old) || strings.Contains(string(text), old[len(adminKeyPrefix):]) {
		t.Fatalf("the key is stored: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, AdminKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	fresh, err := MakeAdminKey(dir)
	if err != nil || fresh == old || len(fresh) < 43 {
		t.Fatalf("%q, %v", fresh, err)
	}
	for end := time.Now().Add(5 * time.Second); g.key.is(old) || !g.key.is(fresh); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new key is not taken")
		}
	}
	// A file that is damaged, or gone, lets nobody in.
	if err := os.Remove(filepath.Join(dir, AdminKeyFile)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); g.key.is(fresh); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a key without a file is taken")
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, AdminKeyFile)
	if _, err := OpenAdminKey(dir); atoll.KindOf(err) != atoll.NotFound {
		t.Errorf("no file: %v", err)
	}
	for text, mode := range map[string]os.FileMode{
		"": 0o600, "nonsense": 0o600, adminKeyFormat: 0o600, adminKeyFormat + "00": 0o600,
		strings.Replace(adminKeyFormat, "1", "2", 1) + strings.Repeat("0", 64): 0o600,
		adminKeyFormat + strings.Repeat("0", 64):                               0o620,
	} {
		os.Remove(name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenAdminKey(dir); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q, mode %o: %v", text, mode, err)
		}
	}
}

// TestFailuresAreBounded guesses until it is stopped; neither the administrator
// nor other addresses notice.
func TestFailuresAreBounded(t *testing.T) {
	g, key, _, now := guarded(t)
	guess := func(address string) error {
		_, err := g.caller(context.Background(), "Bearer "+adminKeyPrefix+"guess", address)
		return err
	}
	for i := range 10 {
		if err := guess("192.0.2.1"); atoll.KindOf(err) != atoll.Unauthenticated {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	err := guess("192.0.2.1")
	if wait := retryIn(err); status.Code(err) != codes.ResourceExhausted || wait <= 0 || wait > 6*time.Second {
		t.Fatalf("after ten: %v", err)
	}
	token := "Bearer " + sign(t, signers()[0], rs256, good())
	if _, err := g.caller(context.Background(), token, "192.0.2.1"); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a good token from that address: %v", err)
	}
	if who, err := g.caller(context.Background(), "Bearer "+key, "192.0.2.1"); err != nil || who.Principal != Administrator {
		t.Errorf("the administrator from that address: %v", err)
	}
	if err := guess("192.0.2.2"); atoll.KindOf(err) != atoll.Unauthenticated {
		t.Errorf("another address: %v", err)
	}
	*now = now.Add(6 * time.Second)
	if err := guess("192.0.2.1"); atoll.KindOf(err) != atoll.Unauthenticated {
		t.Errorf("six seconds later: %v", err)
	}
	if n, _ := g.failures.size(); n != 2 {
		t.Errorf("%d addresses are tracked", n)
	}
}

func retryIn(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration()
		}
	}
	return -1
}

// TestQuotas uses up each quota, over the wire, and waits as it is told.
func TestQuotas(t *testing.T) {
	none := Rate{}
	for name, c := range map[string]struct {
		quotas Quotas
		passes int // requests until the quota is used up
		says   string
		delay  time.Duration
	}{
		"requests of a caller":   {Quotas{Caller: Quota{Rate{2, 5}, none}}, 5, "your quota of requests", 500 * time.Millisecond},
		"bytes of a caller":      {Quotas{Caller: Quota{none, Rate{100, 300}}}, -1, "your quota of bytes", 0},
		"requests of a database": {Quotas{Database: Quota{Rate{4, 3}, none}}, 4, "database's quota of requests", 250 * time.Millisecond},
		"bytes of a database":    {Quotas{Database: Quota{none, Rate{100, 300}}}, -1, "database's quota of bytes", 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.quotas.Tracked = 10
			g, key, _, now := guarded(t, func(o *GuardOptions) { o.Quotas = c.quotas })
			addr, _ := start(t, func(o *Options) { o.Auth = Auth{Guard: g} })
			client := firestorepb.NewFirestoreClient(dial(t, addr))
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
			get := func() error {
				_, err := client.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: "projects/p/databases/(default)/documents/c/d"})
				return err
			}
			var err error
			n := 0
			for ; n < 50; n++ {
				if err = get(); status.Code(err) != codes.NotFound {
					break
				}
			}
			wait := retryIn(err)
			if status.Code(err) != codes.ResourceExhausted || !strings.Contains(status.Convert(err).Message(), c.says) || wait <= 0 {
				t.Fatalf("after %d requests: %v", n, err)
			}
			if c.passes >= 0 && n != c.passes || c.passes < 0 && (n < 3 || n > 8) || c.delay != 0 && wait != c.delay {
				t.Errorf("%d requests passed, and then %s were to wait", n, wait)
			}
			*now = now.Add(wait - 2*time.Millisecond)
			if err := get(); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("before the time: %v", err)
			}
			*now = now.Add(3 * time.Millisecond)
			if err := get(); status.Code(err) != codes.NotFound {
				t.Errorf("after the time: %v", err)
			}
		})
	}
}

// TestStrangersCannotUseUpADatabase checks who pays for what is refused.
func TestStrangersCannotUseUpADatabase(t *testing.T) {
	g, _, _, _ := guarded(t, func(o *GuardOptions) {
		o.Quotas = Quotas{Database: Quota{Requests: Rate{1, 1}}, Caller: Quota{Requests: Rate{1, 3}}, Tracked: 10}
	})
	req := &firestorepb.GetDocumentRequest{Name: "projects/p/databases/d/documents/c/d"}
	stranger, err := g.caller(context.Background(), "", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := g.allow(stranger, "192.0.2.1", req); atoll.KindOf(err) != atoll.PermissionDenied {
			t.Fatal(err)
		}
	}
	if err := g.allow(stranger, "192.0.2.1", req); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("above the quota of an address: %v", err)
	}
	if err := g.allow(stranger, "192.0.2.9", req); atoll.KindOf(err) != atoll.PermissionDenied {
		t.Errorf("another address: %v", err)
	}
	if n, _ := g.databases.size(); n != 0 {
		t.Errorf("%d databases were charged", n)
	}
}

// TestAnswersAreCharged checks that a large answer is paid for by what follows.
func TestAnswersAreCharged(t *testing.T) {
	a := newAccounts(Quota{Bytes: Rate{100, 200}}, 2, func() time.Time { return testNow })
	if wait, _ := a.spend("a", 50); wait != 0 {
		t.Fatal("refused")
	}
	a.charge("a", 350)
	if wait, what := a.spend("a", 100); wait != 3*time.Second || what != "bytes" {
		t.Errorf("wait %s for %s", wait, what)
	}
	// What is larger than all that can be had at once must pass some time.
	if wait, _ := a.spend("b", 1_000); wait != 0 {
		t.Errorf("wait %s", wait)
	}
	if wait, _ := a.spend("b", 1); wait != 801*time.Second/100 {
		t.Errorf("wait %s", wait)
	}
}

// TestTableIsBounded holds the table at its limit: the account that was idle
// for longest goes.
func TestTableIsBounded(t *testing.T) {
	const limit = 100
	a := newAccounts(Quota{Requests: Rate{1, 1}}, limit, func() time.Time { return testNow })
	for i := range limit {
		a.spend(fmt.Sprint(i), 0)
	}
	if n, forgotten := a.size(); n != limit || forgotten != 0 {
		t.Fatalf("%d kept, %d forgotten", n, forgotten)
	}
	a.spend("0", 0) // used again: 1 is idle for longest
	for i := range 5 {
		a.spend(fmt.Sprint("new", i), 0)
	}
	if n, forgotten := a.size(); n != limit || forgotten != 5 || a.recent.Len() != limit {
		t.Errorf("%d kept, %d forgotten", n, forgotten)
	}
	if wait, _ := a.spend("0", 0); wait == 0 {
		t.Error("an account that is in use was forgotten")
	}
	if wait, _ := a.spend("1", 0); wait != 0 {
		t.Error("the account that was idle was not forgotten")
	}
}

// TestRateHolds checks, for random rates and moments, that never more passes in
// any time than the rate and one burst, and that whoever waits gets through.
func TestRateHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{rapid.Float64Range(0.1, 50).Draw(t, "rate"), rapid.Float64Range(0, 100).Draw(t, "burst")}
		now := testNow
		a := newAccounts(Quota{Requests: r}, 1, func() time.Time { return now })
		var passed []time.Time
		pause := rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, time.Millisecond, time.Second, time.Minute})
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(pause.Draw(t, "pause"))
			if wait, _ := a.spend("a", 0); wait != 0 {
				now = now.Add(wait + time.Microsecond)
				if wait, _ := a.spend("a", 0); wait != 0 {
					t.Fatalf("after waiting as told, %s more", wait)
				}
			}
			passed = append(passed, now)
			for i, from := range passed {
				most := r.top() + now.Sub(from).Seconds()*r.PerSecond + 1e-6
				if n := len(passed) - i; float64(n) > most {
					t.Fatalf("%d passed in %s; %v are allowed", n, now.Sub(from), most)
				}
			}
		}
	})
}

func TestQuotaFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		name := filepath.Join(dir, "quotas.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	q, err := ReadQuotas(write(`{"caller":{"requests":{"perSecond":5,"burst":7}},"tracked":50}`))
	want := DefaultQuotas
	want.Caller.Requests, want.Tracked = Rate{5, 7}, 50
	if err != nil || q != want {
		t.Errorf("got %+v, %v", q, err)
	}
	for _, text := range []string{"", "[]", `{"callers":{}}`, `{"tracked":0}`, `{"tracked":1e9}`, `{"caller":{"requests":{"perSecond":-1}}}`} {
		if _, err := ReadQuotas(write(text)); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
	q.Caller.Bytes.Burst = math.NaN()
	if q.Check() == nil {
		t.Error("a burst that is no number was accepted")
	}
}

func TestDatabaseOf(t *testing.T) {
	const db = "projects/p/databases/d"
	for _, req := range []any{
		&firestorepb.GetDocumentRequest{Name: db + "/documents/c/d"}, &firestorepb.ListDocumentsRequest{Parent: db + "/documents"},
		&firestorepb.CommitRequest{Database: db}, &firestorepb.CreateDocumentRequest{Parent: db + "/documents"},
		&firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: db + "/documents/c/d"}},
	} {
		if got := databaseOf(req); got != db {
			t.Errorf("%T: %q", req, got)
		}
	}
	if got := databaseOf(&firestorepb.UpdateDocumentRequest{}); got != "" {
		t.Errorf("no document: %q", got)
	}
}

type otherAddr struct{ network, text string }

func (a otherAddr) Network() string { return a.network }
func (a otherAddr) String() string  { return a.text }

// TestAddresses checks whose account an address is, and that only a door within
// the process is believed about another one.
func TestAddresses(t *testing.T) {
	told := metadata.NewIncomingContext(context.Background(), metadata.Pairs(PeerKey, "192.0.2.7:5"))
	for want, a := range map[string]net.Addr{
		"192.0.2.1":         &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 4},
		"2001:db8:1:2::/64": &net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 4},
		"192.0.2.2":         &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.2"), Port: 4},
		"fe80::/64":         &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 4},
		"192.0.2.7":         otherAddr{"bufconn", "bufconn"},
	} {
		if got := addressOf(peer.NewContext(told, &peer.Peer{Addr: a})); got != want {
			t.Errorf("%v: got %q, want %q", a, got, want)
		}
	}
}
