package transfer

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

// Mapping says which documents rows become.
type Mapping struct {
	Database atoll.Database
	// Into is the collection of the documents. Without one each row names its
	// document's path, as Writer has it.
	Into atoll.Path
	// ID makes a document's id; the zero Template takes a hash of the document.
	ID Template
	// Types say what the texts of CSV, Pattern and Add are. Auto is the type
	// of cells in CSV that have none, String that of all others.
	Types map[string]Type
	// Pattern takes lines of text apart: each named group becomes a field, if
	// it took part in the match. nil: the file has the form that its Format
	// says.
	Pattern *regexp.Regexp
	// Ignore leaves out lines that it matches, with Pattern alone.
	Ignore *regexp.Regexp
	// Add gives every document fields, in order.
	Add []Addition
}

// Addition is a field that every document gets.
type Addition struct {
	Field string
	Text  Template
}

// Check fails with Invalid if a mapping can work for no row.
func (m *Mapping) Check() error {
	if m.Into != "" {
		if err := m.Into.Check(); err != nil {
			return err
		}
		if !m.Into.IsCollection() {
			return atoll.Errorf(atoll.Invalid, "%q is not the path of a collection; it has the form collection, or collection/id/collection", m.Into)
		}
	}
	switch {
	case m.Pattern == nil && m.Ignore != nil:
		return atoll.Errorf(atoll.Invalid, "lines can be ignored only where a pattern takes them apart")
	case m.Pattern != nil && strings.Join(m.Pattern.SubexpNames(), "") == "":
		return atoll.Errorf(atoll.Invalid, "the pattern %q names no group; a group (?P<name>...) becomes the field name", m.Pattern)
	case m.Into == "" && (m.Pattern != nil || m.ID.given()):
		return atoll.Errorf(atoll.Invalid, "without a collection rows name their documents, and take no pattern or id")
	}
	for _, a := range m.Add {
		if err := value.CheckName(a.Field); err != nil {
			return err
		}
	}
	return nil
}

// Document is a document on its way to or from a file.
type Document struct {
	Path   atoll.Path
	Fields value.Value // a map
}

// source is where a row stands, for templates.
type source struct {
	file  string // base name without its extension
	row   *Row
	names []string // of CSV
	quick *quick
}

// document makes the document of a row; ok is false if the row is to be left
// out.
func (m *Mapping) document(s source) (d Document, ok bool, err error) {
	if m.Pattern == nil && s.names == nil {
		if m.Into == "" {
			d, ok = s.quick.exported(s.row.text)
		} else {
			d.Fields, ok = s.quick.document(s.row.text)
		}
		if ok && m.finish(s, &d) == nil {
			return d, true, nil
		}
		d = Document{}
	}
	switch {
	case m.Pattern != nil:
		d.Fields, ok, err = m.match(s)
		if !ok || err != nil {
			return d, ok, err
		}
	case s.names != nil:
		d, err = m.record(s)
	case m.Into == "":
		d, err = m.exported(s.row.text)
	default:
		// The size of the document counts its path, which is checked below.
		d.Fields, err = plain.Parse(m.Database, m.Into.Child("x"), s.row.text)
	}
	if err == nil {
		err = m.finish(s, &d)
	}
	return d, true, err
}

// match takes a line apart.
func (m *Mapping) match(s source) (fields value.Value, ok bool, err error) {
	line := string(s.row.text)
	if m.Ignore != nil && m.Ignore.MatchString(line) {
		return fields, false, nil
	}
	found := m.Pattern.FindStringSubmatchIndex(line)
	if found == nil {
		return fields, true, atoll.Errorf(atoll.Invalid, "the pattern does not match the line %.100q; change the pattern, or leave such lines out with one that they match", line)
	}
	var list []value.Field
	for i, name := range m.Pattern.SubexpNames() {
		if name == "" || found[2*i] < 0 {
			continue
		}
		v, err := m.text(s.quick, name, String, line[found[2*i]:found[2*i+1]])
		if err != nil {
			return fields, true, err
		}
		list = append(list, value.Field{Name: name, Value: v})
	}
	return value.Map(list...), true, nil
}

// text makes a value of a field's text.
func (m *Mapping) text(q *quick, field string, otherwise Type, text string) (value.Value, error) {
	t, ok := m.Types[field]
	if !ok {
		t = otherwise
	}
	v, err := parseText(q, t, text)
	if err != nil {
		err = atoll.Errorf(atoll.Invalid, "the field %s: %s", value.FieldPath{field}, atoll.AsError(err).Msg)
	}
	return v, err
}

// record reads the cells of a row of CSV.
func (m *Mapping) record(s source) (d Document, err error) {
	var list []value.Field
	for i, text := range s.row.cells {
		switch name := s.names[i]; {
		case name == pathColumn && m.Into == "":
			d.Path = atoll.Path(text)
		case name == pathColumn:
			return d, atoll.Errorf(atoll.Invalid, "the rows name their documents in the column %s; import them without a collection", pathColumn)
		case text != "":
			v, err := m.text(s.quick, name, Auto, text)
			if err != nil {
				return d, err
			}
			list = append(list, value.Field{Name: name, Value: v})
		}
	}
	d.Fields = value.Map(list...)
	return d, nil
}

