package firestore

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gofirestore "cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// The tests of this file ask with Google's own client. Documents and answers
// are few enough to be checked by eye.

// library fills a collection of values that are hard to compare, and returns
// the client.
func library(t *testing.T) *gofirestore.Client {
	t.Helper()
	addr, _ := start(t)
	c := google(t, addr, "library", "(default)")
	b := batch(c)
	for id, fields := range map[string]map[string]any{
		"int1":    {"v": 1, "n": 1, "tags": []any{"red", "blue"}},
		"int2":    {"v": 2, "n": 2, "tags": []any{"red"}},
		"double1": {"v": 1.5, "n": 3, "tags": []any{"green", 1}},
		"nan":     {"v": math.NaN(), "n": 4, "tags": []any{}},
		"null":    {"v": nil, "n": 5, "tags": "red"},
		"true":    {"v": true, "n": 6},
		"text":    {"v": "a", "n": 7},
		"array":   {"v": []any{1}, "n": 8, "tags": []any{[]byte("x"), nil}},
		"map":     {"v": map[string]any{"k": 1}, "n": 9},
		"none":    {"n": 10, "tags": []any{"blue"}},
	} {
		b.Set(c.Doc("c/"+id), fields)
	}
	for _, path := range []string{"c/int1/deep/x", "d/y/deep/x", "d/y/deep/z", "d/y"} {
		b.Set(c.Doc(path), map[string]any{"n": 100})
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// found returns the ids that a query finds, in its order.
func found(t *testing.T, q gofirestore.Query) string {
	t.Helper()
	docs, err := q.Documents(t.Context()).GetAll()
	if err != nil {
		t.Error(err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, d.Ref.ID)
	}
	return strings.Join(out, " ")
}

// sorted puts the ids of a query without an order of its own into the
// alphabet's, which is that of names.
func sorted(list string) string {
	out := strings.Fields(list)
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestQueryOperators(t *testing.T) {
	c := library(t)
	for _, test := range []struct {
		op    string
		value any
		want  string
	}{
		{"==", 1, "int1"},
		{"==", 1.0, "int1"},
		{"==", "a", "text"},
		{"==", []any{1}, "array"},
		{"==", map[string]any{"k": 1}, "map"},
		{"!=", 1, "array double1 int2 map nan text true"},
		{"!=", "a", "array double1 int1 int2 map nan true"},
		{"<", 2, "double1 int1"},
		{"<=", 2, "double1 int1 int2"},
		{">", 1, "double1 int2"},
		{">=", 1.5, "double1 int2"},
		{">", "", "text"},
		{"<=", true, "true"},
		{">=", []any{}, "array"},
		{"in", []any{1, "a", true}, "int1 text true"},
		{"in", []any{"b"}, ""},
		{"not-in", []any{1, "a", true}, "array double1 int2 map nan"},
		{"not-in", []any{math.NaN(), 1.5}, "array int1 int2 map text true"},
		{"not-in", []any{nil}, ""},
	} {
		q := c.Collection("c").Where("v", test.op, test.value)
		if got := sorted(found(t, q)); got != test.want {
			t.Errorf("v %s %v: got %q, want %q", test.op, test.value, got, test.want)
		}
	}
}

func TestQueryArrayOperators(t *testing.T) {
	c := library(t)
	for _, test := range []struct {
		op    string
		value any
		want  string
	}{
		{"array-contains", "red", "int1 int2"},
		{"array-contains", 1, "double1"},
		{"array-contains", []byte("x"), "array"},
		{"array-contains", "yellow", ""},
		{"array-contains-any", []any{"green", "blue"}, "double1 int1 none"},
		{"array-contains-any", []any{"red", "blue", "red"}, "int1 int2 none"},
		{"array-contains-any", []any{math.NaN(), "green"}, "double1"},
	} {
		if got := sorted(found(t, c.Collection("c").Where("tags", test.op, test.value))); got != test.want {
			t.Errorf("tags %s %v: got %q, want %q", test.op, test.value, got, test.want)
		}
	}
}

func TestQueryNullAndNaN(t *testing.T) {
	c := library(t)
	for _, test := range []struct {
		op    string
		value any
		want  string
	}{
		{"==", nil, "null"},
		{"!=", nil, "array double1 int1 int2 map nan text true"},
		{"==", math.NaN(), "nan"},
		{"!=", math.NaN(), "array double1 int1 int2 map text true"},
	} {
		if got := sorted(found(t, c.Collection("c").Where("v", test.op, test.value))); got != test.want {
			t.Errorf("v %s %v: got %q, want %q", test.op, test.value, got, test.want)
		}
	}
	for op, want := range map[unaryOp]string{
		pb.StructuredQuery_UnaryFilter_IS_NAN:      "nan",
		pb.StructuredQuery_UnaryFilter_IS_NOT_NAN:  "array double1 int1 int2 map text true",
		pb.StructuredQuery_UnaryFilter_IS_NULL:     "null",
		pb.StructuredQuery_UnaryFilter_IS_NOT_NULL: "array double1 int1 int2 map nan text true",
	} {
		if got := sorted(found(t, unary(t, c, op))); got != want {
			t.Errorf("%s: got %q, want %q", op, got, want)
		}
	}
}

type unaryOp = pb.StructuredQuery_UnaryFilter_Operator

// unary builds a query with a unary filter on v, for which Google's client has
// no name of its own.
func unary(t *testing.T, c *gofirestore.Client, op unaryOp) gofirestore.Query {
	t.Helper()
	b, err := c.Collection("c").Serialize()
	if err != nil {
		t.Fatal(err)
	}
	var req pb.RunQueryRequest
	if err := proto.Unmarshal(b, &req); err != nil {
		t.Fatal(err)
	}
	req.GetStructuredQuery().Where = &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_UnaryFilter{UnaryFilter: &pb.StructuredQuery_UnaryFilter{
		Op: op, OperandType: &pb.StructuredQuery_UnaryFilter_Field{Field: &pb.StructuredQuery_FieldReference{FieldPath: "v"}},
	}}}
	if b, err = proto.Marshal(&req); err != nil {
		t.Fatal(err)
	}
	q, err := c.Collection("c").Deserialize(b)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQueryAndOr(t *testing.T) {
	c := library(t)
	is := func(path, op string, value any) gofirestore.EntityFilter {
		return gofirestore.PropertyFilter{Path: path, Operator: op, Value: value}
	}
	and := func(f ...gofirestore.EntityFilter) gofirestore.EntityFilter {
		return gofirestore.AndFilter{Filters: f}
	}
	or := func(f ...gofirestore.EntityFilter) gofirestore.EntityFilter {
		return gofirestore.OrFilter{Filters: f}
	}
	for i, test := range []struct {
		filter gofirestore.EntityFilter
		want   string
	}{
		{and(is("n", ">", 2), is("n", "<=", 4)), "double1 nan"},
		{and(is("n", ">", 1), is("v", ">", 0)), "double1 int2"}, // inequalities on two fields
		{or(is("n", "==", 1), is("v", "==", "a")), "int1 text"},
		{or(is("n", "==", 1), is("v", "==", 1)), "int1"}, // each document once
		{and(is("n", "<", 8), or(is("v", "==", "a"), and(is("v", ">=", 1), is("tags", "array-contains", "red")))), "int1 int2 text"},
		{or(and(is("n", ">=", 2), is("n", "<", 4)), is("tags", "array-contains", "blue")), "double1 int1 int2 none"},
		{or(is("v", "in", []any{1, 2}), is("n", "in", []any{9, 10})), "int1 int2 map none"},
		{and(is("tags", "array-contains-any", []any{"red", "green"}), is("v", "in", []any{2, 1.5})), "double1 int2"},
	} {
		if got := sorted(found(t, c.Collection("c").WhereEntity(test.filter))); got != test.want {
			t.Errorf("filter %d: got %q, want %q", i, got, test.want)
		}
	}
	var many []gofirestore.EntityFilter
	for i := range 31 {
		many = append(many, is("n", "==", i))
	}
	_, err := c.Collection("c").WhereEntity(or(many...)).Documents(t.Context()).GetAll()
	wantCode(t, err, codes.InvalidArgument, "30")
}

func TestQueryOrders(t *testing.T) {
	c := library(t)
	for _, test := range []struct {
		name, want string
		q          gofirestore.Query
	}{
		{"every type", "null true nan int1 double1 int2 text array map", c.Collection("c").OrderBy("v", gofirestore.Asc)},
		{"descending", "map array text int2 double1 int1 nan true null", c.Collection("c").OrderBy("v", gofirestore.Desc)},
		{"by name", "array double1 int1 int2 map nan none null text true", c.Collection("c").OrderBy("__name__", gofirestore.Asc)},
		{"by name, descending", "true text null none nan map int2 int1 double1 array", c.Collection("c").OrderBy("__name__", gofirestore.Desc)},
		{"of its own", "array double1 int1 int2 map nan none null text true", c.Collection("c").Query},
		{"of an inequality", "int1 double1 int2", c.Collection("c").Where("v", ">", 0)},
		// Arrays go by their elements: bytes come behind texts, and what has no more elements first.
		{"two fields", "array int1 int2 double1 none nan", c.Collection("c").OrderBy("tags", gofirestore.Desc).OrderBy("n", gofirestore.Asc).Where("tags", "!=", "red")},
	} {
		if got := found(t, test.q); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestQueryCursors(t *testing.T) {
	c := library(t)
	byN := c.Collection("c").OrderBy("n", gofirestore.Asc)
	snapshot := func(id string) *gofirestore.DocumentSnapshot {
		d, err := c.Doc("c/" + id).Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tied := batch(c)
	for i := range 6 {
		tied.Set(c.Doc(fmt.Sprint("tied/", i)), map[string]any{"a": i / 3, "b": 1})
	}
	if _, err := tied.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := c.Collection("tied").OrderBy("a", gofirestore.Desc).OrderBy("b", gofirestore.Asc).OrderBy("__name__", gofirestore.Desc)
	for _, test := range []struct {
		name, want string
		q          gofirestore.Query
	}{
		{"start at", "map none", byN.StartAt(9)},
		{"start after", "none", byN.StartAfter(9)},
		{"end at", "int1 int2", byN.EndAt(2)},
		{"end before", "int1", byN.EndBefore(2)},
		{"between", "double1 nan", byN.StartAfter(2).EndBefore(5)},
		{"values that no document has", "int2 double1", byN.StartAt(1.5).EndAt(3.5)},
		{"behind a document", "map none", byN.StartAfter(snapshot("array"))},
		{"from the end", "int2 int1", c.Collection("c").OrderBy("n", gofirestore.Desc).StartAt(2)},
		{"by name", "text true", c.Collection("c").OrderBy("__name__", gofirestore.Asc).StartAt("text")},
		{"all of it", "4 3 2 1 0", full.StartAfter(1, 1, "5")},
		{"both ends", "3 2", full.StartAfter(1, 1, "4").EndAt(0, 1, "2")},
		{"crossed", "", byN.StartAt(5).EndAt(4)},
	} {
		if got := found(t, test.q); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestQueryWindows(t *testing.T) {
	c := library(t)
	// A query is limited to its last documents by turning its orders round in
	// place, so that each is made anew.
	byN := func() gofirestore.Query { return c.Collection("c").OrderBy("n", gofirestore.Asc) }
	for _, test := range []struct {
		name, want string
		q          gofirestore.Query
	}{
		{"limit", "int1 int2", byN().Limit(2)},
		{"offset", "map none", byN().Offset(8)},
		{"both", "double1 nan", byN().Offset(2).Limit(2)},
		{"behind the end", "", byN().Offset(10)},
		{"behind a cursor", "null true", byN().StartAfter(3).Offset(1).Limit(2)},
		{"limit to last", "map none", byN().LimitToLast(2)},
		{"limit to last by two fields", "map none", byN().OrderBy("__name__", gofirestore.Desc).LimitToLast(2)},
		{"limit to last before a cursor", "nan null", byN().EndAt(5).LimitToLast(2)},
		{"limit to last behind a cursor", "map none", byN().StartAt(9).LimitToLast(5)},
		{"limit to last of a filter", "double1 int2", c.Collection("c").Where("v", ">", 0).OrderBy("v", gofirestore.Asc).LimitToLast(2)},
	} {
		if got := found(t, test.q); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestQueryProjections(t *testing.T) {
	c := library(t)
	must(t)(c.Doc("p/x").Set(t.Context(), map[string]any{"a": 1, "m": map[string]any{"b": 2, "c": 3}, "x.y": 4, "z": nil}))
	for _, test := range []struct {
		q    gofirestore.Query
		want string
	}{
		{c.Collection("p").Select("a"), "map[a:1]"},
		{c.Collection("p").Select("m.b", "a"), "map[a:1 m:map[b:2]]"},
		{c.Collection("p").SelectPaths([]string{"x.y"}, []string{"none"}), "map[x.y:4]"},
		{c.Collection("p").Select("m", "z"), "map[m:map[b:2 c:3] z:<nil>]"},
		{c.Collection("p").Select(), "map[]"}, // names alone
		{c.Collection("p").Select("a").Where("m.b", "==", 2).OrderBy("m.c", gofirestore.Asc), "map[a:1]"},
	} {
		docs, err := test.q.Documents(t.Context()).GetAll()
		if err != nil || len(docs) != 1 || fmt.Sprint(docs[0].Data()) != test.want || docs[0].UpdateTime.IsZero() {
			t.Errorf("got %v, %v; want %s", docs, err, test.want)
			continue
		}
		if got := fmt.Sprint(docs[0].Data()); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// paths returns the full paths that a query finds.
func paths(t *testing.T, q gofirestore.Query) string {
	t.Helper()
	docs, err := q.Documents(t.Context()).GetAll()
	if err != nil {
		t.Error(err)
	}
	var out []string
	for _, d := range docs {
		_, path, _ := strings.Cut(d.Ref.Path, documentsRoot+"/")
		out = append(out, path)
	}
	return strings.Join(out, " ")
}

func TestQueryCollectionGroups(t *testing.T) {
	c := library(t)
	deep := c.CollectionGroup("deep").Query
	for _, test := range []struct {
		name, want string
		q          gofirestore.Query
	}{
		{"all", "c/int1/deep/x d/y/deep/x d/y/deep/z", deep},
		{"descending", "d/y/deep/z d/y/deep/x c/int1/deep/x", deep.OrderBy("__name__", gofirestore.Desc)},
		{"filtered", "c/int1/deep/x d/y/deep/x d/y/deep/z", deep.Where("n", ">", 99)},
		{"from a name", "d/y/deep/x d/y/deep/z", deep.OrderBy("__name__", gofirestore.Asc).StartAfter(c.Doc("c/int1/deep/x"))},
		{"by name", "d/y/deep/x", deep.Where("__name__", "==", c.Doc("d/y/deep/x"))},
		{"at the root too", "d/y", c.CollectionGroup("d").Query},
		{"one collection alone", "d/y/deep/x d/y/deep/z", c.Collection("d/y/deep").Query},
	} {
		if got := paths(t, test.q); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestQueryNames(t *testing.T) {
	c := library(t)
	col, name := c.Collection("c"), gofirestore.DocumentID
	for _, test := range []struct {
		op    string
		value any
		want  string
	}{
		{"==", col.Doc("nan"), "nan"},
		{"!=", col.Doc("nan"), "array double1 int1 int2 map none null text true"},
		{"<", col.Doc("int1"), "array double1"},
		{">=", col.Doc("text"), "text true"},
		{"in", []*gofirestore.DocumentRef{col.Doc("true"), col.Doc("gone"), col.Doc("map")}, "map true"},
		{"not-in", []*gofirestore.DocumentRef{col.Doc("true"), col.Doc("map")}, "array double1 int1 int2 nan none null text"},
	} {
		if got := found(t, col.Where(name, test.op, test.value)); got != test.want {
			t.Errorf("%s %v: got %q, want %q", test.op, test.value, got, test.want)
		}
	}
}

// TestQueryWithoutKind asks for all collections below a document, or all there
// are, for which Google's Go client has no name.
func TestQueryWithoutKind(t *testing.T) {
	library(t)
	raw := pb.NewFirestoreClient(dial(t, os.Getenv("FIRESTORE_EMULATOR_HOST")))
	root := "projects/library/databases/(default)/documents"
	for parent, want := range map[string]string{
		"/d/y":      "d/y/deep/x d/y/deep/z",
		"/c/int1":   "c/int1/deep/x",
		"/c/absent": "",
		"": "c/array c/double1 c/int1 c/int1/deep/x c/int2 c/map c/nan c/none c/null c/text c/true " +
			"d/y d/y/deep/x d/y/deep/z",
	} {
		s, err := raw.RunQuery(t.Context(), &pb.RunQueryRequest{Parent: root + parent, QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: &pb.StructuredQuery{}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		reply, err := s.Recv()
		for ; err == nil; reply, err = s.Recv() {
			if d := reply.GetDocument(); d != nil {
				got = append(got, strings.TrimPrefix(d.GetName(), root+"/"))
			}
		}
		if err != io.EOF || strings.Join(got, " ") != want {
			t.Errorf("below %q: got %v, %v; want %q", parent, got, err, want)
		}
	}
}

func TestQueryThePast(t *testing.T) {
	c := library(t)
	was := must(t)(c.Doc("c/int1").Set(t.Context(), map[string]any{"v": 1, "n": 50})).UpdateTime
	must(t)(c.Doc("c/int1").Set(t.Context(), map[string]any{"v": 3, "n": 1}))
	must(t)(c.Doc("c/int2").Delete(t.Context()))
	q := c.Collection("c").Where("v", ">", 0).OrderBy("v", gofirestore.Asc)
	if got, want := found(t, q), "double1 int1"; got != want {
		t.Errorf("now: got %q, want %q", got, want)
	}
	then := q.WithReadOptions(gofirestore.ReadTime(was))
	if got, want := found(t, *then), "int1 double1 int2"; got != want {
		t.Errorf("then: got %q, want %q", got, want)
	}
	if got, want := found(t, then.LimitToLast(1)), "int2"; got != want {
		t.Errorf("the last one then: got %q, want %q", got, want)
	}
	_, err := q.WithReadOptions(gofirestore.ReadTime(time.Unix(0, 0))).Documents(t.Context()).GetAll()
	wantCode(t, err, codes.FailedPrecondition, "")
}
