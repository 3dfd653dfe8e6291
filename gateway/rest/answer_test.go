package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/host"
)

// wantError checks the body of an error.
func wantError(t *testing.T, a answer, httpStatus int, name, contains string) {
	t.Helper()
	v := a.json(t)
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	m, _ := v.(map[string]any)
	e, _ := m["error"].(map[string]any)
	message, _ := e["message"].(string)
	where := a.Request.Method + " " + a.Request.URL.String()
	if a.StatusCode != httpStatus || e["code"] != float64(httpStatus) || e["status"] != name || !strings.Contains(message, contains) {
		t.Errorf("%s: got %d %s\nwant %d %s %s", where, a.StatusCode, a.body, httpStatus, name, contains)
	}
	if got := a.Header.Get("Content-Type"); got != contentType {
		t.Errorf("%s: the error has the type %s", where, got)
	}
}

// TestStatuses checks what every code of the service becomes, alone and in an
// array.
func TestStatuses(t *testing.T) {
	var l listener
	base := open(t, l.server()) + "/v1/" + root
	for c, want := range map[codes.Code]struct {
		status int
		name   string
	}{
		codes.Canceled: {499, "CANCELLED"}, codes.Unknown: {500, "UNKNOWN"}, codes.InvalidArgument: {400, "INVALID_ARGUMENT"},
		codes.DeadlineExceeded: {504, "DEADLINE_EXCEEDED"}, codes.NotFound: {404, "NOT_FOUND"}, codes.AlreadyExists: {409, "ALREADY_EXISTS"},
		codes.PermissionDenied: {403, "PERMISSION_DENIED"}, codes.ResourceExhausted: {429, "RESOURCE_EXHAUSTED"},
		codes.FailedPrecondition: {400, "FAILED_PRECONDITION"}, codes.Aborted: {409, "ABORTED"}, codes.OutOfRange: {400, "OUT_OF_RANGE"},
		codes.Unimplemented: {501, "UNIMPLEMENTED"}, codes.Internal: {500, "INTERNAL"}, codes.Unavailable: {503, "UNAVAILABLE"},
		codes.DataLoss: {500, "DATA_LOSS"}, codes.Unauthenticated: {401, "UNAUTHENTICATED"},
	} {
		l.err = status.Error(c, `the "reason" for <it>`)
		a := ask(t, "GET", base+"/c/x", "")
		wantError(t, a, want.status, want.name, `the "reason" for <it>`)
		if (a.Header.Get("WWW-Authenticate") != "") != (c == codes.Unauthenticated) {
			t.Errorf("%s: WWW-Authenticate is %q", c, a.Header.Get("WWW-Authenticate"))
		}
		a = ask(t, "POST", base+":runQuery", "{}")
		wantError(t, a, want.status, want.name, `the "reason" for <it>`)
		if !strings.HasPrefix(a.body, "[") {
			t.Errorf("%s: a stream's error is not in an array: %s", c, a.body)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	var l listener
	base := open(t, l.server()) + "/v1/" + root
	for _, c := range []struct {
		code codes.Code
		wait *durationpb.Duration
		want string
	}{
		{codes.ResourceExhausted, durationpb.New(time.Millisecond), "1"}, {codes.ResourceExhausted, durationpb.New(0), "1"},
		{codes.ResourceExhausted, durationpb.New(2*time.Second + 1), "3"}, {codes.Unavailable, durationpb.New(2 * time.Second), "2"},
		{codes.Unavailable, durationpb.New(-time.Second), "1"}, {codes.ResourceExhausted, &durationpb.Duration{Seconds: math.MaxInt64}, ""},
		{codes.ResourceExhausted, nil, ""}, {codes.Aborted, durationpb.New(time.Second), ""},
	} {
		s := status.New(c.code, "later")
		if c.wait != nil {
			s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: c.wait})
		}
		l.err = s.Err()
		for _, a := range []answer{ask(t, "GET", base+"/c/x", ""), ask(t, "POST", base+":runQuery", "{}")} {
			if got := a.Header.Get("Retry-After"); got != c.want || (a.Header.Get("Access-Control-Expose-Headers") != "") != (c.want != "") {
				t.Errorf("%s in %v: Retry-After is %q, want %q", c.code, c.wait, got, c.want)
			}
		}
	}
}

