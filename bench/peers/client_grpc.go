package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	project    = "bench"
	database   = "projects/" + project + "/databases/(default)"
	collection = "docs"
	parent     = database + "/documents"
)

// firestoreConnection is one HTTP/2 connection to a server of the Firestore
// protocol. It sends what Google's SDKs send (Commit, RunQuery, the same
// headers) without their own work around it. Like the clients of the other
// servers, it looks at the size of an answer and does not decode it.
type firestoreConnection struct {
	conn    *grpc.ClientConn
	header  metadata.MD
	minimum int // the least size of a document's answer in bytes
}

// The methods that are called.
const (
	methodCommit = "/google.firestore.v1.Firestore/Commit"
	methodGet    = "/google.firestore.v1.Firestore/GetDocument"
	methodQuery  = "/google.firestore.v1.Firestore/RunQuery"
	methodCount  = "/google.firestore.v1.Firestore/RunAggregationQuery"
)

// answer is a message as it came.
type answer []byte

// codec sends messages in protobuf's wire format and keeps what comes back.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*answer) = data.Materialize()
	return nil
}

// dialGRPC opens a connection of its own: each ClientConn has its own socket.
func dialGRPC(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func dialFirestore(address string) (*firestoreConnection, error) {
	conn, err := dialGRPC(address)
	if err != nil {
		return nil, err
	}
	return &firestoreConnection{conn: conn, minimum: minimumDocument, header: metadata.Pairs( // of an SDK that is pointed at an emulator
		"authorization", "Bearer owner",
		"google-cloud-resource-prefix", database)}, nil
}

// call makes a unary call whose answer has at least minimum bytes.
func (c *firestoreConnection) call(ctx context.Context, method string, request proto.Message, minimum int) error {
	var got answer
	err := c.conn.Invoke(metadata.NewOutgoingContext(ctx, c.header), method, request, &got, grpc.ForceCodecV2(codec{}))
	if err == nil && len(got) < minimum {
		err = fmt.Errorf("%s: an answer of %d bytes, want at least %d", method, len(got), minimum)
	}
	return err
}

func (c *firestoreConnection) do(ctx context.Context, w workload, s *source) error {
	switch w {
	case workloadCreate:
		doc := s.document()
		err := c.create(ctx, firestoreDocument(doc))
		if err == nil {
			s.acknowledged(doc.ID)
		}
		return err
	case workloadSmall:
		return c.create(ctx, firestoreSmall(s.small()))
	case workloadGet:
		return c.get(ctx, s.existing())
	case workloadQuery:
		return c.query(ctx, s.author())
	case workloadCount:
		return c.call(ctx, methodCount, countOf(s.author()), 1)
	}
	return fmt.Errorf("no %s over the Firestore protocol", w)
}

// create commits one document that must not exist yet.
func (c *firestoreConnection) create(ctx context.Context, doc *firestorepb.Document) error {
	return c.call(ctx, methodCommit, &firestorepb.CommitRequest{
		Database: database,
		Writes: []*firestorepb.Write{{
			Operation: &firestorepb.Write_Update{Update: doc},
			CurrentDocument: &firestorepb.Precondition{
				ConditionType: &firestorepb.Precondition_Exists{Exists: false},
			},
		}},
	}, minimumCommit)
}

// minimumCommit is the least that an answer to a Commit has: a commit time and
// the update time of one write.
const minimumCommit = 16

func (c *firestoreConnection) get(ctx context.Context, id string) error {
	return c.call(ctx, methodGet, &firestorepb.GetDocumentRequest{Name: documentName(id)}, c.minimum)
}

// ofAuthor is the query for all documents of an author.
func ofAuthor(author string) *firestorepb.StructuredQuery {
	return &firestorepb.StructuredQuery{
		From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: collection}},
		Where: &firestorepb.StructuredQuery_Filter{
			FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
				FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
					Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: "author"},
					Op:    firestorepb.StructuredQuery_FieldFilter_EQUAL,
					Value: stringValue(author),
				}}},
	}
}

// countOf asks how many documents an author has.
func countOf(author string) *firestorepb.RunAggregationQueryRequest {
	return &firestorepb.RunAggregationQueryRequest{
		Parent: parent,
		QueryType: &firestorepb.RunAggregationQueryRequest_StructuredAggregationQuery{
			StructuredAggregationQuery: &firestorepb.StructuredAggregationQuery{
				QueryType: &firestorepb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: ofAuthor(author)},
				Aggregations: []*firestorepb.StructuredAggregationQuery_Aggregation{{
					Alias:    "count",
					Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Count_{Count: &firestorepb.StructuredAggregationQuery_Aggregation_Count{}},
				}},
			}},
	}
}

