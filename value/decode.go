package value

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"atoll"
)

// DecodeDocument reads the stored form of a document. It accepts what
// AppendDocument writes for documents within the depth limit and nothing else,
// so that encoding the result gives the same bytes. It fails with Invalid and
// does not keep b.
func DecodeDocument(b []byte) (Value, error) {
	d := decoder{b: b, s: string(b)}
	doc, next, err := d.container(0, len(b), 0, KindMap)
	if err != nil {
		return Value{}, err
	}
	if next != len(b) {
		return Value{}, d.fail(next, "has bytes behind its end")
	}
	return doc, nil
}

// DecodeValue reads what EncodeValue writes. It fails with Invalid and does not
// keep b.
func DecodeValue(b []byte) (Value, error) {
	d := decoder{b: b, s: string(b)}
	if len(b) == 0 {
		return Value{}, d.fail(0, "is empty")
	}
	t := bsoncore.Type(b[0])
	n, ok := bodySize(t, b, 1, len(b))
	if !ok || 1+n != len(b) {
		return Value{}, d.fail(0, "has an unknown type or a wrong length")
	}
	return d.value(t, span{1, len(b)}, 1)
}

// Validate fails with Invalid if b is not the stored form of a document:
// sorted unique names, known types and subtypes, UTF-8, at most MaxDepth
// levels. It does not check the limits that CheckDocument does.
func Validate(b []byte) error {
	_, err := DecodeDocument(b)
	return err
}

// decoder reads values from b; s holds the same bytes, and the strings of all
// values are parts of it.
type decoder struct {
	b []byte
	s string
}

func (d *decoder) fail(at int, what string) error {
	return atoll.Errorf(atoll.Invalid, "a stored value %s at byte %d of %d", what, at, len(d.b))
}

// value reads the BSON value of a type in body, inside depth containers
// (the document included).
func (d *decoder) value(t bsoncore.Type, body span, depth int) (Value, error) {
	switch t {
	case bsoncore.TypeNull:
		return Value{}, nil
	case bsoncore.TypeBoolean:
		if d.b[body.lo] > 1 {
			return Value{}, d.fail(body.lo, "is neither true nor false")
		}
		return Value{kind: KindBool, num: uint64(d.b[body.lo])}, nil
	case bsoncore.TypeInt64:
		return Value{kind: KindInt, num: binary.LittleEndian.Uint64(d.b[body.lo:])}, nil
	case bsoncore.TypeDouble:
		bits := binary.LittleEndian.Uint64(d.b[body.lo:])
		if _, ok := fromBits(bits); !ok {
			return Value{}, d.fail(body.lo, "is a NaN other than the canonical one")
		}
		return Value{kind: KindDouble, num: bits}, nil
	case bsoncore.TypeString:
		s := d.s[body.lo+4 : body.hi-1]
		if d.b[body.hi-1] != 0 || !utf8.ValidString(s) {
			return Value{}, d.fail(body.lo, "is a string that is not UTF-8 or lacks its end")
		}
		return Value{kind: KindString, str: s}, nil
	case bsoncore.TypeBinary:
		return d.binary(d.b[body.lo+4], span{body.lo + 5, body.hi})
	}
	kind := KindMap
	if t == bsoncore.TypeArray {
		kind = KindArray
	}
	v, next, err := d.container(body.lo, body.hi, depth, kind)
	if err == nil && next != body.hi {
		err = d.fail(next, "has bytes behind its end")
	}
	return v, err
}

func (d *decoder) binary(subtype byte, data span) (Value, error) {
	n := data.hi - data.lo
	switch subtype {
	case subtypeBytes:
		return Value{kind: KindBytes, str: d.s[data.lo:data.hi]}, nil
	case subtypeReference:
		name := d.s[data.lo:data.hi]
		if !utf8.ValidString(name) {
			return Value{}, d.fail(data.lo, "is a reference that is not UTF-8")
		}
		return Reference(name), nil
	case subtypeTimestamp:
		if n != 8 {
			return Value{}, d.fail(data.lo, "is a timestamp without 8 bytes")
		}
		return Value{kind: KindTimestamp, num: binary.LittleEndian.Uint64(d.b[data.lo:])}, nil
	case subtypeGeoPoint:
		if n != 16 {
			return Value{}, d.fail(data.lo, "is a geopoint without 16 bytes")
		}
		return d.floats(KindGeoPoint, data)
	case subtypeVector:
		if n%8 != 0 {
			return Value{}, d.fail(data.lo, "is a vector with a part of a component")
		}
		return d.floats(KindVector, data)
	}
	return Value{}, d.fail(data.lo, "has an unknown binary subtype")
}

func (d *decoder) floats(kind Kind, data span) (Value, error) {
	floats := make([]float64, (data.hi-data.lo)/8)
	for i := range floats {
		at := data.lo + 8*i
		f, ok := fromBits(binary.LittleEndian.Uint64(d.b[at:]))
		if !ok {
			return Value{}, d.fail(at, "is a NaN other than the canonical one")
		}
		floats[i] = f
	}
	return Value{kind: kind, tree: &tree{floats: floats}}, nil
}

// container reads a map or an array that begins at from, inside depth others.
func (d *decoder) container(from, end, depth int, kind Kind) (v Value, next int, err error) {
	elems, next, ok := container(d.b, from, end)
	if !ok {
		return Value{}, 0, d.fail(from, "has a wrong length")
	}
	if depth > MaxDepth {
		return Value{}, 0, d.fail(from, "is nested too deeply")
	}
	n, err := d.count(elems)
	if err != nil {
		return Value{}, 0, err
	}
	t := &tree{}
	if kind == KindArray {
		t.elems, err = d.elems(elems, n, depth+1)
	} else {
		t.fields, err = d.fields(elems, n, depth+1)
	}
	return Value{kind: kind, tree: t}, next, err
}

// count returns the number of elements, so that they are allocated at once.
func (d *decoder) count(elems span) (n int, err error) {
	for at := elems.lo; at < elems.hi; n++ {
		e, ok := nextElement(d.b, at, elems.hi)
		if !ok {
			return 0, d.fail(at, "has an unknown type or is cut short")
		}
		at = e.body.hi
	}
	return n, nil
}

func (d *decoder) fields(elems span, n, depth int) ([]Field, error) {
	fields := make([]Field, n)
	at := elems.lo
	for i := range fields {
		e, _ := nextElement(d.b, at, elems.hi)
		name := d.s[e.name.lo:e.name.hi]
		if i > 0 && fields[i-1].Name >= name {
			return nil, d.fail(at, "has fields that are out of order or twice there")
		}
		if !utf8.ValidString(name) {
			return nil, d.fail(at, "has a field name that is not UTF-8 or held NUL")
		}
		v, err := d.value(e.typ, e.body, depth)
		if err != nil {
			return nil, err
		}
		fields[i] = Field{name, v}
		at = e.body.hi
	}
	return fields, nil
}

func (d *decoder) elems(elems span, n, depth int) ([]Value, error) {
	values := make([]Value, n)
	at := elems.lo
	for i := range values {
		e, _ := nextElement(d.b, at, elems.hi)
		var digits [20]byte
		if want := strconv.AppendInt(digits[:0], int64(i), 10); string(want) != d.s[e.name.lo:e.name.hi] {
			return nil, d.fail(at, "has array elements that are not numbered 0, 1, ...")
		}
		v, err := d.value(e.typ, e.body, depth)
		if err != nil {
			return nil, err
		}
		values[i] = v
		at = e.body.hi
	}
	return values, nil
}
