package main

import (
	"fmt"
	"math"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/transfer"
	"atoll/value"
)

// wireValues are values of every kind.
func wireValues(depth int) *rapid.Generator[value.Value] {
	scalar := rapid.OneOf(
		rapid.Just(value.Null()),
		rapid.Map(rapid.Bool(), value.Bool),
		rapid.Map(rapid.Int64(), value.Int),
		rapid.Map(rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN()), rapid.Just(math.Copysign(0, -1))), value.Double),
		rapid.Map(rapid.Int64Range(int64(atoll.MinTime), int64(atoll.MaxTime)), func(i int64) value.Value { return value.Timestamp(atoll.Time(i)) }),
		rapid.Map(rapid.StringN(0, 300, -1), value.String),
		rapid.Map(rapid.SliceOf(rapid.Byte()), value.Bytes),
		rapid.Just(value.Reference("projects/p/databases/d/documents/a/b")),
		rapid.Map(rapid.Float64Range(-90, 90), func(f float64) value.Value { return value.GeoPoint(f, 2*f) }),
		rapid.Map(rapid.SliceOf(rapid.Float64()), value.Vector),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(wireValues(depth-1), 0, 4), func(l []value.Value) value.Value { return value.Array(l...) }),
		rapid.Map(rapid.SliceOfN(wireValues(depth-1), 0, 4), func(l []value.Value) value.Value { return wireMapOf(l) }))
}

// wireMapOf names values in their order.
func wireMapOf(list []value.Value) value.Value {
	fields := make([]value.Field, len(list))
	for i, v := range list {
		fields[i] = value.Field{Name: fmt.Sprint("f", i), Value: v}
	}
	return value.Map(fields...)
}

// TestImportWire reads requests as a server does, and compares them with those
// that protobuf's own messages make.
func TestImportWire(t *testing.T) {
	c := &client{db: atoll.Database{Project: "p", ID: atoll.DefaultDatabase}}
	rapid.Check(t, func(t *rapid.T) {
		docs := make([]transfer.Document, rapid.IntRange(0, 4).Draw(t, "documents"))
		create := rapid.Bool().Draw(t, "create")
		want := &firestorepb.BatchWriteRequest{Database: c.db.String()}
		for i := range docs {
			fields := wireMapOf(rapid.SliceOfN(wireValues(2), 0, 4).Draw(t, "fields"))
			docs[i] = transfer.Document{Path: atoll.Path(fmt.Sprint("c/", i)), Fields: fields}
			w := &firestorepb.Write{Operation: &firestorepb.Write_Update{
				Update: &firestorepb.Document{Name: c.name(docs[i].Path), Fields: firestore.ToFields(fields)},
			}}
			if create {
				w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
			}
			want.Writes = append(want.Writes, w)
		}
		req, done := c.batchRequest(docs, create)
		defer done()
		sent, err := proto.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		got := new(firestorepb.BatchWriteRequest)
		if err := proto.Unmarshal(sent, got); err != nil || !proto.Equal(got, want) {
			t.Fatalf("%v: got %s\nwant %s", err, prototext.Format(got), prototext.Format(want))
		}
	})
}
