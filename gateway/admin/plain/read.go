package plain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"atoll"
	"atoll/value"
)

// maxNesting stops the reading of values that are nested far deeper than any
// document may be, before package value tells the exact limit.
const maxNesting = 2 * value.MaxDepth

// Parse reads the fields of a document of db, one JSON object, and holds them
// to the limits of values; path is the document's. It fails with Invalid,
// naming field and offence.
func Parse(db atoll.Database, path atoll.Path, text []byte) (value.Value, error) {
	doc, err := parse(db, text, true)
	if err != nil {
		return doc, err
	}
	return doc, value.CheckDocument(path, doc)
}

// ParseValue reads one value. It fails with Invalid.
func ParseValue(db atoll.Database, text []byte) (value.Value, error) { return parse(db, text, false) }

func parse(db atoll.Database, text []byte, document bool) (value.Value, error) {
	tree, err := parseTree(text)
	if err != nil {
		return value.Null(), err
	}
	if _, ok := tree.([]member); document && !ok {
		return value.Null(), atoll.Errorf(atoll.Invalid, "a document is a JSON object, such as {\"name\": \"Lisbon\"}")
	}
	p := parser{db: db}
	return p.value(tree, document)
}

// member is one name of an object with what stands there. An object becomes a
// []member, an array a []any, the rest what package json makes of it:
// encoding/json's own maps would lose duplicate names, which are mistakes.
type member struct {
	name string
	tree any
}

// parseTree reads one JSON value.
func parseTree(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, atoll.Errorf(atoll.Invalid, "the JSON is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	r := treeReader{dec}
	tree, err := r.read(0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.bad("there is more text behind the value")
	}
	return tree, nil
}

type treeReader struct{ dec *json.Decoder }

func (r treeReader) bad(format string, args ...any) error {
	return atoll.Errorf(atoll.Invalid, "malformed JSON at byte %d: %s", r.dec.InputOffset(), fmt.Sprintf(format, args...))
}

func (r treeReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, r.bad("it ends too early")
	case err != nil:
		return nil, r.bad("%v", err)
	}
	return t, nil
}

func (r treeReader) read(depth int) (any, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	open, ok := t.(json.Delim)
	switch {
	case !ok:
		return t, nil
	case depth > maxNesting:
		return nil, r.bad("values may lie in at most %d arrays and maps", value.MaxDepth)
	case open == '[':
		return r.array(depth)
	}
	return r.object(depth)
}

func (r treeReader) array(depth int) (any, error) {
	elems := []any{}
	for r.dec.More() {
		e, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
	}
	_, err := r.token() // the end
	return elems, err
}

func (r treeReader) object(depth int) (any, error) {
	members := []member{}
	names := map[string]bool{}
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok || names[name] {
			return nil, r.bad("the name %v stands there twice, or is none", t)
		}
		names[name] = true
		tree, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, tree})
	}
	_, err := r.token() // the end
	return members, err
}

// parser makes values of trees.
type parser struct {
	db   atoll.Database
	path []string // names on the way to the value at hand
}

// bad returns what is wrong with the value at hand.
func (p *parser) bad(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if len(p.path) > 0 {
		what = "the field " + value.FieldPath(p.path).String() + ": " + what
	}
	return atoll.Errorf(atoll.Invalid, "%s", what)
}

// value makes one value; an object that must be a map is never special.
func (p *parser) value(tree any, mustMap bool) (value.Value, error) {
	switch t := tree.(type) {
	case bool:
		return value.Bool(t), nil
	case json.Number:
		return p.number(string(t))
	case string:
		return value.String(t), nil
	case []any:
		elems := make([]value.Value, len(t))
		for i, e := range t {
			v, err := p.value(e, false)
			if err != nil {
				return v, err
			}
			elems[i] = v
		}
		return value.Array(elems...), nil
	case []member:
		if !mustMap && len(t) == 1 && strings.HasPrefix(t[0].name, "$") {
			return p.special(t[0].name, t[0].tree)
		}
		return p.fields(t)
	}
	return value.Null(), nil
}

