package rest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"atoll/gateway/analytics"
	"atoll/gateway/firestore"
	"atoll/host"
)

const (
	database = "projects/p/databases/(default)"
	root     = database + "/documents"
)

// open serves g, and returns the address of a door for it.
func open(t testing.TB, g *grpc.Server, edit ...func(*Options)) string {
	t.Helper()
	local, err := NewLocal(g)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Service: local, Panicked: func(method string, cause any, stack []byte) { t.Errorf("%s: %v\n%s", method, cause, stack) }}
	for _, e := range edit {
		e(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(d)
	t.Cleanup(func() {
		s.CloseClientConnections() // whatever a test left under way
		s.Close()
		if err := local.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

// real serves a new installation, in memory.
func real(t testing.TB, edit ...func(*Options)) string {
	t.Helper()
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}})
	return open(t, s.Server(LocalOptions()...), edit...)
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (a answer) json(t *testing.T) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// ask sends a request. Headers are given as "Name: value";
// others are left out.
func ask(t testing.TB, method, url, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			continue
		}
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(b)}
}

// asJSON brings JSON into a form that can be compared.
func asJSON(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func toText(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sameJSON(t testing.TB, got, want string) bool {
	t.Helper()
	return reflect.DeepEqual(asJSON(t, got), asJSON(t, want))
}

// listener is a gRPC server that writes down what it is asked and answers with
// a message, or with err.
type listener struct {
	mu       sync.Mutex // guards what follows
	method   string
	request  proto.Message
	metadata metadata.MD
	err      error
}

// server returns a gRPC server for l.
func (l *listener) server() *grpc.Server {
	note := func(ctx context.Context, method string, request any) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.method = method[strings.LastIndexByte(method, '/')+1:]
		l.request, _ = request.(proto.Message)
		l.metadata, _ = metadata.FromIncomingContext(ctx)
		return l.err
	}
	g := grpc.NewServer(append(LocalOptions(),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			if err := note(ctx, info.FullMethod, req); err != nil {
				return nil, err
			}
			return answers[l.method], nil
		}),
		grpc.StreamInterceptor(func(_ any, s grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			m := requests[info.FullMethod].ProtoReflect().New().Interface()
			if err := s.RecvMsg(m); err != nil {
				return err
			}
			return note(s.Context(), info.FullMethod, m)
		}))...)
	firestorepb.RegisterFirestoreServer(g, firestorepb.UnimplementedFirestoreServer{})
	analytics.RegisterAnalyticsServer(g, analytics.UnimplementedAnalyticsServer{})
	adminpb.RegisterFirestoreAdminServer(g, adminpb.UnimplementedFirestoreAdminServer{})
	longrunningpb.RegisterOperationsServer(g, longrunningpb.UnimplementedOperationsServer{})
	return g
}

// asked returns what was asked last, and forgets it.
func (l *listener) asked() (method string, request proto.Message, md metadata.MD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	method, request, md = l.method, l.request, l.metadata
	l.method, l.request, l.metadata = "", nil, nil
	return method, request, md
}

// requests and answers are empty messages of every method.
var requests, answers = func() (req, ans map[string]proto.Message) {
	req, ans = map[string]proto.Message{}, map[string]proto.Message{}
	routes, err := allRoutes()
	if err != nil {
		panic(err)
	}
	for _, r := range routes {
		req[r.method.name] = r.method.request.New().Interface()
		ans[r.method.name[strings.LastIndexByte(r.method.name, '/')+1:]] = r.method.answer.New().Interface()
	}
	return req, ans
}()

// fill reads the JSON form of a message.
func fill(t testing.TB, m proto.Message, text string) proto.Message {
	t.Helper()
	m = m.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}
