package value

import (
	"math"
	"slices"
	"strings"

	"atoll"
)

// Kind is the type of a value. Kinds are numbered in Firestore's order of
// types, save that KindInt and KindDouble are one type there: numbers.
type Kind uint8

// The kinds. Their numbers are not stored.
const (
	KindNull Kind = iota
	KindBool
	KindInt
	KindDouble
	KindTimestamp
	KindString
	KindBytes
	KindReference
	KindGeoPoint
	KindArray
	KindVector
	KindMap
)

var kindNames = [...]string{"null", "boolean", "integer", "double", "timestamp", "string",
	"bytes", "reference", "geopoint", "array", "vector", "map"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown kind"
}

// Value is one immutable value. The zero Value is Firestore's null. An
// accessor that does not fit the kind returns the zero of its type.
//
// Values must not be compared with ==; Equal and Identical do that.
type Value struct {
	kind Kind
	num  uint64 // boolean, integer, timestamp; the bits of a double
	str  string // string, bytes, reference
	tree *tree  // geopoint, array, vector, map
}

// tree holds what does not fit in a Value. Exactly one of its fields is used,
// and nothing in it changes once the Value exists.
type tree struct {
	elems  []Value   // array
	fields []Field   // map: in ascending order of names, which are unique
	floats []float64 // vector; geopoint: latitude, longitude
}

// Field is one entry of a map.
type Field struct {
	Name  string
	Value Value
}

// canonicalNaN is the one NaN that is stored. Processors differ in the sign
// and payload of the NaN that they compute.
const canonicalNaN = 0x7FF8000000000000

func floatBits(f float64) uint64 {
	if math.IsNaN(f) {
		return canonicalNaN
	}
	return math.Float64bits(f)
}

// Null returns Firestore's null, the zero Value.
func Null() Value { return Value{} }