// TestQuotaSaysWhen checks it with an error that the service makes.
func TestQuotaSaysWhen(t *testing.T) {
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	now := time.Unix(1_800_000_000, 0)
	quota := firestore.Quota{Requests: firestore.Rate{PerSecond: 0.1, Burst: 1}}
	g, err := firestore.NewGuard(firestore.GuardOptions{
		Quotas: firestore.Quotas{Caller: quota, Tracked: 10}, Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Guard: g}})
	base := open(t, s.Server(LocalOptions()...)) + "/v1/" + root
	wantError(t, ask(t, "GET", base+"/c/x", ""), 403, "PERMISSION_DENIED", "no rules")
	a := ask(t, "GET", base+"/c/x", "")
	wantError(t, a, 429, "RESOURCE_EXHAUSTED", "try again in 10s")
	if got := a.Header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After is %q", got)
	}
	a = ask(t, "POST", base+":aggregate", `{}`)
	wantError(t, a, 429, "RESOURCE_EXHAUSTED", "try again in 10s") // Atoll's own methods are held to the same
}

func TestHeadersArePassed(t *testing.T) {
	var l listener
	url := open(t, l.server()) + "/v1/" + root + "/c/x"
	ask(t, "GET", url, "", "Authorization: Bearer owner", "Atoll-Request-Id: 00112233445566778899aabbccddeeff", "X-Other: x")
	_, _, md := l.asked()
	if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer owner" {
		t.Errorf("authorization: %q", got)
	}
	if got := md.Get("atoll-request-id"); len(got) != 1 || got[0] != "00112233445566778899aabbccddeeff" {
		t.Errorf("atoll-request-id: %q", got)
	}
	if got := md.Get("x-other"); got != nil {
		t.Errorf("x-other: %q", got)
	}
	wantError(t, ask(t, "GET", url, "", "Authorization: Bearer grü"), 400, "INVALID_ARGUMENT", "Authorization holds a character")
}

// TestCallers checks that this door knows callers as the other one does.
func TestCallers(t *testing.T) {
	url := real(t) + "/v1/" + root + "/c"
	token := func(payload string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
	}
	for header, want := range map[string]int{
		"": 200, "Authorization: Bearer owner": 200, "Authorization: Bearer " + token(`{"sub":"u"}`): 200,
		"Authorization: Bearer " + token(`{"sub":"u","exp":1}`): 401, "Authorization: Bearer x": 401, "Authorization: Basic eA==": 401,
	} {
		a := ask(t, "GET", url, "", header)
		if a.StatusCode != want {
			t.Errorf("%s: %s %s", header, a.Status, a.body)
		}
		if want == 401 {
			wantError(t, a, 401, "UNAUTHENTICATED", "")
		}
	}
}

func TestBodyLimit(t *testing.T) {
	var l listener
	url := open(t, l.server(), func(o *Options) { o.MaxBody = 1000 }) + "/v1/" + root + "/c"
	fits := `{"fields": {"a": {"stringValue": "` + strings.Repeat("x", 1000-len(`{"fields": {"a": {"stringValue": ""}}}`)) + `"}}}`
	if a := ask(t, "POST", url, fits); a.StatusCode != 200 {
		t.Errorf("a body at the limit: %s %s", a.Status, a.body)
	}
	wantError(t, ask(t, "POST", url, fits+" "), 400, "INVALID_ARGUMENT", "more than 1000 bytes")
	wantError(t, ask(t, "POST", url, fits, "Content-Encoding: gzip"), 400, "INVALID_ARGUMENT", `Content-Encoding "gzip"`)
}

func TestForms(t *testing.T) {
	url := real(t) + "/v1/" + root + "/c/x"
	ask(t, "PATCH", url, `{"fields": {"a": {"nullValue": null}}}`)
	if a := ask(t, "GET", url, ""); strings.Contains(a.body, "\n") {
		t.Errorf("not asked for lines: %s", a.body)
	}
	if a := ask(t, "GET", url+"?prettyPrint=true", ""); !regexp.MustCompile(`\n  "fields": +\{\n    "a"`).MatchString(a.body) {
		t.Errorf("asked for lines: %s", a.body)
	}
	if a := ask(t, "DELETE", url, ""); a.body != "{}" {
		t.Errorf("nothing to tell: %s", a.body)
	}
}

// source is a service whose stream a test holds in its hands.
type source struct {
	firestorepb.UnimplementedFirestoreServer
	run func(out firestorepb.Firestore_RunQueryServer) error
}

func (s source) RunQuery(_ *firestorepb.RunQueryRequest, out firestorepb.Firestore_RunQueryServer) error {
	return s.run(out)
}

