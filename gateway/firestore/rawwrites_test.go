package firestore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"atoll"
)

// viaCodec decodes a request as the server does.
func viaCodec(b []byte) (*firestorepb.CommitRequest, error) {
	var req firestorepb.CommitRequest
	err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(slices.Clone(b))}, &req)
	return &req, err
}

// outcome says what becomes of a request's writes.
func outcome(req *firestorepb.CommitRequest, err error) string {
	if err != nil {
		return "malformed"
	}
	s := ""
	for _, w := range req.GetWrites() {
		out, err := toWrite(dev, w)
		if err != nil && out.Path == "" {
			s += "refused: " + fmt.Sprint(err) + "\n"
			continue
		}
		s += fmt.Sprintf("%d %s %x %v %v %v\n", out.Op, out.Path, out.Doc, out.Mask, out.HasMask, err)
	}
	return s
}

// sameOutcome fails if the codec makes something else of a request than
// protobuf does. What is malformed may be found out later, with a better error.
func sameOutcome(t interface{ Fatalf(string, ...any) }, b []byte) {
	var plain firestorepb.CommitRequest
	err := proto.Unmarshal(b, &plain)
	for _, w := range plain.GetWrites() {
		if d := w.GetUpdate(); d != nil {
			d.ProtoReflect().SetUnknown(nil) // which mean nothing
		}
	}
	want := outcome(&plain, err)
	if got := outcome(viaCodec(b)); got != want && !(err != nil && strings.Contains(got, "invalid argument")) {
		t.Fatalf("of %x\nthe codec makes %s\nand protobuf %s", b, got, want)
	}
}

func commitOf(fields pbFields) *firestorepb.CommitRequest {
	return &firestorepb.CommitRequest{Database: dev.String(), Writes: []*firestorepb.Write{
		{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: devRoot + "/c/x", Fields: fields}}},
	}}
}

func TestWritesAreKeptAsTheyCame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := commitOf(genFields(4).Draw(t, "fields"))
		b, err := proto.Marshal(req)
		if err != nil {
			t.Skip() // no UTF-8
		}
		sameOutcome(t, b)
		// Whatever comes twice, or where nobody expects it, means the same as
		// to protobuf.
		again, _ := proto.Marshal(commitOf(genFields(2).Draw(t, "others")).Writes[0])
		twice := slices.Clone(b)
		twice = protowire.AppendTag(twice, requestWrites, protowire.BytesType)
		first, _ := proto.Marshal(req.Writes[0])
		sameOutcome(t, protowire.AppendBytes(twice, append(first, again...)))
	})
	req, err := viaCodec(encoded(commitOf(tenFields())))
	if err != nil || len(req.Writes[0].GetUpdate().GetFields()) != 0 {
		t.Error("the fields became a map of messages", err)
	}
}

// TestKeptFieldsOfStrangers sends the numbers that the codec uses for its own
// ends: they mean nothing, as every unknown field.
func TestKeptFieldsOfStrangers(t *testing.T) {
	entry := encoded(&firestorepb.MapValue{Fields: pbFields{"a": {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: 1}}}})
	for _, number := range []protowire.Number{keptFields, strayFields, 4000} {
		doc := encoded(&firestorepb.Document{Name: devRoot + "/c/x"})
		held, _ := protowire.ConsumeBytes(entry[1:])
		doc = protowire.AppendBytes(protowire.AppendTag(doc, number, protowire.BytesType), held)
		write := protowire.AppendBytes(protowire.AppendTag(nil, writeUpdate, protowire.BytesType), doc)
		sameOutcome(t, protowire.AppendBytes(protowire.AppendTag(nil, requestWrites, protowire.BytesType), write))
	}
}

func FuzzWrites(f *testing.F) {
	f.Add(encoded(commitOf(tenFields())))
	f.Add(encoded(commitOf(pbFields{"v": {ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: pbFields{
		vectorTypeField:  {ValueType: &firestorepb.Value_StringValue{StringValue: vectorType}},
		vectorValueField: {ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{}}},
	}}}}})))
	f.Fuzz(func(t *testing.T, b []byte) { sameOutcome(t, b) })
}

// BenchmarkCommitRequest decodes a request to create a document of ten fields.
func BenchmarkCommitRequest(b *testing.B) {
	raw := encoded(commitOf(tenFields()))
	for name, decode := range map[string]func() (*firestorepb.CommitRequest, error){
		"kept": func() (*firestorepb.CommitRequest, error) { return viaCodec(raw) },
		"tree": func() (*firestorepb.CommitRequest, error) {
			var req firestorepb.CommitRequest
			return &req, proto.Unmarshal(raw, &req)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, err := decode()
				if err != nil {
					b.Fatal(err)
				}
				if w, err := toWrite(dev, req.Writes[0]); err != nil || w.Path != atoll.Path("c/x") {
					b.Fatal(w, err)
				}
			}
		})
	}
}

// encoded returns a message that can be encoded.
func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
