package indexes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/gateway/indexes"
	"atoll/gateway/rest"
	"atoll/host"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

const database = "projects/p/databases/(default)"

var db = atoll.Database{Project: "p", ID: atoll.DefaultDatabase}

// node is an installation in memory with its doors.
type node struct {
	*host.Host
	admin   *admin.FirestoreAdminClient // as the administrator
	conn    *grpc.ClientConn
	web     string // address of the REST door
	service *firestore.Service
}

func start(t *testing.T) *node {
	t.Helper()
	h, err := host.Start(host.Options{CollectEvery: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	service := indexes.New(indexes.Options{Router: h.Router, Caller: firestore.CallerOf})
	n := &node{Host: h, service: firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}, Beside: service.Register})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := n.service.Server()
	go g.Serve(l)
	t.Cleanup(g.Stop)
	if n.conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.conn.Close() })
	if n.admin, err = admin.NewFirestoreAdminClient(t.Context(), option.WithGRPCConn(n.conn)); err != nil {
		t.Fatal(err)
	}
	local, err := rest.NewLocal(n.service.Server(rest.LocalOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	door, err := rest.New(rest.Options{Service: local})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(door)
	t.Cleanup(func() { web.Close(); local.Close() })
	n.web = web.URL
	return n
}

func owner(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer owner")
}

func group(collection string) string { return database + "/collectionGroups/" + collection }

// index is a composite index of fields as "a", "-b" for descending, and "c[]"
// for elements of an array.
func index(scope adminpb.Index_QueryScope, fields ...string) *adminpb.Index {
	x := &adminpb.Index{QueryScope: scope}
	for _, f := range fields {
		name, down := strings.CutPrefix(f, "-")
		name, array := strings.CutSuffix(name, "[]")
		m := &adminpb.Index_IndexField{FieldPath: name, ValueMode: &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING}}
		switch {
		case down:
			m.ValueMode = &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_DESCENDING}
		case array:
			m.ValueMode = &adminpb.Index_IndexField_ArrayConfig_{ArrayConfig: adminpb.Index_IndexField_CONTAINS}
		}
		x.Fields = append(x.Fields, m)
	}
	return x
}

// short is the opposite of index.
func short(x *adminpb.Index) string {
	var out []string
	for _, f := range x.GetFields() {
		s := f.GetFieldPath()
		switch {
		case f.GetArrayConfig() == adminpb.Index_IndexField_CONTAINS:
			s += "[]"
		case f.GetOrder() == adminpb.Index_IndexField_DESCENDING:
			s = "-" + s
		}
		out = append(out, s)
	}
	return fmt.Sprint(x.GetQueryScope(), " ", strings.Join(out, ","), " ", x.GetState())
}

func code(err error) codes.Code {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return status.Code(err)
}

