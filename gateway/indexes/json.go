package indexes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"atoll"
)

const (
	// maxDepth is how deep values of a file may nest; the format needs five levels.
	maxDepth = 16
	// maxMembers is how many members an object may have; the format knows seven.
	maxMembers = 64
)

// node is one JSON value and where it stands.
type node struct {
	path    string // such as indexes[2].fields[0].order; empty for the whole
	line    int    // from 1
	members []member
	items   []node
	scalar  any  // string, bool, json.Number or nil
	kind    rune // '{', '[' or 0
}

type member struct {
	name  string
	value node
}

// errorf returns an Invalid error that begins with the place.
func (n node) errorf(format string, args ...any) error {
	place := fmt.Sprintf("line %d", n.line)
	if n.path != "" {
		place += ", " + n.path
	}
	return atoll.Errorf(atoll.Invalid, "%s: %s", place, fmt.Sprintf(format, args...))
}

// get returns a member; ok is false if there is none, or it is null.
func (n node) get(name string) (v node, ok bool) {
	for _, m := range n.members {
		if m.name == name {
			return m.value, m.value.kind != 0 || m.value.scalar != nil
		}
	}
	return node{}, false
}

// object fails if the value is no object, or has a member that is not known:
// a name with a slip in it would otherwise be passed over in silence.
func (n node) object(known ...string) error {
	if n.kind != '{' {
		return n.errorf("must be an object in braces, not %s", n.what())
	}
	for _, m := range n.members {
		if !slices.Contains(known, m.name) {
			return m.value.errorf("has no meaning here; known are %s", strings.Join(known, ", "))
		}
	}
	return nil
}

// list returns the values of a member that is an array; none if it is absent.
func (n node) list(name string) ([]node, error) {
	v, ok := n.get(name)
	if !ok {
		return nil, nil
	}
	if v.kind != '[' {
		return nil, v.errorf("must be a list in brackets, not %s", v.what())
	}
	return v.items, nil
}

// text returns a member that is a text; empty if it is absent.
func (n node) text(name string) (string, error) {
	v, ok := n.get(name)
	if !ok {
		return "", nil
	}
	s, ok := v.scalar.(string)
	if !ok {
		return "", v.errorf("must be a text in quotes, not %s", v.what())
	}
	return s, nil
}

// word returns a member that is one of some words, or the first of them if it
// is absent; a first word that is empty stands for absence alone.
func (n node) word(name string, words ...string) (string, error) {
	s, err := n.text(name)
	if err != nil || s == "" {
		return words[0], err
	}
	if !slices.Contains(words, s) {
		v, _ := n.get(name)
		return "", v.errorf("must be %s, not %q", strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), " or "), clip(s))
	}
	return s, nil
}

// flag returns a member that is true or false; false if it is absent.
func (n node) flag(name string) (bool, error) {
	v, ok := n.get(name)
	if !ok {
		return false, nil
	}
	b, ok := v.scalar.(bool)
	if !ok {
		return false, v.errorf("must be true or false, not %s", v.what())
	}
	return b, nil
}

// what says in words which kind of value it is.
func (n node) what() string {
	switch v := n.scalar.(type) {
	case string:
		return fmt.Sprintf("the text %q", clip(v))
	case bool:
		return fmt.Sprint(v)
	case json.Number:
		return "the number " + clip(v.String())
	}
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "null"
}

// clip keeps what a stranger sent short in an answer.
func clip(s string) string { return s[:min(len(s), 100)] }

// parseJSON reads one JSON value. Comments are allowed, as firebase-tools
// allows them: // to the end of the line, and /* */.
func parseJSON(text []byte) (node, error) {
	plain, err := withoutComments(text)
	if err != nil {
		return node{}, err
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	r := reader{d: d, text: plain, line: 1}
	n, err := r.value("", 0)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return n, nil
		}
		err = r.failed(errors.New("something follows the closing brace"))
	}
	return node{}, err
}

// reader reads JSON token by token, and counts lines.
type reader struct {
	d    *json.Decoder
	text []byte
	at   int // bytes whose lines are counted
	line int
}

// next returns the next token and the line on which it ends.
func (r *reader) next() (json.Token, int, error) {
	t, err := r.d.Token()
	if err != nil {
		return nil, 0, r.failed(err)
	}
	return t, r.lineAt(int(r.d.InputOffset())), nil
}

func (r *reader) lineAt(offset int) int {
	offset = min(offset, len(r.text))
	r.line += bytes.Count(r.text[r.at:offset], []byte("\n"))
	r.at = offset
	return r.line
}

// failed says where the text stops being JSON.
func (r *reader) failed(err error) error {
	var s *json.SyntaxError
	line := 0
	switch {
	case errors.As(err, &s):
		line = r.lineAt(max(int(s.Offset)-1, r.at))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		line, err = r.lineAt(len(r.text)), errors.New("it ends before its last brace")
	default:
		line = r.lineAt(int(r.d.InputOffset()))
	}
	return atoll.Errorf(atoll.Invalid, "line %d: this is not JSON: %v", line, err)
}

func (r *reader) value(path string, depth int) (node, error) {
	t, line, err := r.next()
	if err != nil {
		return node{}, err
	}
	n := node{path: path, line: line}
	delim, ok := t.(json.Delim)
	if !ok {
		n.scalar = t
		return n, nil
	}
	if depth == maxDepth {
		return n, n.errorf("values nest deeper than %d levels", maxDepth)
	}
	if n.kind = rune(delim); delim == '[' {
		err = r.array(&n, depth)
	} else {
		err = r.object(&n, depth)
	}
	return n, err
}

func (r *reader) array(n *node, depth int) error {
	for r.d.More() {
		v, err := r.value(fmt.Sprintf("%s[%d]", n.path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, v)
	}
	_, _, err := r.next() // the bracket
	return err
}

func (r *reader) object(n *node, depth int) error {
	for r.d.More() {
		t, _, err := r.next()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder lets nothing else pass
		path := clip(name)
		if n.path != "" {
			path = n.path + "." + path
		}
		v, err := r.value(path, depth+1)
		if err != nil {
			return err
		}
		if len(n.members) == maxMembers {
			return v.errorf("the object has more than %d members", maxMembers)
		}
		if slices.ContainsFunc(n.members, func(m member) bool { return m.name == name }) {
			return v.errorf("is given twice")
		}
		n.members = append(n.members, member{name, v})
	}
	_, _, err := r.next() // the brace
	return err
}

// withoutComments puts spaces in place of comments, so that offsets and lines
// stay what they are.
func withoutComments(text []byte) ([]byte, error) {
	out := bytes.Clone(text)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	for i := 0; i < len(text); {
		switch rest := text[i:]; {
		case rest[0] == '"':
			i += stringEnd(rest)
		case bytes.HasPrefix(rest, []byte("//")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			blank(i, i+end)
			i += end
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return nil, atoll.Errorf(atoll.Invalid, "line %d: the comment that begins here has no end", 1+bytes.Count(text[:i], []byte("\n")))
			}
			blank(i, i+end+4)
			i += end + 4
		default:
			i++
		}
	}
	return out, nil
}

// stringEnd returns the length of the text in quotes with which s begins; all
// of s if it has no end, which the JSON decoder will complain about.
func stringEnd(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}