// Bool returns a boolean.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Int returns a 64-bit integer.
func Int(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// Double returns a double. All NaNs become the same one; -0 stays -0.
func Double(f float64) Value { return Value{kind: KindDouble, num: floatBits(f)} }

// Timestamp returns a point in time, in microseconds since the Unix epoch.
func Timestamp(t atoll.Time) Value { return Value{kind: KindTimestamp, num: uint64(t)} }

// String returns a text. CheckDocument refuses one that is not UTF-8.
func String(s string) Value { return Value{kind: KindString, str: s} }

// Bytes returns a copy of b as a value.
func Bytes(b []byte) Value { return Value{kind: KindBytes, str: string(b)} }

// Reference returns a reference to a document by its full resource name
// projects/P/databases/D/documents/PATH. CheckDocument refuses another form.
func Reference(name string) Value { return Value{kind: KindReference, str: name} }

// ReferenceTo returns a reference to the document at p.
func ReferenceTo(db atoll.Database, p atoll.Path) Value {
	return Reference(db.String() + "/documents/" + string(p))
}

// GeoPoint returns a place on Earth, in degrees. CheckDocument refuses a
// latitude outside -90 to 90 and a longitude outside -180 to 180.
func GeoPoint(latitude, longitude float64) Value {
	return Value{kind: KindGeoPoint, tree: &tree{floats: []float64{canonical(latitude), canonical(longitude)}}}
}

// Array returns a list of values. The caller gives elems away.
func Array(elems ...Value) Value { return Value{kind: KindArray, tree: &tree{elems: elems}} }

// Vector returns a copy of a vector embedding. All NaNs become the same one.
func Vector(components []float64) Value {
	c := make([]float64, len(components))
	for i, f := range components {
		c[i] = canonical(f)
	}
	return Value{kind: KindVector, tree: &tree{floats: c}}
}

// Map returns a map. The caller gives fields away; they may be in any order,
// and of fields with the same name the last one wins.
func Map(fields ...Field) Value {
	byName := func(a, b Field) int { return strings.Compare(a.Name, b.Name) }
	for i := 1; i < len(fields); i++ {
		if fields[i-1].Name >= fields[i].Name {
			slices.SortStableFunc(fields, byName)
			fields = lastOfEach(fields)
			break
		}
	}
	return sortedMap(fields)
}

// lastOfEach keeps the last of each run of fields with one name.
func lastOfEach(fields []Field) []Field {
	out := fields[:0]
	for i, f := range fields {
		if i+1 == len(fields) || fields[i+1].Name != f.Name {
			out = append(out, f)
		}
	}
	return out
}

// sortedMap returns a map of fields that are in order and unique already.
func sortedMap(fields []Field) Value { return Value{kind: KindMap, tree: &tree{fields: fields}} }

func canonical(f float64) float64 { return math.Float64frombits(floatBits(f)) }

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// IsNumber reports whether v is an integer or a double.
func (v Value) IsNumber() bool { return v.kind == KindInt || v.kind == KindDouble }

// IsNaN reports whether v is the double NaN.
func (v Value) IsNaN() bool { return v.kind == KindDouble && v.num == canonicalNaN }

// Bool returns a boolean's value.
func (v Value) Bool() bool { return v.kind == KindBool && v.num != 0 }

// Int returns an integer's value; a double has none.
func (v Value) Int() int64 {
	if v.kind != KindInt {
		return 0
	}
	return int64(v.num)
}

// Double returns a double's value; an integer has none.
func (v Value) Double() float64 {
	if v.kind != KindDouble {
		return 0
	}
	return math.Float64frombits(v.num)
}

// Time returns a timestamp's value in microseconds since the Unix epoch.
func (v Value) Time() atoll.Time {
	if v.kind != KindTimestamp {
		return 0
	}
	return atoll.Time(v.num)
}

// Str returns, without a copy, the text of a string, the contents of bytes, or
// the full resource name of a reference.
func (v Value) Str() string { return v.str }

// Bytes returns a copy of the contents of bytes.
func (v Value) Bytes() []byte {
	if v.kind != KindBytes {
		return nil
	}
	return []byte(v.str)
}

// GeoPoint returns a geopoint's place in degrees.
func (v Value) GeoPoint() (latitude, longitude float64) {
	if v.kind != KindGeoPoint {
		return 0, 0
	}
	return v.tree.floats[0], v.tree.floats[1]
}

// Len returns the number of an array's elements, a vector's components, or a
// map's fields.
func (v Value) Len() int {
	switch v.kind {
	case KindArray:
		return len(v.tree.elems)
	case KindVector:
		return len(v.tree.floats)
	case KindMap:
		return len(v.tree.fields)
	}
	return 0
}

// Elem returns the i-th element of an array, 0 <= i < Len.
func (v Value) Elem(i int) Value { return v.elems()[i] }

// Component returns the i-th component of a vector, 0 <= i < Len.
func (v Value) Component(i int) float64 { return v.floats()[i] }

// Vector returns a copy of a vector's components.
func (v Value) Vector() []float64 {
	if v.kind != KindVector {
		return nil
	}
	return slices.Clone(v.tree.floats)
}

// Field returns the i-th field of a map in the order of names, 0 <= i < Len.
func (v Value) Field(i int) Field { return v.fields()[i] }

// Get returns the value of a map's field; ok is false if there is none.
func (v Value) Get(name string) (f Value, ok bool) {
	fields := v.fields()
	i, ok := findField(fields, name)
	if !ok {
		return Value{}, false
	}
	return fields[i].Value, true
}

// Lookup follows a path through maps; ok is false if it leads nowhere.
func (v Value) Lookup(path FieldPath) (f Value, ok bool) {
	for _, name := range path {
		if v, ok = v.Get(name); !ok {
			return Value{}, false
		}
	}
	return v, true
}

func findField(fields []Field, name string) (i int, found bool) {
	return slices.BinarySearchFunc(fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
}

func (v Value) elems() []Value {
	if v.kind != KindArray {
		return nil
	}
	return v.tree.elems
}

func (v Value) fields() []Field {
	if v.kind != KindMap {
		return nil
	}
	return v.tree.fields
}

func (v Value) floats() []float64 {
	if v.kind != KindVector && v.kind != KindGeoPoint {
		return nil
	}
	return v.tree.floats
}
