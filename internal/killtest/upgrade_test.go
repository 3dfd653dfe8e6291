package killtest

import (
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/genproto/googleapis/type/latlng"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/backup"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// writeFormat makes TestUpgrade write the data directory of today's format in
// place of the one in testdata:
//
//	go test ./internal/killtest -run TestUpgrade -write-format
//
// That is done once for a format, before the release that brings it; from then
// on the directory stays as it is, so that it stands for what people have.
var writeFormat = flag.Bool("write-format", false, "write the directory of today's format anew")

const (
	formatDir = "testdata/format-2"
	// earlierDir was left before documents were indexed. It has the same ones.
	earlierDir = "testdata/format-1"
)

// kept returns the documents in formatDir: every type of value, names
// that are hard to keep in order, two databases, a counter that was incremented.
func kept() []*firestorepb.Document {
	array := &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: []*firestorepb.Value{
		integer(1), {ValueType: &firestorepb.Value_StringValue{StringValue: "zwei"}}, {ValueType: &firestorepb.Value_NullValue{NullValue: structpb.NullValue_NULL_VALUE}},
	}}}}
	m := &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: map[string]*firestorepb.Value{"a.b": integer(-1), "": array}}}}
	every := map[string]*firestorepb.Value{
		"null": {ValueType: &firestorepb.Value_NullValue{}}, "bool": {ValueType: &firestorepb.Value_BooleanValue{BooleanValue: true}},
		"int": integer(-1 << 63), "double": {ValueType: &firestorepb.Value_DoubleValue{DoubleValue: -0.1}},
		"time":  {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: &timestamppb.Timestamp{Seconds: -1, Nanos: 999999000}}},
		"bytes": {ValueType: &firestorepb.Value_BytesValue{BytesValue: []byte{0, 1, 255}}}, "text": {ValueType: &firestorepb.Value_StringValue{StringValue: "grüße 🪸"}},
		"ref":   {ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: documentName("(default)", "types/other")}},
		"place": {ValueType: &firestorepb.Value_GeoPointValue{GeoPointValue: &latlng.LatLng{Latitude: 47.5, Longitude: -122.25}}},
		"array": array, "map": m,
	}
	docs := []*firestorepb.Document{
		{Name: documentName("(default)", "types/every"), Fields: every},
		{Name: documentName("(default)", "types/empty")},
		{Name: documentName("(default)", "counters/c"), Fields: map[string]*firestorepb.Value{"n": integer(30)}},
		{Name: documentName("second", "types/every"), Fields: every},
	}
	for _, id := range []string{"a", "b", "__id7__", "__id-7__", "ü", "a/below/x", "a b"} {
		docs = append(docs, &firestorepb.Document{Name: documentName("(default)", "names/"+id), Fields: map[string]*firestorepb.Value{"id": {ValueType: &firestorepb.Value_StringValue{StringValue: id}}}})
	}
	return docs
}

// deleted is the name of a document that was there once.
var deleted = documentName("(default)", "names/deleted")

