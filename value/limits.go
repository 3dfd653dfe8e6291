package value

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"atoll"
)

// Limits of documents, from Firestore's "Quotas and limits".
const (
	// MaxDocumentSize is the most that DocumentSize may return, in bytes.
	MaxDocumentSize = 1 << 20
	// MaxValueSize is the most that one field's value may take: the bytes of
	// a string or of bytes, the Size of an array or map.
	MaxValueSize = 1<<20 - 89
	// MaxDepth is how many arrays and maps may lie one in the other around a
	// value; the document itself does not count.
	MaxDepth = 20
	// MaxDimensions is the most components a vector may have.
	MaxDimensions = 2048
)

// Sizes in bytes, from Firestore's "Storage size calculations".
const (
	nameOverhead = 16 // of a document's name
	mapOverhead  = 32 // of a document's fields, and of a map
)

// Size returns what a value takes by Firestore's rules for storage size, in
// bytes; it is not the length of the stored form.
func Size(v Value) int {
	switch v.kind {
	case KindNull, KindBool:
		return 1
	case KindInt, KindDouble, KindTimestamp:
		return 8
	case KindString:
		return len(v.str) + 1
	case KindBytes:
		return len(v.str)
	case KindReference:
		return referenceSize(v.str)
	case KindGeoPoint:
		return 16
	case KindVector:
		return 8 * v.Len()
	}
	size := 0
	for _, e := range v.elems() {
		size += Size(e)
	}
	if v.kind == KindMap {
		size += mapOverhead
	}
	for _, f := range v.fields() {
		size += len(f.Name) + 1 + Size(f.Value)
	}
	return size
}

// DocumentSize returns what a document takes by Firestore's rules for storage
// size: its name, its fields' names and values, and 32 bytes.
func DocumentSize(path atoll.Path, doc Value) int { return nameSize(string(path)) + Size(doc) }

// nameSize is the size of a document's name: of each id, and 16 bytes.
func nameSize(path string) int {
	size := nameOverhead
	for i := 0; path != ""; i++ {
		id, rest, _ := strings.Cut(path, "/")
		if _, numeric := atoll.NumericID(id); numeric && i%2 == 1 {
			size += 8
		} else {
			size += len(id) + 1
		}
		path = rest
	}
	return size
}

func referenceSize(name string) int {
	_, path, _ := cutReference(name)
	return nameSize(path)
}

// cutReference splits a resource name behind its database's name.
func cutReference(name string) (db, path string, ok bool) {
	slashes := 0
	for i := range len(name) {
		if name[i] == '/' {
			slashes++
		}
		if slashes == firstPathSegment-1 {
			path, ok = strings.CutPrefix(name[i:], "/documents/")
			return name[:i], path, ok
		}
	}
	return "", "", false
}

// ParseReference splits a document's full resource name. It fails with Invalid
// if the name has another form or breaks the rules for names.
func ParseReference(name string) (atoll.Database, atoll.Path, error) {
	db, path, ok := cutReference(name)
	p := atoll.Path(path)
	if !ok || !p.IsDocument() {
		return atoll.Database{}, "", atoll.Errorf(atoll.Invalid,
			"%.100q is not a document's name; it has the form projects/{project}/databases/{database}/documents/{collection}/{id}", name)
	}
	d, err := atoll.ParseDatabase(db)
	if err != nil {
		return atoll.Database{}, "", err
	}
	return d, p, p.Check()
}

// CheckDocument fails with Invalid if doc, at path, breaks a limit of Firestore
// or cannot be stored. The message names the field. Whatever passes can be
// encoded and read back.
func CheckDocument(path atoll.Path, doc Value) error {
	if err := path.Check(); err != nil {
		return err
	}
	if !path.IsDocument() {
		return atoll.Errorf(atoll.Invalid, "the path %.100q names no document: it has an odd number of ids", string(path))
	}
	if doc.kind != KindMap {
		return atoll.Errorf(atoll.Invalid, "a document is a map, not a %s", doc.kind)
	}
	c := checker{trail: make([]step, 0, 4)}
	size, err := c.fields(doc)
	if err != nil {
		return err
	}
	if size += nameSize(string(path)); size > MaxDocumentSize {
		return atoll.Errorf(atoll.Invalid, "the document %.100q takes %d bytes; %d are allowed", string(path), size, MaxDocumentSize)
	}
	return nil
}

