package transfer

import (
	"encoding/json"
	"errors"
	"io"

	"atoll"
)

// arrayRows reads a file that is one JSON array; its elements are the rows.
// JSON that is malformed ends the reading: nobody can tell where the next
// element begins.
type arrayRows struct {
	file   string
	dec    *json.Decoder
	places *places
	open   bool
	number int64
}

func newArrayRows(file string, r io.Reader) *arrayRows {
	p := &places{r: r, line: 1, room: MaxRow}
	return &arrayRows{file: file, dec: json.NewDecoder(p), places: p}
}

func (a *arrayRows) offset() int64 { return a.dec.InputOffset() }

func (a *arrayRows) next() (Row, error) {
	if !a.open {
		t, err := a.dec.Token()
		if err != nil || t != json.Delim('[') {
			return Row{}, a.bad(err, "the file is no JSON array; it has the form [{...}, {...}]. For an object on each line say --format jsonl")
		}
		a.open = true
	}
	if !a.dec.More() {
		return Row{}, a.end()
	}
	var text json.RawMessage
	if err := a.dec.Decode(&text); err != nil {
		return Row{}, a.bad(err, "")
	}
	a.number++
	at := a.dec.InputOffset() - int64(len(text))
	row := Row{Number: a.number, text: text}
	row.Line, row.Column = a.places.of(at)
	a.places.room = MaxRow
	if len(text) > MaxRow {
		return row, rowError(a.file, &row, tooLong(len(text)))
	}
	return row, nil
}

// end makes sure that the array ends where the file does.
func (a *arrayRows) end() error {
	if _, err := a.dec.Token(); err != nil {
		return a.bad(err, "")
	}
	if _, err := a.dec.Token(); !errors.Is(err, io.EOF) {
		return a.bad(err, "there is more text behind the array")
	}
	return io.EOF
}

// bad tells where the file is no array of objects.
func (a *arrayRows) bad(err error, what string) error {
	var syntax *json.SyntaxError
	at := a.dec.InputOffset()
	switch {
	case errors.As(err, &syntax):
		at, what = max(syntax.Offset-1, 0), "malformed JSON: "+syntax.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what = "the file ends within the array"
	case what == "" && err != nil:
		return unreadable(a.file, err)
	}
	line, column := a.places.of(at)
	return atoll.Errorf(atoll.Invalid, "%s:%d:%d: %s", a.file, line, column, what)
}

// places is a reader that can tell line and column of what it gave, behind the
// last place it was asked for, and that gives a bounded amount between two rows.
type places struct {
	r      io.Reader
	given  int64
	breaks []int64 // offsets behind the line breaks that are not passed yet
	line   int     // of the last place asked for
	start  int64   // of that line
	room   int     // bytes that may still be given
}

func (p *places) Read(b []byte) (int, error) {
	if p.room <= 0 {
		return 0, atoll.Errorf(atoll.Invalid, "an element of the array has more than %d bytes", MaxRow)
	}
	// A read that begins within the room may go beyond it by one buffer.
	n, err := p.r.Read(b)
	p.room -= n
	for i, c := range b[:n] {
		if c == '\n' {
			p.breaks = append(p.breaks, p.given+int64(i)+1)
		}
	}
	p.given += int64(n)
	return n, err
}

// of returns line and column, in bytes, of an offset at or behind the last.
func (p *places) of(at int64) (line, column int) {
	passed := 0
	for passed < len(p.breaks) && p.breaks[passed] <= at {
		p.line++
		p.start = p.breaks[passed]
		passed++
	}
	p.breaks = p.breaks[:copy(p.breaks, p.breaks[passed:])]
	return p.line, int(at-p.start) + 1
}