// query asks for the first queryLimit documents of an author.
func (c *firestoreConnection) query(ctx context.Context, author string) error {
	query := ofAuthor(author)
	query.OrderBy = []*firestorepb.StructuredQuery_Order{{
		Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: "n"}, Direction: firestorepb.StructuredQuery_ASCENDING,
	}}
	query.Limit = wrapperspb.Int32(queryLimit)
	return c.stream(ctx, &firestorepb.RunQueryRequest{
		Parent:    parent,
		QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: query},
	}, queryLimit)
}

// stream makes a call that is answered with a stream of want documents.
func (c *firestoreConnection) stream(ctx context.Context, request proto.Message, want int) error {
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, c.header))
	defer cancel() // frees the stream if it is not read to its end
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, methodQuery, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for found := 0; ; {
		var got answer
		err := stream.RecvMsg(&got)
		if errors.Is(err, io.EOF) {
			if found != want {
				return fmt.Errorf("query: %d documents, want %d", found, want)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if len(got) >= c.minimum { // the last answer may hold progress only
			found++
		}
	}
}

// Close closes the socket.
func (c *firestoreConnection) Close() error { return c.conn.Close() }

func documentName(id string) string { return parent + "/" + collection + "/" + id }

func firestoreDocument(doc document) *firestorepb.Document {
	tags := &firestorepb.ArrayValue{}
	for _, tag := range doc.Tags {
		tags.Values = append(tags.Values, stringValue(tag))
	}
	return &firestorepb.Document{Name: documentName(doc.ID), Fields: map[string]*firestorepb.Value{
		"title":    stringValue(doc.Title),
		"body":     stringValue(doc.Body),
		"author":   stringValue(doc.Author),
		"n":        integerValue(doc.N),
		"tags":     {ValueType: &firestorepb.Value_ArrayValue{ArrayValue: tags}},
		"done":     {ValueType: &firestorepb.Value_BooleanValue{BooleanValue: doc.Done}},
		"rating":   {ValueType: &firestorepb.Value_DoubleValue{DoubleValue: doc.Rating}},
		"views":    integerValue(doc.Views),
		"language": stringValue(doc.Language),
		"at":       stringValue(doc.At),
	}}
}

func firestoreSmall(doc small) *firestorepb.Document {
	return &firestorepb.Document{Name: documentName(doc.ID), Fields: map[string]*firestorepb.Value{
		"title": stringValue(doc.Title), "author": stringValue(doc.Author), "n": integerValue(doc.N),
	}}
}

func stringValue(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func integerValue(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

// The echo service is the least that a gRPC server can do: it shows what the
// protocol alone costs on this machine.
const (
	echoService = "bench.Echo"
	echoMethod  = "/" + echoService + "/Echo"
)

// echoRequest is what each call carries: 200 bytes.
var echoRequest = wrapperspb.Bytes([]byte(strings.Repeat("x", 200)))

// serveEcho serves the echo service on address until the process is told to stop.
func serveEcho(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: echoService,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				message := new(wrapperspb.BytesValue)
				return message, decode(message)
			},
		}},
	}, nil)
	return server.Serve(listener)
}

// echoConnection is one HTTP/2 connection to the echo service.
type echoConnection struct{ conn *grpc.ClientConn }

func dialEcho(address string) (*echoConnection, error) {
	conn, err := dialGRPC(address)
	if err != nil {
		return nil, err
	}
	return &echoConnection{conn}, nil
}

func (c *echoConnection) do(ctx context.Context, w workload, _ *source) error {
	if w != workloadEcho {
		return fmt.Errorf("no %s over the echo service", w)
	}
	back := new(wrapperspb.BytesValue)
	if err := c.conn.Invoke(ctx, echoMethod, echoRequest, back); err != nil {
		return err
	}
	if len(back.Value) != len(echoRequest.Value) {
		return fmt.Errorf("echo: %d bytes came back of %d", len(back.Value), len(echoRequest.Value))
	}
	return nil
}

func (c *echoConnection) get(context.Context, string) error {
	return errors.New("the echo service stores nothing")
}

// Close closes the socket.
func (c *echoConnection) Close() error { return c.conn.Close() }
