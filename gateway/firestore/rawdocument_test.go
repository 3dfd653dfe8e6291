package firestore

import (
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/proto"

	"atoll/value"
)

// readFields reads fields in wire format as a client does.
func readFields(fields []byte) (map[string]*firestorepb.Value, error) {
	var d firestorepb.Document
	err := proto.Unmarshal(fields, &d)
	return d.GetFields(), err
}

// FuzzStored feeds bytes that are no stored document, too: what is written all
// the same can be read, and is the document if there is one.
func FuzzStored(f *testing.F) {
	doc, _, err := toDocument("c/x", &firestorepb.Document{Fields: tenFields()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value.Encode(doc))
	f.Add(value.Encode(value.Map(value.Field{Name: "v", Value: value.Vector([]float64{1, 2})})))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, ok := AppendStored(nil, b)
		doc, err := value.DecodeDocument(b)
		if err != nil {
			return
		}
		got, err := readFields(raw)
		if want := (&firestorepb.Document{Fields: fromFields(doc)}); !ok || err != nil || !proto.Equal(&firestorepb.Document{Fields: got}, want) {
			t.Errorf("%x is written as %x, %v, %v", b, raw, ok, err)
		}
	})
}

func BenchmarkStoredDocument(b *testing.B) {
	doc, _, err := toDocument("posts/abcdefghij", &firestorepb.Document{Fields: tenFields()})
	if err != nil {
		b.Fatal(err)
	}
	raw := value.Encode(doc)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := AppendStored(nil, raw); !ok {
			b.Fatal("not written")
		}
	}
}
