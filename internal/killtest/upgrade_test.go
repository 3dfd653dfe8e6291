package killtest

import (
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
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
	// earlierDir was left before documents were indexed.
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

// TestUpgrade opens a data directory that an earlier atoll left.
func TestUpgrade(t *testing.T) {
	ctx := within(t, time.Minute)
	if *writeFormat {
		if err := writeKept(ctx, t); err != nil {
			t.Fatal(err)
		}
	}
	dir := copyFormat(t, formatDir)
	addr := freeAddress(t)
	for range 2 { // as it was left, and as this atoll leaves it
		p, err := start(ctx, t, dir, addr)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range kept() {
			names = append(names, d.Name)
		}
		found, err := fetch(ctx, p.connection, append(names, deleted))
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
		listed, err := list(ctx, p.connection, "(default)", "names")
		if err != nil || len(listed) != 6 {
			t.Errorf("listed %q, %v; want the six documents of the collection", listed, err)
		}
		if err := write(ctx, p.connection); err != nil {
			t.Errorf("writing: %v", err)
		}
		if err := p.interrupt(ctx); err != nil {
			t.Fatal(err)
		}
	}
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

// TestEarlierFormat opens a data directory whose documents have no index
// entries: queries would miss them, so it is refused with the way forward.
func TestEarlierFormat(t *testing.T) {
	endsSaying(t, copyFormat(t, earlierDir), "format 1", "before documents were indexed", "into a new data directory")
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