func write(t *testing.T, n *node, docs int) {
	t.Helper()
	for i := range docs {
		doc := value.AppendDocument(nil, value.Map(
			value.Field{Name: "a", Value: value.Int(int64(i % 7))}, value.Field{Name: "b", Value: value.Int(int64(i))}))
		w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: doc}
		if _, err := n.Router.Commit(t.Context(), db, []shard.Write{w}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestComposites makes, lists, waits for and deletes indexes with Google's own
// client.
func TestComposites(t *testing.T) {
	n := start(t)
	ctx := owner(t)
	write(t, n, 100)
	op, err := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: group("c"), Index: index(adminpb.Index_COLLECTION, "a", "-b")})
	if err != nil {
		t.Fatal(err)
	}
	made, err := op.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := short(made); got != "COLLECTION a,-b,-__name__ READY" {
		t.Errorf("the index is %s", got)
	}
	meta, err := op.Metadata()
	if err != nil || meta.GetIndex() != made.GetName() || meta.GetState() != adminpb.OperationState_SUCCESSFUL {
		t.Errorf("the operation says %v, %v", meta, err)
	}
	if got, err := n.admin.GetIndex(ctx, &adminpb.GetIndexRequest{Name: made.GetName()}); err != nil || !proto.Equal(got, made) {
		t.Errorf("got %v, %v; want %v", got, err, made)
	}
	if _, err := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: group("c"), Index: index(adminpb.Index_COLLECTION, "a", "-b", "-__name__")}); code(err) != codes.AlreadyExists {
		t.Errorf("the same index again: %v", err)
	}
	second, err := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: group("d"), Index: index(adminpb.Index_COLLECTION_GROUP, "x[]", "b", "-__name__")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	wantIndexes(t, n, "-", 0, "COLLECTION a,-b,-__name__ READY", "COLLECTION_GROUP x[],b,-__name__ READY")
	wantIndexes(t, n, "-", 1, "COLLECTION a,-b,-__name__ READY", "COLLECTION_GROUP x[],b,-__name__ READY")
	wantIndexes(t, n, "d", 0, "COLLECTION_GROUP x[],b,-__name__ READY")
	if err := n.admin.DeleteIndex(ctx, &adminpb.DeleteIndexRequest{Name: made.GetName()}); err != nil {
		t.Fatal(err)
	}
	wantIndexes(t, n, "-", 0, "COLLECTION_GROUP x[],b,-__name__ READY")
	if err := n.admin.DeleteIndex(ctx, &adminpb.DeleteIndexRequest{Name: made.GetName()}); code(err) != codes.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := n.admin.GetIndex(ctx, &adminpb.GetIndexRequest{Name: made.GetName()}); code(err) != codes.NotFound {
		t.Errorf("a deleted index: %v", err)
	}
	if _, err := n.admin.GetOperation(ctx, &longrunningpb.GetOperationRequest{Name: op.Name()}); code(err) != codes.NotFound {
		t.Errorf("the operation of a deleted index: %v", err)
	}
	left := n.admin.ListOperations(ctx, &longrunningpb.ListOperationsRequest{Name: database})
	if got, err := left.Next(); err != nil || got.GetName() != second.Name() || !got.GetDone() {
		t.Errorf("the operations begin with %v, %v; want %s", got, err, second.Name())
	}
	if got, err := left.Next(); !errors.Is(err, iterator.Done) {
		t.Errorf("the operations go on with %v, %v", got, err)
	}
}

func wantIndexes(t *testing.T, n *node, collection string, page int32, want ...string) {
	t.Helper()
	var got []string
	it := n.admin.ListIndexes(owner(t), &adminpb.ListIndexesRequest{Parent: group(collection), PageSize: page})
	for {
		x, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, short(x))
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("the indexes of %s are %q, want %q", collection, got, want)
	}
}

// fieldText describes a field for comparison.
func fieldText(f *adminpb.Field) string {
	var modes []string
	for _, x := range f.GetIndexConfig().GetIndexes() {
		modes = append(modes, short(x))
	}
	s := fmt.Sprintf("[%s]", strings.Join(modes, "; "))
	if f.GetIndexConfig().GetUsesAncestorConfig() {
		s += " inherited from " + strings.TrimPrefix(f.GetIndexConfig().GetAncestorField(), database)
	}
	if f.GetTtlConfig() != nil {
		s += " ttl " + f.GetTtlConfig().GetState().String()
	}
	return s
}

const (
	defaults  = "[COLLECTION f READY; COLLECTION -f READY; COLLECTION f[] READY]"
	inherited = defaults + " inherited from /collectionGroups/__default__/fields/*"
	everyWay  = "[COLLECTION f READY; COLLECTION -f READY; COLLECTION f[] READY; COLLECTION_GROUP f READY; COLLECTION_GROUP -f READY; COLLECTION_GROUP f[] READY]"
)

