package transfer

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"atoll"
	"atoll/value"
)

// pathColumn is the name of the column that holds a document's path.
const pathColumn = "$path"

// tableRows reads CSV. The first record is the header.
type tableRows struct {
	file   string
	csv    *csv.Reader
	count  *countingReader
	names  []string
	number int64
}

// newTableRows reads the header. It fails with Invalid if there is none, or if
// it names no fields.
func newTableRows(file string, r io.Reader) (*tableRows, error) {
	c := &countingReader{r: r}
	t := &tableRows{file: file, csv: csv.NewReader(&lineBound{r: c, room: MaxRow}), count: c}
	t.csv.ReuseRecord = true
	names, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, atoll.Errorf(atoll.Invalid, "%s is empty; the first line of a CSV file names the fields", file)
	}
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "the header of %s cannot be read: %v", file, err)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	seen := map[string]bool{}
	for i, name := range names {
		line, column := t.csv.FieldPos(i)
		err := value.CheckName(name)
		if err == nil && seen[name] {
			err = atoll.Errorf(atoll.Invalid, "the field %q is named twice", name)
		}
		if err != nil {
			return nil, atoll.Errorf(atoll.Invalid, "%s:%d:%d: %s", file, line, column, atoll.AsError(err).Msg)
		}
		seen[name] = true
		t.names = append(t.names, name)
	}
	return t, nil
}

func (t *tableRows) offset() int64 { return min(t.csv.InputOffset(), t.count.n) }

func (t *tableRows) next() (Row, error) {
	cells, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return Row{}, io.EOF
	}
	t.number++
	row := Row{Number: t.number, Line: 1, Column: 1, cells: cells}
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		row.Line, row.Column = bad.StartLine, max(bad.Column, 1)
		what := atoll.Errorf(atoll.Invalid, "malformed CSV: %v", bad.Err)
		if errors.Is(bad.Err, csv.ErrFieldCount) {
			what = atoll.Errorf(atoll.Invalid, "the row has %d cells; the header names %d fields", len(cells), len(t.names))
		}
		return row, rowError(t.file, &row, what)
	case err != nil:
		return row, unreadable(t.file, err)
	}
	row.Line, row.Column = t.csv.FieldPos(0)
	return row, nil
}

// lineBound fails when a quoted cell that is never closed would swallow the
// rest of a file: it gives at most MaxRow bytes from one line that ends a cell
// to the next, counted in a coarse way by line breaks without open quotes.
type lineBound struct {
	r     io.Reader
	room  int
	quote bool
}

func (l *lineBound) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	for _, c := range b[:n] {
		l.room--
		switch {
		case c == '"':
			l.quote = !l.quote
		case c == '\n' && !l.quote:
			l.room = MaxRow
		}
		if l.room <= 0 {
			return 0, atoll.Errorf(atoll.Invalid, "a row of the CSV has more than %d bytes; is a quote never closed?", MaxRow)
		}
	}
	return n, err
}
