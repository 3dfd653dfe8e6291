package transfer

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

// quick reads the JSON that files mostly hold, in one pass and with few
// allocations: most of what an import costs would be reading otherwise. It
// decides nothing. What it reads is what package plain reads in the same text;
// whatever it is not sure of, and all that is wrong, it leaves to that package,
// which knows all forms and says what is the matter.
type quick struct {
	db     atoll.Database
	text   string
	at     int
	depth  int
	fields []value.Field // of the maps at hand, innermost last
	elems  []value.Value // of the arrays at hand, innermost last
}

// reset begins with another text. It is copied, once: the texts of values are
// parts of the copy.
func (q *quick) reset(text []byte) {
	q.text, q.at, q.depth = string(text), 0, 0
	q.fields, q.elems = q.fields[:0], q.elems[:0]
}

// document reads a text that is one object.
func (q *quick) document(text []byte) (doc value.Value, ok bool) {
	q.reset(text)
	if q.skip() != '{' {
		return doc, false
	}
	doc, ok = q.object(true)
	return doc, ok && q.ends()
}

// value reads a text that is one value with nothing around it.
func (q *quick) value(text string) (v value.Value, ok bool) {
	q.text, q.at, q.depth = text, 0, 0
	q.fields, q.elems = q.fields[:0], q.elems[:0]
	v, ok = q.any()
	return v, ok && q.at == len(q.text)
}

// exported reads an object that names its document, and has nothing else.
func (q *quick) exported(text []byte) (d Document, ok bool) {
	q.reset(text)
	if q.skip() != '{' {
		return d, false
	}
	q.at++
	for n := range 2 {
		if n > 0 && !q.take(',') {
			return d, false
		}
		name, ok := q.name()
		if !ok {
			return d, false
		}
		switch {
		case name == "path" && d.Path == "" && q.skip() == '"':
			path, ok := q.string()
			if !ok || path == "" {
				return d, false
			}
			d.Path = atoll.Path(path)
		case name == "document" && d.Fields.Kind() == value.KindNull && q.skip() == '{':
			if d.Fields, ok = q.object(true); !ok {
				return d, false
			}
		default:
			return d, false
		}
	}
	return d, q.take('}') && q.ends()
}

// ends reports whether nothing but blanks is left.
func (q *quick) ends() bool { return q.skip() == 0 && q.at == len(q.text) }

// skip goes to what is not blank, and returns it; 0 at the end.
func (q *quick) skip() byte {
	for q.at < len(q.text) {
		switch c := q.text[q.at]; c {
		case ' ', '\t', '\r', '\n':
			q.at++
		default:
			return c
		}
	}
	return 0
}

// take goes behind c, if that comes next.
func (q *quick) take(c byte) bool {
	if q.skip() != c {
		return false
	}
	q.at++
	return true
}

// word goes behind a word, if that comes next.
func (q *quick) word(w string) bool {
	if len(q.text)-q.at < len(w) || q.text[q.at:q.at+len(w)] != w {
		return false
	}
	q.at += len(w)
	return true
}

func (q *quick) any() (v value.Value, ok bool) {
	switch q.skip() {
	case '"':
		s, ok := q.string()
		return value.String(s), ok
	case '{':
		return q.object(false)
	case '[':
		return q.array()
	case 't':
		return value.Bool(true), q.word("true")
	case 'f':
		return value.Bool(false), q.word("false")
	case 'n':
		return value.Null(), q.word("null")
	}
	return q.number()
}

// name reads the name of a member, and the colon.
func (q *quick) name() (name string, ok bool) {
	if q.skip() != '"' {
		return "", false
	}
	name, ok = q.string()
	return name, ok && q.take(':')
}