// TestFields overrides how fields are indexed, with masks and without, and
// takes it back.
func TestFields(t *testing.T) {
	n := start(t)
	ctx := owner(t)
	write(t, n, 20)
	name := func(field string) string { return group("c") + "/fields/" + field }
	want := func(field, want string) {
		t.Helper()
		got, err := n.admin.GetField(ctx, &adminpb.GetFieldRequest{Name: name(field)})
		if err != nil || fieldText(got) != want {
			t.Errorf("the field %s is %v, %v; want %s", field, fieldText(got), err, want)
		}
	}
	update := func(f *adminpb.Field, mask ...string) {
		t.Helper()
		req := &adminpb.UpdateFieldRequest{Field: f}
		if len(mask) > 0 {
			req.UpdateMask = &fieldmaskpb.FieldMask{Paths: mask}
		}
		op, err := n.admin.UpdateField(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := op.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if m, err := op.Metadata(); err != nil || m.GetField() != f.GetName() {
			t.Errorf("the operation says %v, %v", m, err)
		}
	}
	config := func(x ...*adminpb.Index) *adminpb.Field_IndexConfig { return &adminpb.Field_IndexConfig{Indexes: x} }

	want("f", inherited)
	update(&adminpb.Field{Name: name("f"), TtlConfig: &adminpb.Field_TtlConfig{}})
	want("f", everyWay+" ttl ACTIVE")
	update(&adminpb.Field{Name: name("f"), IndexConfig: config()})
	want("f", "[]")
	update(&adminpb.Field{Name: name("f"), TtlConfig: &adminpb.Field_TtlConfig{}}, "ttl_config")
	want("f", "[] ttl ACTIVE")
	update(&adminpb.Field{Name: name("f"), IndexConfig: config(index(adminpb.Index_COLLECTION, "f"))}, "index_config")
	want("f", everyWay+" ttl ACTIVE")
	if _, err := n.admin.UpdateField(ctx, &adminpb.UpdateFieldRequest{Field: &adminpb.Field{Name: name("g"), TtlConfig: &adminpb.Field_TtlConfig{}}}); code(err) != codes.FailedPrecondition {
		t.Errorf("a second field to expire by: %v", err)
	}
	wantFields(t, n, "ttlConfig:*", "/collectionGroups/c/fields/f")
	wantFields(t, n, "indexConfig.usesAncestorConfig=false OR ttlConfig:*", "/collectionGroups/__default__/fields/*", "/collectionGroups/c/fields/f")

	update(&adminpb.Field{Name: name("f")})
	want("f", inherited)
	update(&adminpb.Field{Name: name("*"), IndexConfig: config()})
	want("f", "[] inherited from /collectionGroups/c/fields/*")
	update(&adminpb.Field{Name: name("f"), TtlConfig: &adminpb.Field_TtlConfig{}})
	want("f", "[] ttl ACTIVE")
	update(&adminpb.Field{Name: name("f")})
	want("f", "[] inherited from /collectionGroups/c/fields/*")
	update(&adminpb.Field{Name: name("f"), IndexConfig: config(index(adminpb.Index_COLLECTION, "f"))})
	want("f", defaults)
	update(&adminpb.Field{Name: name("*")}, "index_config")
	want("f", defaults)
	update(&adminpb.Field{Name: name("f")}, "ttl_config")
	want("f", defaults)
	wantFields(t, n, "indexConfig.usesAncestorConfig:false", "/collectionGroups/__default__/fields/*", "/collectionGroups/c/fields/f")
}

func wantFields(t *testing.T, n *node, filter string, want ...string) {
	t.Helper()
	var got []string
	it := n.admin.ListFields(owner(t), &adminpb.ListFieldsRequest{Parent: group("-"), Filter: filter, PageSize: 1})
	for {
		f, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimPrefix(f.GetName(), database))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s: the fields are %q, want %q", filter, got, want)
	}
}