// streaming serves a query that is answered by run, and asks it.
func streaming(t *testing.T, run func(firestorepb.Firestore_RunQueryServer) error, edit ...func(*Options)) *http.Response {
	t.Helper()
	g := grpc.NewServer(LocalOptions()...)
	firestorepb.RegisterFirestoreServer(g, source{run: run})
	base := open(t, g, edit...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "POST", base+"/v1/"+root+":runQuery", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func skipped(n int32) *firestorepb.RunQueryResponse {
	return &firestorepb.RunQueryResponse{SkippedResults: n}
}

// TestStreamFlows checks that an element is there as soon as it is made.
func TestStreamFlows(t *testing.T) {
	seen := make(chan struct{})
	res := streaming(t, func(out firestorepb.Firestore_RunQueryServer) error {
		for i := range int32(3) {
			if err := out.Send(skipped(i + 1)); err != nil {
				return err
			}
			select {
			case <-seen:
			case <-out.Context().Done():
				return out.Context().Err()
			}
		}
		return nil
	})
	var got strings.Builder
	buf := make([]byte, 100)
	for i := range 3 {
		for strings.Count(got.String(), "}") <= i {
			n, err := res.Body.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v after %s", err, got.String())
			}
		}
		seen <- struct{}{}
	}
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text := got.String() + string(rest); !sameJSON(t, text, `[{"skippedResults":1},{"skippedResults":2},{"skippedResults":3}]`) {
		t.Errorf("got %s", text)
	}
}

func TestEmptyStream(t *testing.T) {
	res := streaming(t, func(firestorepb.Firestore_RunQueryServer) error { return nil })
	b, err := io.ReadAll(res.Body)
	if err != nil || !sameJSON(t, string(b), "[]") {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestStreamFails checks that an error in the middle is shown, and that the
// array is not mistaken for a whole one.
func TestStreamFails(t *testing.T) {
	res := streaming(t, func(out firestorepb.Firestore_RunQueryServer) error {
		out.Send(skipped(1))
		return status.Error(codes.Aborted, "enough")
	})
	b, err := io.ReadAll(res.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end of what is left is %v", err)
	}
	if !sameJSON(t, string(b), `[{"skippedResults":1},{"error":{"code":409,"message":"enough","status":"ABORTED"}}]`) {
		t.Errorf("got %s", b)
	}
}

// TestSlowReader checks that a client that does not read holds the service
// back, and is cut off in the end.
func TestSlowReader(t *testing.T) {
	var sent atomic.Int64
	ended := make(chan error, 1)
	big := &firestorepb.RunQueryResponse{Document: &firestorepb.Document{Name: strings.Repeat("x", 1<<20)}}
	res := streaming(t, func(out firestorepb.Firestore_RunQueryServer) error {
		for {
			if err := out.Send(big); err != nil {
				ended <- err
				return err
			}
			sent.Add(1)
		}
	}, func(o *Options) { o.Stall = 300 * time.Millisecond })
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the client was not cut off")
	}
	// What fits into the buffers of the system, the windows and the channel.
	if n := sent.Load(); n < 1 || n > 40 {
		t.Errorf("%d MiB were made for a client that read nothing", n)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the answer ended as if it were whole")
	}
}

// TestClientLeaves checks that the service is told.
func TestClientLeaves(t *testing.T) {
	left := make(chan struct{})
	res := streaming(t, func(out firestorepb.Firestore_RunQueryServer) error {
		defer close(left)
		out.Send(skipped(1))
		<-out.Context().Done()
		return out.Context().Err()
	})
	res.Body.Close()
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Fatal("the service was not told")
	}
}

// broken is a connection whose calls are defects.
type broken struct{ grpc.ClientConnInterface }

func (broken) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { panic("a defect") }

func TestDefect(t *testing.T) {
	var told atomic.Value
	base := open(t, grpc.NewServer(), func(o *Options) {
		o.Service = broken{}
		o.Panicked = func(_ string, cause any, _ []byte) { told.Store(cause) }
	})
	wantError(t, ask(t, "GET", base+"/v1/"+root+"/c/x", ""), 500, "INTERNAL", "internal error")
	if told.Load() != "a defect" {
		t.Errorf("told of %v", told.Load())
	}
}

// TestDetailStays checks that what is for the operator is not sent.
func TestDetailStays(t *testing.T) {
	if b := string(problem(&atoll.Error{Kind: atoll.Internal, Msg: "shown", Detail: "hidden"})); !strings.Contains(b, "shown") || strings.Contains(b, "hidden") {
		t.Error(b)
	}
}
