package value

import (
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"atoll"
)

// Doc is the stored form of a document, read field by field.
type Doc []byte

// Lookup returns the value of one field without decoding the others. It checks
// only what it passes on its way, and fails with Invalid where the bytes are
// not a stored document. The value does not keep the document's bytes.
func (d Doc) Lookup(path FieldPath) (v Value, ok bool, err error) {
	if len(path) == 0 {
		return Value{}, false, atoll.Errorf(atoll.Invalid, "a field path needs at least one name")
	}
	r := decoder{b: d}
	doc := span{0, len(d)}
	for i, name := range path {
		elems, next, ok := container(d, doc.lo, doc.hi)
		if !ok || next != doc.hi {
			return Value{}, false, r.fail(doc.lo, "has a wrong length")
		}
		e, ok, err := r.find(elems, name)
		if !ok || err != nil {
			return Value{}, false, err
		}
		if i == len(path)-1 {
			v, err := decodePart(d[e.body.lo:e.body.hi], e.typ, i+1)
			return v, err == nil, err
		}
		if e.typ != bsoncore.TypeEmbeddedDocument {
			return Value{}, false, nil
		}
		doc = e.body
	}
	return Value{}, false, nil
}

// find searches for a name; the fields are in order, so that it may stop.
func (d *decoder) find(elems span, name string) (e element, ok bool, err error) {
	for at := elems.lo; at < elems.hi; at = e.body.hi {
		if e, ok = nextElement(d.b, at, elems.hi); !ok {
			return e, false, d.fail(at, "has an unknown type or is cut short")
		}
		switch got := d.b[e.name.lo:e.name.hi]; {
		case string(got) == name:
			return e, true, nil
		case string(got) > name:
			return e, false, nil
		}
	}
	return e, false, nil
}

func decodePart(body []byte, t bsoncore.Type, depth int) (Value, error) {
	d := decoder{b: body}
	switch t {
	case bsoncore.TypeString, bsoncore.TypeBinary, bsoncore.TypeEmbeddedDocument, bsoncore.TypeArray:
		d.s = string(body)
	}
	return d.value(t, span{0, len(body)}, depth)
}