func (p *parser) fields(members []member) (value.Value, error) {
	fields := make([]value.Field, len(members))
	for i, m := range members {
		p.path = append(p.path, m.name)
		v, err := p.value(m.tree, false)
		if err != nil {
			return v, err
		}
		p.path = p.path[:len(p.path)-1]
		fields[i] = value.Field{Name: m.name, Value: v}
	}
	return value.Map(fields...), nil
}

func (p *parser) number(text string) (value.Value, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return value.Int(i), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return value.Null(), p.bad("%s is too large for a double", text)
	}
	return value.Double(f), nil
}

// special reads a value that JSON does not have.
func (p *parser) special(name string, tree any) (value.Value, error) {
	if name == "$map" {
		if members, ok := tree.([]member); ok {
			return p.fields(members)
		}
		return value.Null(), p.bad("$map takes an object")
	}
	v, err := p.value(tree, false)
	if err != nil {
		return v, err
	}
	switch name {
	case "$double":
		return p.double(v)
	case "$timestamp":
		at, err := time.Parse(time.RFC3339Nano, v.Str())
		if v.Kind() != value.KindString || err != nil {
			return v, p.bad("$timestamp takes a time in RFC 3339, such as \"2026-10-05T12:00:00Z\"")
		}
		return value.Timestamp(atoll.TimeOf(at)), nil
	case "$bytes":
		b, err := base64.StdEncoding.DecodeString(v.Str())
		if v.Kind() != value.KindString || err != nil {
			return v, p.bad("$bytes takes base64, such as \"aGk=\"")
		}
		return value.Bytes(b), nil
	case "$reference":
		return p.reference(v)
	case "$geopoint":
		if list, ok := doubles(v); ok && len(list) == 2 {
			return value.GeoPoint(list[0], list[1]), nil
		}
		return v, p.bad("$geopoint takes [latitude, longitude] in degrees, such as [38.72, -9.14]")
	case "$vector":
		if list, ok := doubles(v); ok {
			return value.Vector(list), nil
		}
		return v, p.bad("$vector takes a list of numbers, such as [1, 0.5]")
	}
	return v, p.bad("there is no type %s; a map with this one name is written as {\"$map\": {%q: ...}}", name, name)
}

func (p *parser) double(v value.Value) (value.Value, error) {
	if f, ok := double(v); ok {
		return value.Double(f), nil
	}
	switch text := v.Str(); {
	case v.Kind() != value.KindString:
	case text == "NaN":
		return value.Double(math.NaN()), nil
	case text == "Infinity":
		return value.Double(math.Inf(1)), nil
	case text == "-Infinity":
		return value.Double(math.Inf(-1)), nil
	}
	return v, p.bad(`$double takes a number, "NaN", "Infinity" or "-Infinity"`)
}

func (p *parser) reference(v value.Value) (value.Value, error) {
	name := v.Str()
	if v.Kind() != value.KindString || name == "" {
		return v, p.bad("$reference takes the path of a document, such as \"cities/lisbon\"")
	}
	if strings.HasPrefix(name, "projects/") && strings.Contains(name, "/documents/") {
		return value.Reference(name), nil
	}
	path := atoll.Path(name)
	if err := path.Check(); err != nil || !path.IsDocument() {
		return v, p.bad("$reference %q is not the path of a document, such as \"cities/lisbon\"", name)
	}
	return value.ReferenceTo(p.db, path), nil
}

// double reads a number, or one of the doubles that JSON does not have, whose
// special form has been read already.
func double(v value.Value) (float64, bool) {
	switch v.Kind() {
	case value.KindInt:
		return float64(v.Int()), true
	case value.KindDouble:
		return v.Double(), true
	}
	return 0, false
}

func doubles(v value.Value) ([]float64, bool) {
	if v.Kind() != value.KindArray {
		return nil, false
	}
	list := make([]float64, v.Len())
	for i := range list {
		f, ok := double(v.Elem(i))
		if !ok {
			return nil, false
		}
		list[i] = f
	}
	return list, true
}
