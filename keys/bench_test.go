package keys

import (
	"testing"

	"atoll"
	"atoll/value"
)

const benchPath atoll.Path = "users/jeff/posts/0a1b2c3d4e5f6a7b8c9d"

func BenchmarkDocKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DocKey(Ordered, benchPath)
	}
}

func BenchmarkParseDocKey(b *testing.B) {
	key := DocKey(Ordered, benchPath)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDocKey(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	key := Version(1, DocKey(Ordered, benchPath), 5)
	b.ReportAllocs()
	for b.Loop() {
		Split(key)
	}
}

func BenchmarkAppendValue(b *testing.B) {
	for name, v := range map[string]value.Value{"int": value.Int(42), "string": value.String("the quick brown fox"), "reference": value.ReferenceTo(atoll.Database{Project: "p", ID: "d"}, benchPath)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = AppendValue(buf[:0], v)
			}
		})
	}
}

func BenchmarkParseValue(b *testing.B) {
	encoded := AppendValue(AppendValue(nil, value.String("the quick brown fox")), value.Int(42))
	b.ReportAllocs()
	for b.Loop() {
		_, rest, err := ParseValue(encoded)
		if err == nil {
			_, _, err = ParseValue(rest)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