// exported reads an object that names its document.
func (m *Mapping) exported(text []byte) (d Document, err error) {
	var o struct {
		Path     atoll.Path      `json:"path"`
		Document json.RawMessage `json:"document"`
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return d, atoll.Errorf(atoll.Invalid, "malformed JSON: %v", err)
	}
	if o.Path == "" || o.Document == nil {
		return d, atoll.Errorf(atoll.Invalid, `the row does not name its document, as {"path": "cities/lisbon", "document": {...}} does; to import rows that are documents, say into which collection`)
	}
	d.Path = o.Path
	d.Fields, err = plain.Parse(m.Database, o.Path, o.Document)
	return d, err
}

// finish adds fields, makes the path and holds the document to the limits.
func (m *Mapping) finish(s source, d *Document) error {
	if len(m.Add) > 0 {
		list := make([]value.Field, 0, d.Fields.Len()+len(m.Add))
		for i := range d.Fields.Len() {
			list = append(list, d.Fields.Field(i))
		}
		for _, a := range m.Add {
			text, err := a.Text.fill(s, d.Fields)
			if err != nil {
				return err
			}
			v, err := m.text(s.quick, a.Field, String, text)
			if err != nil {
				return err
			}
			list = append(list, value.Field{Name: a.Field, Value: v})
		}
		d.Fields = value.Map(list...)
	}
	if m.Into != "" {
		id := hashOf(d.Fields)
		if m.ID.given() {
			var err error
			if id, err = m.ID.fill(s, d.Fields); err != nil {
				return err
			}
		}
		if id == "" || strings.Contains(id, "/") {
			return atoll.Errorf(atoll.Invalid, "%q is no document id: it is empty or holds a slash. Make ids of something else, or of {$hash}", id)
		}
		d.Path = m.Into.Child(id)
	}
	if err := d.Path.Check(); err != nil {
		return err
	}
	if !d.Path.IsDocument() {
		return atoll.Errorf(atoll.Invalid, "%q is not the path of a document; it has the form collection/id, or collection/id/collection/id", d.Path)
	}
	return value.CheckDocument(d.Path, d.Fields)
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// hashOf returns an id of 24 characters that follows from a document: 120 bits
// of the SHA-256 of its encoding. Documents that are the same have the same.
func hashOf(doc value.Value) string {
	h := sha256.Sum256(value.AppendDocument(nil, doc))
	return idEncoding.EncodeToString(h[:15])
}

// Template is a text with gaps, which a row fills: {field} is a string, integer
// or boolean of the document, {$file} the name of the file without directory
// and extension, {$line} and {$row} numbers from 1, {$hash} a hash of the
// document. {{ is a brace.
type Template struct {
	parts []string // text, gap, text, gap, ... text
}

// ParseTemplate reads a template. It fails with Invalid.
func ParseTemplate(text string) (Template, error) {
	var t Template
	var now strings.Builder
	for rest := text; ; {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			now.WriteString(rest)
			t.parts = append(t.parts, now.String())
			return t, nil
		}
		now.WriteString(rest[:i])
		rest = rest[i+1:]
		if after, ok := strings.CutPrefix(rest, "{"); ok {
			now.WriteByte('{')
			rest = after
			continue
		}
		gap, after, ok := strings.Cut(rest, "}")
		if !ok || gap == "" {
			return t, atoll.Errorf(atoll.Invalid, "the template %q has a { without a name and a }; a brace is written {{", text)
		}
		if strings.HasPrefix(gap, "$") && gap != "$file" && gap != "$line" && gap != "$row" && gap != "$hash" {
			return t, atoll.Errorf(atoll.Invalid, "the template %q asks for {%s}; there are {$file}, {$line}, {$row} and {$hash}", text, gap)
		}
		t.parts = append(t.parts, now.String(), gap)
		now.Reset()
		rest = after
	}
}

// FieldTemplate is the template {name}.
func FieldTemplate(name string) Template { return Template{[]string{"", name, ""}} }

func (t Template) given() bool { return len(t.parts) > 0 }

// fill fails with Invalid if the document lacks a field, or has it as a value
// that is no plain text.
func (t Template) fill(s source, doc value.Value) (string, error) {
	var out strings.Builder
	for i, part := range t.parts {
		if i%2 == 0 {
			out.WriteString(part)
			continue
		}
		switch part {
		case "$file":
			out.WriteString(s.file)
		case "$line":
			out.WriteString(strconv.Itoa(s.row.Line))
		case "$row":
			out.WriteString(strconv.FormatInt(s.row.Number, 10))
		case "$hash":
			out.WriteString(hashOf(doc))
		default:
			v, ok := doc.Get(part)
			switch v.Kind() {
			case value.KindString:
				out.WriteString(v.Str())
			case value.KindInt:
				out.WriteString(strconv.FormatInt(v.Int(), 10))
			case value.KindBool:
				out.WriteString(strconv.FormatBool(v.Bool()))
			default:
				ok = false
			}
			if !ok {
				return "", atoll.Errorf(atoll.Invalid, "the document has no field %s that is a string, an integer or a boolean", value.FieldPath{part})
			}
		}
	}
	return out.String(), nil
}