func integer(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

// TestUpgrade opens data directories that earlier atolls left: documents, queries
// and reads of the past are as they were, writes go on, and all is whole.
func TestUpgrade(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	if *writeFormat {
		if err := writeKept(ctx, t); err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range []string{earlierDir, formatDir} {
		t.Run(filepath.Base(format), func(t *testing.T) {
			dir := copyFormat(t, format)
			checkPast(ctx, t, dir)
			dir = copyFormat(t, format) // that node has the retention of this one
			addr := freeAddress(t)
			for range 2 { // as it was left, and as this atoll leaves it
				p, err := start(ctx, t, dir, addr)
				if err != nil {
					t.Fatal(err)
				}
				checkKept(ctx, t, p.connection)
				if err := write(ctx, p.connection); err != nil {
					t.Errorf("writing: %v", err)
				}
				if err := p.interrupt(ctx); err != nil {
					t.Fatal(err)
				}
				verify(t, dir)
			}
			checkBackup(ctx, t, dir)
		})
	}
}

// checkKept wants the documents of kept, and no others.
func checkKept(ctx context.Context, t *testing.T, c *connection) {
	t.Helper()
	var names []string
	for _, d := range kept() {
		names = append(names, d.Name)
	}
	found, err := fetch(ctx, c, append(names, deleted))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range kept() {
		got := found[d.Name]
		if got == nil {
			t.Errorf("%s is gone", d.Name)
			continue
		}
		if !proto.Equal(&firestorepb.Document{Fields: got.Fields}, &firestorepb.Document{Fields: d.Fields}) {
			t.Errorf("%s: got %v, want %v", d.Name, got.Fields, d.Fields)
		}
		delete(found, d.Name)
	}
	if len(found) > 0 {
		t.Errorf("there are documents that were deleted: %v", found)
	}
	listed, err := list(ctx, c, "(default)", "names")
	if err != nil || len(listed) != 6 {
		t.Errorf("listed %q, %v; want the six documents of the collection", listed, err)
	}
	checkQueries(ctx, t, c)
}

// checkQueries asks for each value of each field of the kept documents, for the
// elements of arrays and the fields of maps, and for the order by each field. The
// answers are held against all documents, looked at one by one.
func checkQueries(ctx context.Context, t *testing.T, c *connection) {
	t.Helper()
	for _, d := range kept() {
		for name, v := range d.Fields {
			field := func(of *firestorepb.Document) *firestorepb.Value { return of.Fields[name] }
			matching(ctx, t, c, d, where(name, firestorepb.StructuredQuery_FieldFilter_EQUAL, v), func(of *firestorepb.Document) bool { return proto.Equal(field(of), v) })
			matching(ctx, t, c, d, &firestorepb.StructuredQuery{OrderBy: []*firestorepb.StructuredQuery_Order{{Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: name}}}},
				func(of *firestorepb.Document) bool { return field(of) != nil })
			for _, elem := range v.GetArrayValue().GetValues() {
				matching(ctx, t, c, d, where(name, firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, elem), func(of *firestorepb.Document) bool {
					return slices.ContainsFunc(field(of).GetArrayValue().GetValues(), func(have *firestorepb.Value) bool { return proto.Equal(have, elem) })
				})
			}
			for below, v := range v.GetMapValue().GetFields() {
				if below == "" {
					continue // has no name in queries
				}
				matching(ctx, t, c, d, where(name+".`"+below+"`", firestorepb.StructuredQuery_FieldFilter_EQUAL, v), func(of *firestorepb.Document) bool {
					return proto.Equal(field(of).GetMapValue().GetFields()[below], v)
				})
			}
		}
	}
}

// where returns a query by one field. Null has a filter of its own.
func where(field string, op firestorepb.StructuredQuery_FieldFilter_Operator, v *firestorepb.Value) *firestorepb.StructuredQuery {
	f := &firestorepb.StructuredQuery_FieldReference{FieldPath: field}
	filter := &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: f, Op: op, Value: v}}}
	if _, null := v.ValueType.(*firestorepb.Value_NullValue); null && op == firestorepb.StructuredQuery_FieldFilter_EQUAL {
		filter.FilterType = &firestorepb.StructuredQuery_Filter_UnaryFilter{UnaryFilter: &firestorepb.StructuredQuery_UnaryFilter{
			Op: firestorepb.StructuredQuery_UnaryFilter_IS_NULL, OperandType: &firestorepb.StructuredQuery_UnaryFilter_Field{Field: f},
		}}
	}
	return &firestorepb.StructuredQuery{Where: filter}
}

