package value

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns v as a person reads it, for messages and tests. The text
// cannot be parsed back.
func (v Value) String() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v Value) write(b *strings.Builder) {
	switch v.kind {
	case KindNull:
		b.WriteString("null")
	case KindBool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case KindInt:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case KindDouble:
		b.WriteString("double(" + formatFloat(v.Double()) + ")")
	case KindTimestamp:
		b.WriteString(v.Time().String())
	case KindString:
		b.WriteString(strconv.Quote(v.str))
	case KindBytes:
		fmt.Fprintf(b, "bytes(%x)", v.str)
	case KindReference:
		b.WriteString("ref(" + v.str + ")")
	case KindGeoPoint:
		writeFloats(b, "geo(", v.floats(), ")")
	case KindVector:
		writeFloats(b, "vector[", v.floats(), "]")
	case KindArray:
		b.WriteByte('[')
		for i, e := range v.elems() {
			separate(b, i)
			e.write(b)
		}
		b.WriteByte(']')
	case KindMap:
		b.WriteByte('{')
		for i, f := range v.fields() {
			separate(b, i)
			b.WriteString(FieldPath{f.Name}.String())
			b.WriteString(": ")
			f.Value.write(b)
		}
		b.WriteByte('}')
	}
}

func writeFloats(b *strings.Builder, open string, floats []float64, end string) {
	b.WriteString(open)
	for i, f := range floats {
		separate(b, i)
		b.WriteString(formatFloat(f))
	}
	b.WriteString(end)
}

func separate(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
