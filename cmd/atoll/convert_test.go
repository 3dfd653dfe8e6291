package main

import (
	"math"
	"testing"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/value"
)

// TestConvert sends every type through Firestore's protocol and back.
func TestConvert(t *testing.T) {
	db := atoll.Database{Project: "p", ID: atoll.DefaultDatabase}
	var fields []value.Field
	for i, v := range []value.Value{
		value.Null(), value.Bool(true), value.Int(math.MinInt64), value.Double(1), value.Double(math.NaN()), value.Double(math.Copysign(0, -1)),
		value.Timestamp(atoll.MinTime), value.Timestamp(-1), value.Timestamp(atoll.MaxTime), value.String("é"), value.String(""),
		value.Bytes([]byte{0, 255}), value.ReferenceTo(db, "c/d"), value.GeoPoint(-90, 180), value.Array(), value.Array(value.Int(1), value.Map()),
		value.Vector(nil), value.Vector([]float64{1, math.Inf(-1)}), value.Map(value.Field{Name: "a.b", Value: value.Map()}),
	} {
		fields = append(fields, value.Field{Name: string(rune('a' + i)), Value: v})
	}
	doc := value.Map(fields...)
	if got, err := firestore.FromFields(firestore.ToFields(doc)); err != nil || !value.Identical(got, doc) {
		t.Errorf("got %v, %v\nwant %v", got, err, doc)
	}
}

// TestLeaves names the fields that --merge changes.
func TestLeaves(t *testing.T) {
	doc := value.Map(
		value.Field{Name: "a", Value: value.Int(1)},
		value.Field{Name: "m", Value: value.Map(
			value.Field{Name: "x.y", Value: value.Int(1)},
			value.Field{Name: "z", Value: value.Map(value.Field{Name: "q", Value: value.Null()}, value.Field{Name: "r", Value: value.Map()})},
		)},
		value.Field{Name: "n", Value: value.Array(value.Map(value.Field{Name: "k", Value: value.Null()}))},
	)
	got := leaves(nil, nil, doc)
	want := []string{"a", "m.`x.y`", "m.z.q", "m.z.r", "n"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"0B": 0, "1kB": 1000, "512MiB": 512 << 20, "2 GiB": 2 << 30, "4611686018427387904B": 1 << 62} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "MiB", "-1MiB", "1.5GiB", "5 miles", "99999999TiB", "1e3B"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
