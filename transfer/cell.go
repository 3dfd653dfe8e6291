package transfer

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

// Type says how a text becomes a value.
type Type string

// The types of texts.
const (
	Auto      Type = "auto"      // what JSON makes of it; otherwise a string
	String    Type = "string"    // as it is
	Int       Type = "int"       // 64 bits
	Double    Type = "double"    // also NaN, Infinity and -Infinity
	Bool      Type = "bool"      // true or false
	Timestamp Type = "timestamp" // RFC 3339, cut to microseconds
)

// ParseTypes reads assignments of the form field=type. It fails with Invalid.
func ParseTypes(assignments []string) (map[string]Type, error) {
	types := map[string]Type{}
	for _, a := range assignments {
		name, t, ok := cutLast(a, '=')
		switch Type(t) {
		case Auto, String, Int, Double, Bool, Timestamp:
		default:
			ok = false
		}
		if !ok {
			return nil, atoll.Errorf(atoll.Invalid, "%q does not give a field a type; it has the form field=type, with a type of auto, string, int, double, bool and timestamp", a)
		}
		types[name] = Type(t)
	}
	return types, nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseText makes a value of a text that is not empty. It fails with Invalid.
func parseText(q *quick, t Type, text string) (value.Value, error) {
	switch t {
	case String:
		return value.String(text), nil
	case Int:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return value.Int(i), nil
		}
	case Double:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return value.Double(f), nil
		}
	case Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return value.Bool(b), nil
		}
	case Timestamp:
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return value.Timestamp(atoll.TimeOf(at)), nil
		}
	default:
		if !mayBeJSON(text) {
			return value.String(text), nil
		}
		if v, ok := q.value(text); ok {
			return v, nil
		}
		if !isJSON(text) {
			return value.String(text), nil
		}
		return plain.ParseValue(q.db, []byte(text))
	}
	return value.Null(), atoll.Errorf(atoll.Invalid, "%.100q is no %s", text, t)
}

// isJSON reports whether a text is a JSON value with nothing around it.
func isJSON(text string) bool { return mayBeJSON(text) && json.Valid([]byte(text)) }

// mayBeJSON reports whether a text is one by its ends.
func mayBeJSON(text string) bool {
	if text == "" || strings.TrimSpace(text) != text {
		return false
	}
	c := text[0]
	return c == '"' || c == '{' || c == '[' || c == '-' || c == 't' || c == 'f' || c == 'n' || '0' <= c && c <= '9'
}

// cell returns the text of which parseText makes v again, with Auto. A carriage
// return is escaped, because readers of CSV take it for a part of a line's end.
func cell(v value.Value) string {
	if s := v.Str(); v.Kind() == value.KindString && s != "" && !isJSON(s) && !strings.Contains(s, "\r") {
		return s
	}
	return string(plain.Append(nil, v))
}
