package keys

import (
	"bytes"

	"atoll"
	"atoll/value"
)

// ParseValue reads the value at the beginning of b, as AppendValue wrote it,
// and returns what follows it. It fails with Invalid on bytes that AppendValue
// writes for no value of at most value.MaxDepth levels.
func ParseValue(b []byte) (v value.Value, rest []byte, err error) {
	return parse(b, Ascending)
}

// ParseValueDesc reads what AppendValueDesc wrote, as ParseValue does.
func ParseValueDesc(b []byte) (v value.Value, rest []byte, err error) {
	return parse(b, Descending)
}

func parse(b []byte, d Direction) (value.Value, []byte, error) {
	p := newParser(b, d)
	v := p.value(0)
	if p.bad != "" {
		return value.Value{}, nil, p.error(b)
	}
	return v, b[len(b)-len(p.b):], nil
}

// ParseIndexed reads what AppendIndexed wrote and returns what follows it. If
// the entry is cut, whole is false and v is null. It fails with Invalid.
func ParseIndexed(b []byte, d Direction) (v value.Value, whole bool, rest []byte, err error) {
	entry := b[:min(len(b), MaxIndexed)]
	p := newParser(entry, d)
	v = p.value(0)
	switch {
	case p.bad == "":
		return v, true, b[len(entry)-len(p.b):], nil
	case p.short && len(entry) == MaxIndexed:
		return value.Value{}, false, b[MaxIndexed:], nil
	}
	return value.Value{}, false, nil, p.error(b)
}

// parser reads values from b. The first thing wrong is kept in bad, and
// everything is read as zero from then on.
type parser struct {
	b     []byte
	bad   string
	short bool // b ended too early
	flip  byte // 0xFF if all bytes are complemented
}

func newParser(b []byte, d Direction) *parser {
	p := &parser{b: b}
	if d == Descending {
		p.flip = 0xFF
	}
	return p
}

func (p *parser) error(b []byte) error {
	return atoll.Errorf(atoll.Invalid, "%x... is no encoded value: it %s at byte %d", b[:min(len(b), 64)], p.bad, len(b)-len(p.b))
}

func (p *parser) fail(what string) {
	if p.bad == "" {
		p.bad = what
	}
}

// uint reads n <= 8 bytes as a big-endian number.
func (p *parser) uint(n int) uint64 {
	if p.bad != "" || len(p.b) < n {
		p.short = p.short || p.bad == ""
		p.fail("ends too early")
		return 0
	}
	var u uint64
	for _, c := range p.b[:n] {
		u = u<<8 | uint64(c^p.flip)
	}
	p.b = p.b[n:]
	return u
}

func (p *parser) value(depth int) value.Value {
	switch tag := byte(p.uint(1)); tag {
	case tagNull:
		return value.Null()
	case tagFalse, tagTrue:
		return value.Bool(tag == tagTrue)
	case tagNumber:
		return p.number()
	case tagTimestamp:
		return value.Timestamp(atoll.Time(p.uint(8) ^ 1<<63))
	case tagString:
		return value.String(string(p.text()))
	case tagBytes:
		return value.Bytes(p.text())
	case tagReference:
		return value.Reference(p.reference())
	case tagGeoPoint:
		latitude := p.ordered()
		return value.GeoPoint(latitude, p.ordered())
	case tagVector:
		return p.vector()
	case tagArray, tagMap:
		if depth >= value.MaxDepth {
			p.fail("is nested too deeply")
			return value.Value{}
		}
		if tag == tagArray {
			return p.array(depth + 1)
		}
		return p.fields(depth + 1)
	}
	p.fail("has an unknown tag")
	return value.Value{}
}

// number returns a whole number as an integer, if one can hold it.
func (p *parser) number() value.Value {
	f := p.ordered()
	if !(-1<<63 <= f && f < 1<<63) {
		return value.Double(f)
	}
	i := int64(f)
	if float64(i) != f {
		return value.Double(f)
	}
	if hasRest(f) {
		rest := int64(p.uint(2))
		if floor(i+rest) != i {
			p.fail("has a number that is written otherwise")
		}
		i += rest
	}
	return value.Int(i)
}

func (p *parser) ordered() float64 {
	f, ok := fromOrdered(p.uint(8))
	if !ok {
		p.fail("has a double that is written otherwise")
	}
	return f
}

func (p *parser) vector() value.Value {
	n := int(p.uint(4))
	if len(p.b)/8 < n {
		p.short = p.short || p.bad == ""
		p.fail("ends too early")
		return value.Value{}
	}
	floats := make([]float64, n)
	for i := range floats {
		floats[i] = p.ordered()
	}
	return value.Vector(floats)
}

func (p *parser) array(depth int) value.Value {
	var elems []value.Value
	for p.bad == "" && !p.end() {
		elems = append(elems, p.value(depth))
	}
	return value.Array(elems...)
}

// end skips the end of an array or map, if it is there.
func (p *parser) end() bool {
	if len(p.b) > 0 && p.b[0]^p.flip == tagEnd {
		p.b = p.b[1:]
		return true
	}
	return false
}

func (p *parser) fields(depth int) value.Value {
	var fields []value.Field
	for p.bad == "" && !p.end() {
		if p.uint(1) != tagField {
			p.fail("has no field where one should be")
		}
		name := string(p.text())
		if n := len(fields); n > 0 && fields[n-1].Name >= name {
			p.fail("has fields out of order")
		}
		fields = append(fields, value.Field{Name: name, Value: p.value(depth)})
	}
	return value.Map(fields...)
}

// text reads escaped bytes.
func (p *parser) text() []byte {
	n := p.textLen()
	if n == 0 {
		return nil
	}
	raw := p.b[:n]
	if p.flip != 0 {
		raw = bytes.Clone(raw)
		complement(raw)
	}
	p.b = p.b[n:]
	return unescape(make([]byte, 0, n), raw)
}

// textLen returns the length of the escaped bytes that come next, with their
// end, and 0 if they have none.
func (p *parser) textLen() int {
	for at := 0; p.bad == ""; at++ {
		i := bytes.IndexByte(p.b[at:], p.flip)
		if at += i + 1; i < 0 || at == len(p.b) {
			p.short = true
			p.fail("ends too early")
			break
		}
		switch p.b[at] ^ p.flip {
		case terminator:
			return at + 1
		case escaped:
		default:
			p.fail("has a wrong escape")
		}
	}
	return 0
}

// reference reads the segments of a reference's name.
func (p *parser) reference() string {
	var name []byte
	for i := 0; p.bad == ""; i++ {
		mark := p.uint(1)
		if mark == markEnd && i > 0 {
			break
		}
		if i > 0 {
			name = append(name, '/')
		}
		name = p.segment(name, mark, value.IsDocumentSegment(i))
	}
	return string(name)
}

// segment appends the segment behind a mark to name.
func (p *parser) segment(name []byte, mark uint64, document bool) []byte {
	switch {
	case mark == markNumeric && document:
		return appendNumericID(name, int64(p.uint(8)^1<<63))
	case mark == markText:
		id := p.text()
		if _, numeric := atoll.NumericID(string(id)); bytes.IndexByte(id, '/') >= 0 || document && numeric {
			p.fail("has an id that is written otherwise")
		}
		return append(name, id...)
	}
	p.fail("has an unknown mark before an id")
	return name
}