// object reads an object. One that is no document, and has one name that begins
// with $, stands for a value that JSON does not have.
func (q *quick) object(document bool) (v value.Value, ok bool) {
	begin, first := q.at, len(q.fields)
	if q.depth++; q.depth > value.MaxDepth {
		return v, false
	}
	q.at++
	if !q.take('}') {
		for {
			var f value.Field
			if f.Name, ok = q.name(); !ok {
				return v, false
			}
			if f.Value, ok = q.any(); !ok {
				return v, false
			}
			q.fields = append(q.fields, f)
			if q.take('}') {
				break
			}
			if !q.take(',') {
				return v, false
			}
		}
	}
	q.depth--
	fields := copied(q.fields[first:])
	q.fields = q.fields[:first]
	if !document && len(fields) == 1 && len(fields[0].Name) > 0 && fields[0].Name[0] == '$' {
		v, err := plain.ParseValue(q.db, []byte(q.text[begin:q.at]))
		return v, err == nil
	}
	v = value.Map(fields...)
	return v, v.Len() == len(fields) // a name that stands there twice is a mistake
}

// copied returns a copy that can be given away.
func copied[T any](list []T) []T { return append(make([]T, 0, len(list)), list...) }

func (q *quick) array() (v value.Value, ok bool) {
	first := len(q.elems)
	if q.depth++; q.depth > value.MaxDepth {
		return v, false
	}
	q.at++
	if !q.take(']') {
		for {
			e, ok := q.any()
			if !ok {
				return v, false
			}
			q.elems = append(q.elems, e)
			if q.take(']') {
				break
			}
			if !q.take(',') {
				return v, false
			}
		}
	}
	q.depth--
	v = value.Array(copied(q.elems[first:])...)
	q.elems = q.elems[:first]
	return v, true
}

// string reads a string. The result is a part of the text if it can be.
func (q *quick) string() (s string, ok bool) {
	begin := q.at + 1
	ascii := true
	for i := begin; i < len(q.text); i++ {
		switch c := q.text[i]; {
		case c == '"':
			q.at = i + 1
			s = q.text[begin:i]
			return s, ascii || utf8.ValidString(s)
		case c == '\\':
			return q.escaped(begin, i)
		case c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// escapes are what stands for a character behind a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads a string that has a backslash at i.
func (q *quick) escaped(begin, i int) (s string, ok bool) {
	var out strings.Builder
	for {
		out.WriteString(q.text[begin:i])
		if i+1 >= len(q.text) {
			return "", false
		}
		switch c := q.text[i+1]; {
		case escapes[c] != 0:
			out.WriteByte(escapes[c])
			i += 2
		case c == 'u':
			r, ok := q.unicode(i + 2)
			if !ok {
				return "", false
			}
			out.WriteRune(r)
			i += 6
		default:
			return "", false
		}
		for begin = i; i < len(q.text) && q.text[i] != '"' && q.text[i] != '\\'; i++ {
			if q.text[i] < ' ' {
				return "", false
			}
		}
		if i == len(q.text) {
			return "", false
		}
		if q.text[i] == '"' {
			out.WriteString(q.text[begin:i])
			q.at = i + 1
			return out.String(), utf8.ValidString(out.String())
		}
	}
}

// unicode reads four hexadecimal digits. Halves of a pair are left to others.
func (q *quick) unicode(at int) (r rune, ok bool) {
	if len(q.text) < at+4 {
		return 0, false
	}
	for _, c := range []byte(q.text[at : at+4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, utf8.ValidRune(r)
}

// digits goes behind decimal digits, and tells how many there were.
func (q *quick) digits() int {
	begin := q.at
	for q.at < len(q.text) && '0' <= q.text[q.at] && q.text[q.at] <= '9' {
		q.at++
	}
	return q.at - begin
}

// number reads a number: an integer unless it has a point or an exponent.
func (q *quick) number() (v value.Value, ok bool) {
	begin := q.at
	q.word("-")
	zero := q.at < len(q.text) && q.text[q.at] == '0'
	if n := q.digits(); n == 0 || zero && n > 1 {
		return v, false
	}
	whole := true
	if q.word(".") {
		if whole = false; q.digits() == 0 {
			return v, false
		}
	}
	if q.word("e") || q.word("E") {
		if whole = false; !q.word("+") {
			q.word("-")
		}
		if q.digits() == 0 {
			return v, false
		}
	}
	text := q.text[begin:q.at]
	if whole {
		i, err := strconv.ParseInt(text, 10, 64)
		return value.Int(i), err == nil // one out of range is a double
	}
	f, err := strconv.ParseFloat(text, 64)
	return value.Double(f), err == nil
}
