package firestore

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll/value"
)

// TestStoredDocumentsAreWrittenAsTrees compares what is made of the stored form
// of a document with what is made of its values.
func TestStoredDocumentsAreWrittenAsTrees(t *testing.T) {
	direct := 0
	rapid.Check(t, func(t *rapid.T) {
		doc, _, err := toDocument("c/x", &firestorepb.Document{Fields: genFields(4).Draw(t, "fields")})
		if err != nil {
			t.Skip()
		}
		got, ok := fromStored(value.Encode(doc))
		if !ok {
			return
		}
		direct++
		if want := appendFields(nil, documentFields, doc); !bytes.Equal(got, want) {
			t.Fatalf("%v\nis written as %x\nand as a tree as %x", doc, got, want)
		}
	})
	if direct < 10 {
		t.Errorf("only %d documents were written without a tree", direct)
	}
	if _, ok := fromStored(value.Encode(value.Map(value.Field{Name: "v", Value: value.Vector([]float64{1})}))); ok {
		t.Error("a vector is more than its components")
	}
}

// FuzzStored feeds bytes that are no stored document, too: what is written all
// the same is what the tree gives, if there is one.
func FuzzStored(f *testing.F) {
	doc, _, err := toDocument("c/x", &firestorepb.Document{Fields: tenFields()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value.Encode(doc))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := fromStored(b)
		doc, err := value.DecodeDocument(b)
		if ok && err == nil && !bytes.Equal(got, appendFields(nil, documentFields, doc)) {
			t.Errorf("%x is written as %x", b, got)
		}
	})
}

func BenchmarkStoredDocument(b *testing.B) {
	doc, _, err := toDocument("posts/abcdefghij", &firestorepb.Document{Fields: tenFields()})
	if err != nil {
		b.Fatal(err)
	}
	raw := value.Encode(doc)
	b.Run("direct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := fromStored(raw); !ok {
				b.Fatal("not written")
			}
		}
	})
	b.Run("tree", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			doc, err := value.DecodeDocument(raw)
			if err != nil {
				b.Fatal(err)
			}
			appendFields(make([]byte, 0, sizeFields(documentFields, doc)), documentFields, doc)
		}
	})
}