// TestRefused checks that what makes no sense is refused, and with which error.
func TestRefused(t *testing.T) {
	n := start(t)
	ctx := owner(t)
	create := func(parent string, x *adminpb.Index) error {
		_, err := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: parent, Index: x})
		return err
	}
	field := func(f *adminpb.Field, mask ...string) error {
		_, err := n.admin.UpdateField(ctx, &adminpb.UpdateFieldRequest{Field: f, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return err
	}
	list := func(req *adminpb.ListIndexesRequest) error {
		_, err := n.admin.ListIndexes(ctx, req).Next()
		return err
	}
	one := index(adminpb.Index_COLLECTION, "a", "b")
	vector := index(adminpb.Index_COLLECTION, "a", "b")
	vector.Fields[1].ValueMode = &adminpb.Index_IndexField_VectorConfig_{VectorConfig: &adminpb.Index_IndexField_VectorConfig{Dimension: 3}}
	for what, c := range map[string]struct {
		err  error
		code codes.Code
		text string
	}{
		"parent":     {create("projects/p", one), codes.InvalidArgument, "is no collection group"},
		"scope":      {create(group("c"), index(adminpb.Index_QUERY_SCOPE_UNSPECIFIED, "a", "b")), codes.InvalidArgument, "query scope"},
		"one field":  {create(group("c"), index(adminpb.Index_COLLECTION, "a")), codes.InvalidArgument, "not necessary"},
		"vector":     {create(group("c"), vector), codes.Unimplemented, "findNearest"},
		"collection": {create(group("__x__"), one), codes.InvalidArgument, "reserved"},
		"no fields":  {create(group("c"), nil), codes.InvalidArgument, "query scope"},
		"name":       {n.admin.DeleteIndex(ctx, &adminpb.DeleteIndexRequest{Name: group("c") + "/indexes/x"}), codes.NotFound, "no index"},
		"filter":     {list(&adminpb.ListIndexesRequest{Parent: group("c"), Filter: "x"}), codes.Unimplemented, "filter"},
		"token":      {list(&adminpb.ListIndexesRequest{Parent: group("c"), PageToken: "-1"}), codes.InvalidArgument, "token"},
		"default":    {field(&adminpb.Field{Name: group("__default__") + "/fields/*"}), codes.Unimplemented, "all collections"},
		"mask":       {field(&adminpb.Field{Name: group("c") + "/fields/a"}, "name"), codes.InvalidArgument, "update mask"},
		"ttl of all": {field(&adminpb.Field{Name: group("c") + "/fields/*", TtlConfig: &adminpb.Field_TtlConfig{}}), codes.InvalidArgument, "not by *"},
		"two fields": {field(&adminpb.Field{Name: group("c") + "/fields/a", IndexConfig: &adminpb.Field_IndexConfig{Indexes: []*adminpb.Index{one}}}), codes.InvalidArgument, "has one field"},
		"unknown": {func() error {
			_, err := n.admin.ListDatabases(ctx, &adminpb.ListDatabasesRequest{Parent: "projects/p"})
			return err
		}(), codes.Unimplemented, ""},
	} {
		if code(c.err) != c.code || !strings.Contains(fmt.Sprint(c.err), c.text) {
			t.Errorf("%s: %v; want %s: %s", what, c.err, c.code, c.text)
		}
	}
}

// TestStrangers lets nobody but the administrator ask, and opens no database
// for others.
func TestStrangers(t *testing.T) {
	n := start(t)
	other := "projects/q/databases/(default)"
	for _, ctx := range []context.Context{
		t.Context(),
		metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0."),
	} {
		_, create := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: other + "/collectionGroups/c", Index: index(adminpb.Index_COLLECTION, "a", "b")})
		_, get := n.admin.GetIndex(ctx, &adminpb.GetIndexRequest{Name: other + "/collectionGroups/c/indexes/16"})
		_, list := n.admin.ListIndexes(ctx, &adminpb.ListIndexesRequest{Parent: other + "/collectionGroups/-"}).Next()
		_, field := n.admin.GetField(ctx, &adminpb.GetFieldRequest{Name: other + "/collectionGroups/c/fields/a"})
		_, fields := n.admin.ListFields(ctx, &adminpb.ListFieldsRequest{Parent: other + "/collectionGroups/-", Filter: "ttlConfig:*"}).Next()
		_, update := n.admin.UpdateField(ctx, &adminpb.UpdateFieldRequest{Field: &adminpb.Field{Name: other + "/collectionGroups/c/fields/a"}})
		_, operation := n.admin.GetOperation(ctx, &longrunningpb.GetOperationRequest{Name: other + "/operations/index-16"})
		_, operations := n.admin.ListOperations(ctx, &longrunningpb.ListOperationsRequest{Name: other}).Next()
		_, about := n.admin.GetDatabase(ctx, &adminpb.GetDatabaseRequest{Name: other})
		remove := n.admin.DeleteIndex(ctx, &adminpb.DeleteIndexRequest{Name: other + "/collectionGroups/c/indexes/16"})
		for i, err := range []error{create, get, list, field, fields, update, operation, operations, about, remove} {
			if code(err) != codes.PermissionDenied {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
	if opened := n.Router.Stats().Opened; opened != 0 {
		t.Errorf("%d databases were opened for strangers", opened)
	}
}

// TestAtOnce has many change the indexes at the same time: nothing is lost, and
// the last one that fits is the last.
func TestAtOnce(t *testing.T) {
	n := start(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 3 {
				x := index(adminpb.Index_COLLECTION, fmt.Sprintf("f%d", i), fmt.Sprintf("g%d", j))
				if _, err := n.admin.CreateIndex(owner(t), &adminpb.CreateIndexRequest{Parent: group("c"), Index: x}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	set, err := n.Router.Indexes(t.Context(), db, route.Caller{Principal: route.Administrator})
	if err != nil || len(set.Composites) != 24 {
		t.Errorf("%d indexes were made of 24: %v", len(set.Composites), err)
	}
}

// TestLimit makes as many indexes as a database may have, and one more.
func TestLimit(t *testing.T) {
	n := start(t)
	var f indexes.File
	for i := range indexes.MaxIndexes - 1 {
		f.Indexes = append(f.Indexes, indexes.Index{Collection: "c", Fields: []indexes.Field{{Path: fmt.Sprintf("f%d", i)}, {Path: "g"}, {Path: "__name__"}}})
	}
	if _, err := n.Router.SetIndexes(t.Context(), db, f.Config(), route.Caller{Principal: route.Administrator}); err != nil {
		t.Fatal(err)
	}
	ctx := owner(t)
	for i, want := range []codes.Code{codes.OK, codes.ResourceExhausted} {
		x := index(adminpb.Index_COLLECTION, "last", fmt.Sprintf("f%d", i))
		if _, err := n.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: group("c"), Index: x}); code(err) != want {
			t.Errorf("index %d: %v, want %s", indexes.MaxIndexes+i, err, want)
		}
	}
}

// TestREST goes through what firebase-tools asks when it deploys a file.
func TestREST(t *testing.T) {
	n := start(t)
	ask := func(method, path, body string, status int) map[string]any {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, n.web+"/v1/"+database+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer owner")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, text, err)
		}
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if got := ask("GET", "", "", 200); got["databaseEdition"] != "STANDARD" || got["name"] != database {
		t.Errorf("the database is %v", got)
	}
	if got := ask("GET", "/collectionGroups/-/indexes", "", 200); len(got) != 0 {
		t.Errorf("the indexes of a new database are %v", got)
	}
	op := ask("POST", "/collectionGroups/c/indexes", `{"queryScope": "COLLECTION", "fields": [{"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "b", "arrayConfig": "CONTAINS"}]}`, 200)
	name, _ := op["name"].(string)
	for end := time.Now().Add(20 * time.Second); op["done"] != true && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		op = ask("GET", strings.TrimPrefix(name, database), "", 200)
	}
	made, _ := op["response"].(map[string]any)
	if made["state"] != "READY" || made["@type"] != "type.googleapis.com/google.firestore.admin.v1.Index" {
		t.Errorf("the operation ended as %v", op)
	}
	ask("PATCH", "/collectionGroups/c/fields/gone", `{"indexConfig": {"indexes": []}, "ttlConfig": {}}`, 200)
	ask("PATCH", "/collectionGroups/c/fields/plain?updateMask=indexConfig", `{"indexConfig": {"indexes": [{"queryScope": "COLLECTION", "fields": [{"fieldPath": "plain", "order": "ASCENDING"}]}]}}`, 200)
	fields := ask("GET", "/collectionGroups/-/fields?filter=indexConfig.usesAncestorConfig=false%20OR%20ttlConfig:*", "", 200)
	if list, _ := fields["fields"].([]any); len(list) != 3 {
		t.Errorf("the fields are %v", fields)
	}
	index, _ := made["name"].(string)
	ask("DELETE", strings.TrimPrefix(index, database), "", 200)
	if got := ask("GET", "/collectionGroups/-/indexes", "", 200); len(got) != 0 {
		t.Errorf("the indexes are %v after the last was deleted", got)
	}
	if got := ask("GET", "/operations", "", 200); fmt.Sprint(got["operations"]) == "[]" {
		t.Errorf("the operations are %v", got)
	}
}