// CheckValue fails with Invalid if v could be no field's value, as
// CheckDocument would. It is for operands of transforms and queries.
func CheckValue(v Value) error {
	c := checker{above: 1}
	_, err := c.value(v)
	return err
}

// checker walks over a document. trail is the way to the value at hand, above
// how many steps lie before it.
type checker struct {
	trail []step
	above int
}

// step goes into a map's field, or into an array's element if index >= 0.
type step struct {
	name  string
	index int
}

func (c *checker) fail(format string, args ...any) error {
	return atoll.Errorf(atoll.Invalid, "%s "+format, append([]any{c.where()}, args...)...)
}

func (c *checker) where() string {
	if len(c.trail) == 0 {
		return "the value"
	}
	var b strings.Builder
	b.WriteString("the field ")
	for i, s := range c.trail {
		if s.index >= 0 {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		writeName(&b, s.name[:min(len(s.name), 100)])
	}
	return b.String()
}

// value checks v and returns its Size.
func (c *checker) value(v Value) (size int, err error) {
	switch v.kind {
	case KindTimestamp:
		if t := v.Time(); t < atoll.MinTime || t > atoll.MaxTime {
			return 0, c.fail("holds the timestamp %d us; the years 1 to 9999 are allowed", int64(t))
		}
	case KindString:
		if !utf8.ValidString(v.str) {
			return 0, c.fail("holds a string that is not UTF-8")
		}
		return len(v.str) + 1, c.fits(len(v.str))
	case KindBytes:
		return len(v.str), c.fits(len(v.str))
	case KindReference:
		if _, _, err := ParseReference(v.str); err != nil {
			return 0, c.fail("holds a bad reference: %s", atoll.AsError(err).Msg)
		}
	case KindGeoPoint:
		if !validGeoPoint(v.GeoPoint()) {
			return 0, c.fail("holds %s; a latitude is -90 to 90 and a longitude -180 to 180", v)
		}
	case KindVector:
		if v.Len() > MaxDimensions {
			return 0, c.fail("holds a vector of %d dimensions; %d are allowed", v.Len(), MaxDimensions)
		}
	case KindArray:
		size, err = c.elems(v)
	case KindMap:
		size, err = c.fields(v)
	}
	if v.kind != KindArray && v.kind != KindMap {
		return Size(v), nil
	}
	if err != nil {
		return 0, err
	}
	return size, c.fits(size)
}

func validGeoPoint(latitude, longitude float64) bool {
	return -90 <= latitude && latitude <= 90 && -180 <= longitude && longitude <= 180
}

func (c *checker) fits(size int) error {
	if size > MaxValueSize {
		return c.fail("holds a value of %d bytes; %d are allowed", size, MaxValueSize)
	}
	return nil
}

func (c *checker) elems(v Value) (size int, err error) {
	for i, e := range v.elems() {
		if e.kind == KindArray {
			return 0, c.fail("holds an array in an array, at %d; put a map between them", i)
		}
		n, err := c.inside(step{index: i}, e)
		if err != nil {
			return 0, err
		}
		size += n
	}
	return size, nil
}

func (c *checker) fields(v Value) (size int, err error) {
	size = mapOverhead
	for _, f := range v.fields() {
		if err := CheckName(f.Name); err != nil {
			if len(c.trail) == 0 {
				return 0, err
			}
			return 0, c.fail("holds a bad map: %s", atoll.AsError(err).Msg)
		}
		n, err := c.inside(step{name: f.Name, index: -1}, f.Value)
		if err != nil {
			return 0, err
		}
		size += len(f.Name) + 1 + n
	}
	return size, nil
}

// inside checks v one step further down.
func (c *checker) inside(s step, v Value) (size int, err error) {
	c.trail = append(c.trail, s)
	if depth := c.above + len(c.trail) - 1; depth > MaxDepth {
		return 0, c.fail("lies in %d arrays and maps; %d are allowed", depth, MaxDepth)
	}
	size, err = c.value(v)
	c.trail = c.trail[:len(c.trail)-1]
	return size, err
}
