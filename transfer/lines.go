package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"atoll"
)

// lineRows reads a file whose rows are lines. Blank ones are none.
type lineRows struct {
	file   string
	buf    *bufio.Reader
	count  *countingReader
	long   []byte // a line that does not fit into the buffer
	line   int
	number int64
}

func newLineRows(file string, r io.Reader) *lineRows {
	c := &countingReader{r: r}
	return &lineRows{file: file, buf: bufio.NewReaderSize(c, 256<<10), count: c}
}

func (l *lineRows) offset() int64 { return l.count.n - int64(l.buf.Buffered()) }

func (l *lineRows) next() (Row, error) {
	for {
		text, size, err := l.read()
		if err != nil {
			return Row{}, err
		}
		l.line++
		if l.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(text)) == 0 && size <= MaxRow {
			continue
		}
		l.number++
		row := Row{Number: l.number, Line: l.line, Column: 1, text: text}
		if size > MaxRow {
			return row, rowError(l.file, &row, tooLong(size))
		}
		return row, nil
	}
}

func tooLong(size int) error {
	return atoll.Errorf(atoll.Invalid, "the row has %d bytes; %d are allowed. Is this the right --format?", size, MaxRow)
}

// read returns the next line without its end, and its size. Of a line over
// MaxRow only the size is kept.
func (l *lineRows) read() (text []byte, size int, err error) {
	l.long = l.long[:0]
	for {
		part, err := l.buf.ReadSlice('\n')
		size += len(part)
		switch {
		case err == nil && len(l.long) == 0:
			return bytes.TrimRight(part, "\r\n"), size, nil
		case size <= MaxRow:
			l.long = append(l.long, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && size == 0:
			return nil, 0, io.EOF
		case err == nil || errors.Is(err, io.EOF):
			return bytes.TrimRight(l.long, "\r\n"), size, nil
		default:
			return nil, 0, unreadable(l.file, err)
		}
	}
}
