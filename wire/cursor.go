package wire

import (
	"encoding/binary"
	"iter"
	"math"
	"unicode/utf8"
)

// Parser is a type that reads its own encoding, without reflection: the few
// messages that are read for each request. ParseWire reports false, and leaves
// the receiver as it was made, for bytes that it does not know to be just what
// Marshal writes; Unmarshal then decodes them as any other type's.
type Parser interface{ ParseWire(b []byte) bool }

// Encoder is a type that writes its own encoding, byte for byte what Marshal
// would write by reflection. EncodeWire reports false for a value that it leaves
// to that.
type Encoder interface {
	EncodeWire() ([]byte, bool)
}

// Cursor walks over an encoding for a Parser. It knows definite lengths in
// their shortest form, and integers that are not negative; whatever else it
// meets makes it fail, and then it stays failed.
type Cursor struct {
	rest   []byte
	failed bool
}

// NewCursor returns a cursor at the beginning of b.
func NewCursor(b []byte) *Cursor { return &Cursor{rest: b} }

// Done reports whether everything was read, and nothing unknown was met.
func (c *Cursor) Done() bool { return !c.failed && len(c.rest) == 0 }

// Fail makes the cursor fail.
func (c *Cursor) Fail() { c.failed, c.rest = true, nil }

// Major types (RFC 8949, section 3.1).
const (
	majorUint  = 0
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

// Simple values (RFC 8949, section 3.3).
const (
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
	simpleNull  = 0xf6
)

// head reads the head of an item of a major type.
func (c *Cursor) head(major byte) uint64 {
	if len(c.rest) == 0 || c.rest[0]>>5 != major {
		c.Fail()
		return 0
	}
	info := c.rest[0] & 31
	if info < 24 {
		c.rest = c.rest[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(c.rest) < 1+size {
		c.Fail()
		return 0
	}
	var long [8]byte
	copy(long[8-size:], c.rest[1:])
	n := binary.BigEndian.Uint64(long[:])
	if shortest := size == 1 && n >= 24 || size > 1 && n>>(4*size) != 0; !shortest {
		c.Fail()
		return 0
	}
	c.rest = c.rest[1+size:]
	return n
}

// Uint reads an integer that is not negative, up to max.
func (c *Cursor) Uint(max uint64) uint64 {
	n := c.head(majorUint)
	if n > max {
		c.Fail()
		return 0
	}
	return n
}

// Int64 reads an integer that is not negative.
func (c *Cursor) Int64() int64 { return int64(c.Uint(math.MaxInt64)) }

// take returns the next n bytes.
func (c *Cursor) take(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.Fail()
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// Bytes reads a byte string. It is a part of what is read.
func (c *Cursor) Bytes() []byte { return c.take(c.head(majorBytes)) }

// Text reads a text string.
func (c *Cursor) Text() string {
	b := c.take(c.head(majorText))
	if !utf8.Valid(b) {
		c.Fail()
		return ""
	}
	return string(b)
}

// Bool reads a boolean.
func (c *Cursor) Bool() bool {
	b := c.take(1)
	if c.failed || b[0] != simpleFalse && b[0] != simpleTrue {
		c.Fail()
		return false
	}
	return b[0] == simpleTrue
}

// Array reads the head of an array of at most max items.
func (c *Cursor) Array(max int) int {
	n := c.head(majorArray)
	if n > uint64(max) || n > uint64(len(c.rest)) {
		c.Fail()
		return 0
	}
	return int(n)
}

// Fields walks over a map with small integers as keys, in ascending order. The
// body reads the value of each key that it gets, or fails.
func (c *Cursor) Fields() iter.Seq[int] {
	return func(yield func(int) bool) {
		last := -1
		for n := c.head(majorMap); n > 0 && !c.failed; n-- {
			key := int(c.Uint(math.MaxInt32))
			if c.failed || key <= last {
				c.Fail()
				return
			}
			if last = key; !yield(key) {
				return
			}
		}
	}
}

// appendHead writes the head of an item.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

// AppendUint appends an integer.
func AppendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

// AppendBytes appends a byte string; nil is null.
func AppendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, simpleNull)
	}
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

// AppendText appends a text string.
func AppendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, simpleTrue)
	}
	return append(dst, simpleFalse)
}

// AppendArray appends the head of an array of n items.
func AppendArray(dst []byte, n int) []byte { return appendHead(dst, majorArray, uint64(n)) }

// AppendMap appends the head of a map of n fields.
func AppendMap(dst []byte, n int) []byte { return appendHead(dst, majorMap, uint64(n)) }
