package value

import "testing"

// tenFields is a document as applications write them.
var tenFields = Map(
	field("active", Bool(true)),
	field("author", ref("users/jeff")),
	field("body", String("The quick brown fox jumps over the lazy dog, and then does it again.")),
	field("created", Timestamp(1_700_000_000_000_000)),
	field("likes", Int(42)),
	field("place", Map(field("city", String("Zürich")), field("country", String("CH")))),
	field("score", Double(0.75)),
	field("tags", Array(String("go"), String("fox"))),
	field("title", String("Hello")),
	field("updated", Timestamp(1_700_000_000_000_001)),
)

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Encode(tenFields)
	}
}

func BenchmarkAppendDocument(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendDocument(buf[:0], tenFields)
	}
}

func BenchmarkDecode(b *testing.B) {
	stored := Encode(tenFields)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeDocument(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	stored := Doc(Encode(tenFields))
	for name, path := range map[string]FieldPath{"int": {"likes"}, "nested": {"place", "country"}, "last": {"updated"}, "absent": {"b"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := stored.Lookup(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompare(b *testing.B) {
	other := SetPath(tenFields, FieldPath{"updated"}, Timestamp(0))
	for name, pair := range map[string][2]Value{"documents": {tenFields, other}, "ints": {Int(1), Int(2)}, "mixed": {Int(1), Double(1.5)},
		"strings": {String("hello world"), String("hello worms")}, "references": {ref("users/jeff"), ref("users/jess")}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compare(pair[0], pair[1])
			}
		})
	}
}

func BenchmarkCheckDocument(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckDocument("posts/hello", tenFields); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyMask(b *testing.B) {
	doc := Map(field("likes", Int(43)), field("place", Map(field("city", String("Bern")))))
	paths := []FieldPath{{"likes"}, {"place", "city"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ApplyMask(tenFields, doc, paths); err != nil {
			b.Fatal(err)
		}
	}
}
