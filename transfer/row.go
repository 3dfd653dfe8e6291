package transfer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"atoll"
	"atoll/value"
)

// MaxRow is the longest that the text of one row may be, in bytes: four times
// the largest document, which JSON may need for it.
const MaxRow = 4 * value.MaxDocumentSize

// Format is how a file holds documents.
type Format string

// The formats.
const (
	JSONL Format = "jsonl" // a JSON object on each line
	JSON  Format = "json"  // an array of JSON objects
	CSV   Format = "csv"   // RFC 4180, with a header
)

// ParseFormat reads the name of a format. It fails with Invalid.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case JSONL, JSON, CSV:
		return f, nil
	}
	return "", atoll.Errorf(atoll.Invalid, "there is no format %q; there are jsonl, json and csv", name)
}

// FormatOf returns the format that a file's extension tells. It fails with
// Invalid if it tells none.
func FormatOf(file string) (Format, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".jsonl", ".ndjson":
		return JSONL, nil
	case ".json":
		return JSON, nil
	case ".csv":
		return CSV, nil
	}
	return "", atoll.Errorf(atoll.Invalid, "the name of %s does not tell its format; say --format jsonl, json or csv", file)
}

// Row is one row of a file, read and not yet understood.
type Row struct {
	Number       int64 // of the row in its file, from 1
	Line, Column int   // at which it begins, from 1
	text         []byte
	cells        []string
}

// RowError says what is wrong with one row. Those behind it can be read.
type RowError struct {
	File    string     `json:"file"`
	Line    int        `json:"line"`
	Column  int        `json:"column"`
	Row     int64      `json:"row"`
	Path    atoll.Path `json:"path,omitempty"` // of the document, if it is known
	Message string     `json:"error"`
	Err     error      `json:"-"`
}

// Error tells place and offence.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Unwrap returns the offence, an atoll.Error.
func (e *RowError) Unwrap() error { return e.Err }

// rowError says what is wrong with a row.
func rowError(file string, r *Row, err error) *RowError {
	return &RowError{File: file, Line: r.Line, Column: r.Column, Row: r.Number, Err: err, Message: atoll.AsError(err).Msg}
}

// rows reads the rows of a file.
type rows interface {
	// next returns the next row, valid until the following call, or io.EOF.
	// With a *RowError the rows behind it can still be read.
	next() (Row, error)
	// offset returns how many bytes of the file have been taken, or a little
	// more.
	offset() int64
}

// countingReader counts what is read, for progress.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unreadable wraps an error of the file itself.
func unreadable(file string, err error) error {
	var e *atoll.Error
	if errors.As(err, &e) {
		return err
	}
	return atoll.Errorf(atoll.Unavailable, "cannot read %s: %v", file, err)
}

// sortRows puts errors into the order of their rows.
func sortRows(list []*RowError) {
	slices.SortFunc(list, func(a, b *RowError) int { return cmp.Compare(a.Row, b.Row) })
}
