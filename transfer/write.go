package transfer

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/value"
)

// Writer writes documents with their paths, in the form that an import without
// a collection reads.
type Writer struct {
	format Format
	out    io.Writer
	fields []string
	count  int64
	buf    []byte
	cells  []string
}

// NewWriter returns a writer that goes on behind the first count documents of
// an output; 0 begins it. Fields are the columns of CSV.
func NewWriter(f Format, out io.Writer, fields []string, count int64) (*Writer, error) {
	w := &Writer{format: f, out: out, fields: fields, count: count}
	if f != CSV {
		return w, nil
	}
	for _, name := range fields {
		if name == pathColumn || strings.Contains(name, "\r") {
			return nil, atoll.Errorf(atoll.FailedPrecondition, "CSV cannot hold a field that is called %q; export to jsonl or json", name)
		}
	}
	if count > 0 {
		return w, nil
	}
	return w, w.record(append([]string{pathColumn}, fields...))
}

// Write writes one document. In CSV it fails with FailedPrecondition if the
// document has a field that is no column.
func (w *Writer) Write(d Document) error {
	if w.format == CSV {
		return w.row(d)
	}
	b := w.buf[:0]
	switch {
	case w.format == JSONL:
	case w.count == 0:
		b = append(b, "[\n"...)
	default:
		b = append(b, ",\n"...)
	}
	path, err := json.Marshal(string(d.Path))
	if err != nil {
		return err
	}
	b = append(append(b, `{"path":`...), path...)
	b = append(plain.Document(append(b, `,"document":`...), d.Fields), '}')
	if w.format == JSONL {
		b = append(b, '\n')
	}
	w.buf, w.count = b, w.count+1
	return w.put(b)
}

// End ends the output.
func (w *Writer) End() error {
	if w.format != JSON {
		return nil
	}
	if w.count == 0 {
		return w.put([]byte("[]\n"))
	}
	return w.put([]byte("\n]\n"))
}

func (w *Writer) row(d Document) error {
	w.cells = append(w.cells[:0], string(d.Path))
	found := 0
	for _, name := range w.fields {
		v, ok := d.Fields.Get(name)
		text := ""
		if ok {
			found++
			text = cell(v)
		}
		w.cells = append(w.cells, text)
	}
	if found != d.Fields.Len() {
		return atoll.Errorf(atoll.FailedPrecondition, "the document %s has a field that is no column; name all columns, or none", d.Path)
	}
	w.count++
	return w.record(w.cells)
}

func (w *Writer) record(cells []string) error {
	c := csv.NewWriter(w.out)
	err := c.Write(cells)
	if c.Flush(); err == nil {
		err = c.Error()
	}
	return written(err)
}

func (w *Writer) put(b []byte) error {
	_, err := w.out.Write(b)
	return written(err)
}

func written(err error) error {
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot write the output: %v", err)
	}
	return nil
}

// Columns collects the names of the fields of documents, in the order in which
// they come.
type Columns struct {
	Names []string
	seen  map[string]bool
}

// Add takes the names of a document's fields.
func (c *Columns) Add(doc value.Value) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	for i := range doc.Len() {
		if name := doc.Field(i).Name; !c.seen[name] {
			c.seen[name] = true
			c.Names = append(c.Names, name)
		}
	}
}
