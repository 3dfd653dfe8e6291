package value

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"
)

func TestStoredFormRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := documents().Draw(t, "doc")
		b := Encode(doc)
		if len(b) != containerLen(doc) {
			t.Fatalf("containerLen says %d, the form has %d bytes", containerLen(doc), len(b))
		}
		if err := bson.Raw(b).Validate(); err != nil {
			t.Fatalf("the form is not BSON: %v", err)
		}
		back, err := DecodeDocument(b)
		if err != nil || !Identical(doc, back) {
			t.Fatalf("%v came back as %v, %v", doc, back, err)
		}
		if err := Validate(b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestValueRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "v")
		b := EncodeValue(v)
		back, err := DecodeValue(b)
		if err != nil || !Identical(v, back) || cap(b) != len(b) {
			t.Fatalf("%v came back as %v, %v", v, back, err)
		}
	})
}