// matching runs a query over the collection of a document, and wants it to find
// the kept documents there that match.
func matching(ctx context.Context, t *testing.T, c *connection, of *firestorepb.Document, q *firestorepb.StructuredQuery, match func(*firestorepb.Document) bool) {
	t.Helper()
	parent, collection := parentOf(of.Name)
	q.From = []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: collection}}
	var want []string
	for _, d := range kept() {
		if p, id := parentOf(d.Name); p == parent && id == collection && match(d) {
			want = append(want, d.Name)
		}
	}
	stream, err := firestorepb.NewFirestoreClient(c).RunQuery(ctx, &firestorepb.RunQueryRequest{Parent: parent, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v: %v", q, err)
		}
		if r.Document != nil {
			got = append(got, r.Document.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%v finds %q, want %q", q, got, want)
	}
}

// parentOf returns what a document's collection is below, and the collection's id.
func parentOf(name string) (parent, collection string) {
	collections := name[:strings.LastIndexByte(name, '/')]
	at := strings.LastIndexByte(collections, '/')
	return collections[:at], collections[at+1:]
}

// checkPast opens a directory with a retention that keeps all versions, and reads
// the counter at the time of each: by its name, and by a query for its value.
func checkPast(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	h, err := host.Start(host.Options{Dir: dir, Retention: host.Retention{Versions: 100 * 365 * 24 * time.Hour, Latest: 100 * 365 * 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	db := atoll.Database{Project: project, ID: atoll.DefaultDatabase}
	who := route.Caller{Principal: atoll.Anonymous}
	at := atoll.Time(0)
	for n := int64(30); n > 0; n-- {
		got, err := h.Router.Get(ctx, db, []atoll.Path{"counters/c"}, at, who)
		if err != nil || len(got.Documents) != 1 || got.Documents[0].Revision != uint64(n) {
			t.Fatalf("the counter at %s: %+v, %v; want revision %d", at, got, err, n)
		}
		at = got.Documents[0].Updated
		for value, want := range map[int64]int{n: 1, n - 1: 0, n + 1: 0} {
			if found := counters(ctx, t, h, db, at, value); found != want {
				t.Errorf("at %s a query for n == %d finds %d counters, want %d", at, value, found, want)
			}
		}
		at--
	}
	if found := counters(ctx, t, h, db, at, 1); found != 0 {
		t.Errorf("before the counter there were %d", found)
	}
}

// counters asks how many counters had a value at a time.
func counters(ctx context.Context, t *testing.T, h *host.Host, db atoll.Database, at atoll.Time, n int64) (found int) {
	t.Helper()
	q := query.Query{Collection: "counters", Where: &query.Filter{Op: query.Equal, Field: "n", Value: value.EncodeValue(value.Int(n))}}
	count := func(atoll.Time, *shard.Found) error { found++; return nil }
	if _, err := h.Router.Query(ctx, db, q, route.QueryOptions{At: at}, route.Caller{Principal: atoll.Anonymous}, count); err != nil {
		t.Fatal(err)
	}
	return found
}

// verify has the command check everything in a directory.
func verify(t *testing.T, dir string) {
	t.Helper()
	bin, err := command()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "dump", "verify", "--data", dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "subnet 0 is whole") {
		t.Errorf("dump verify: %v, %s", err, out)
	}
}

// checkBackup makes a backup of a directory, an incremental one behind it, and
// restores both.
func checkBackup(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	h, err := host.Start(host.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	folder, restored := t.TempDir(), filepath.Join(t.TempDir(), "restored")
	for n := range 2 {
		db := atoll.Database{Project: project, ID: atoll.DefaultDatabase}
		w := shard.Write{Op: shard.OpSet, Path: "probe/y", Doc: value.AppendDocument(nil, value.Map(value.Field{Name: "n", Value: value.Int(int64(n))}))}
		if _, err := h.Router.Commit(ctx, db, []shard.Write{w}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Backup(ctx, folder, false, func(backup.Progress) {}); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := command()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "restore", folder, "--data", restored).CombinedOutput(); err != nil {
		t.Fatalf("restore: %v, %s", err, out)
	}
	verify(t, restored)
}

// TestDowngrade opens a data directory of a later atoll: it is left alone, and
// the user is told what to use.
func TestDowngrade(t *testing.T) {
	dir := copyFormat(t, formatDir)
	line := "atoll store format 99, read by atoll 7.5 and newer"
	crc := crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli))
	if err := os.WriteFile(filepath.Join(dir, "subnet-0", "FORMAT"), fmt.Appendf(nil, "%s, crc %08x\n", line, crc), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := readTree(vfs.Default, dir)
	if err != nil {
		t.Fatal(err)
	}
	endsSaying(t, dir, "format 99", "use atoll 7.5 or newer")
	after, err := readTree(vfs.Default, dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range before {
		if string(after[name]) != string(b) {
			t.Errorf("%s was changed", name)
		}
	}
}

// endsSaying launches the command on a directory and wants it to end, saying so.
func endsSaying(t *testing.T, dir string, says ...string) {
	t.Helper()
	p := launch(t, dir, freeAddress(t))
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("it runs on a format that it cannot read")
	}
	for _, what := range says {
		if p.err == nil || !strings.Contains(p.log.String(), what) {
			t.Errorf("it ended with %v and said %q, without %q", p.err, p.log, what)
		}
	}
}

// copyFormat copies a kept directory, so that it stays as it is.
func copyFormat(t testing.TB, kept string) string {
	t.Helper()
	files, err := readTree(vfs.Default, kept)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := files.write(vfs.Default, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeKept has the command write the documents, over several runs of which the
// last is killed, so that there are tables as well as a log.
func writeKept(ctx context.Context, t testing.TB) error {
	dir := t.TempDir()
	addr := freeAddress(t)
	docs := kept()
	counter := docs[2]
	docs = slices.Concat(docs[:2], docs[3:])
	for i, part := range [][]*firestorepb.Document{docs[:2], docs[2:5], docs[5:]} {
		p, err := start(ctx, t, dir, addr)
		if err != nil {
			return err
		}
		client := firestorepb.NewFirestoreClient(p.connection)
		for _, d := range part {
			if _, err := client.UpdateDocument(ctx, &firestorepb.UpdateDocumentRequest{Document: d}); err != nil {
				return err
			}
		}
		if err := increment(ctx, client, counter.Name, 10); err != nil {
			return err
		}
		if i == 0 {
			if _, err := client.UpdateDocument(ctx, &firestorepb.UpdateDocumentRequest{Document: &firestorepb.Document{Name: deleted}}); err != nil {
				return err
			}
		}
		if i == 1 {
			if _, err := client.DeleteDocument(ctx, &firestorepb.DeleteDocumentRequest{Name: deleted}); err != nil {
				return err
			}
		}
		if i == 2 {
			p.kill()
		} else if err := p.interrupt(ctx); err != nil {
			return err
		}
	}
	files, err := readTree(vfs.Default, dir)
	if err != nil {
		return err
	}
	delete(files, "admin.token") // a secret, and made anew
	if err := os.RemoveAll(formatDir); err != nil {
		return err
	}
	return files.write(vfs.Default, formatDir)
}

// increment adds one to a counter n times.
func increment(ctx context.Context, client firestorepb.FirestoreClient, name string, n int) error {
	for range n {
		req := &firestorepb.CommitRequest{Database: databaseOf(name), Writes: []*firestorepb.Write{incrementBy1(name)}}
		if _, err := client.Commit(ctx, req); err != nil {
			return err
		}
	}
	return nil
}
