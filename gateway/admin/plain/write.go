package plain

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"atoll/value"
)

// Append appends v as JSON on one line to dst.
func Append(dst []byte, v value.Value) []byte {
	switch v.Kind() {
	case value.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case value.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case value.KindDouble:
		return appendDouble(dst, v.Double())
	case value.KindTimestamp:
		return special(dst, "timestamp", appendString(nil, v.Time().String()))
	case value.KindString:
		return appendString(dst, v.Str())
	case value.KindBytes:
		return special(dst, "bytes", appendString(nil, base64.StdEncoding.EncodeToString(v.Bytes())))
	case value.KindReference:
		return special(dst, "reference", appendString(nil, v.Str()))
	case value.KindGeoPoint:
		lat, lng := v.GeoPoint()
		return special(dst, "geopoint", appendDoubles(nil, []float64{lat, lng}))
	case value.KindVector:
		return special(dst, "vector", appendDoubles(nil, v.Vector()))
	case value.KindArray:
		dst = append(dst, '[')
		for i := range v.Len() {
			dst = Append(separate(dst, i), v.Elem(i))
		}
		return append(dst, ']')
	case value.KindMap:
		return appendMap(dst, v)
	}
	return append(dst, "null"...)
}

// appendMap writes a map; one that looks like a special value goes into $map.
func appendMap(dst []byte, v value.Value) []byte {
	if v.Len() == 1 && strings.HasPrefix(v.Field(0).Name, "$") {
		return special(dst, "map", appendFields(nil, v))
	}
	return appendFields(dst, v)
}

// Document appends a document's fields as a JSON object on one line to dst. At
// the top of a document nothing is mistaken for a special value.
func Document(dst []byte, doc value.Value) []byte { return appendFields(dst, doc) }

func appendFields(dst []byte, v value.Value) []byte {
	dst = append(dst, '{')
	for i := range v.Len() {
		f := v.Field(i)
		dst = appendString(separate(dst, i), f.Name)
		dst = Append(append(dst, ':'), f.Value)
	}
	return append(dst, '}')
}

func separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func special(dst []byte, kind string, inner []byte) []byte {
	dst = append(dst, `{"$`+kind+`":`...)
	return append(append(dst, inner...), '}')
}

// appendString writes text as a JSON string, without the escapes of <, > and &
// that are for HTML.
func appendString(dst []byte, s string) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return append(dst, `""`...) // no string fails
	}
	return append(dst, strings.TrimSuffix(b.String(), "\n")...)
}

// appendDouble writes a double so that it is not read as an integer.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `{"$double":"NaN"}`...)
	case math.IsInf(f, 1):
		return append(dst, `{"$double":"Infinity"}`...)
	case math.IsInf(f, -1):
		return append(dst, `{"$double":"-Infinity"}`...)
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return append(dst, text...)
}

func appendDoubles(dst []byte, list []float64) []byte {
	dst = append(dst, '[')
	for i, f := range list {
		dst = appendDouble(separate(dst, i), f)
	}
	return append(dst, ']')
}
