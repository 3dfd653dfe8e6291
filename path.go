package atoll

import (
	"strings"
	"unicode/utf8"
)

// Limits of names, as in Firestore's "Quotas and limits".
const (
	MaxIDLen       = 1500     // bytes in a collection or document id
	MaxPathLen     = 6 * 1024 // bytes in a document's full name
	MaxPathDepth   = 100      // collections on the way to a document
	MaxDatabaseLen = 63       // bytes in a project or database id
)

// Database names one database of one project.
type Database struct {
	Project string `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"`
}

// DefaultDatabase is the id of a project's first database.
const DefaultDatabase = "(default)"

// String returns the resource name projects/P/databases/D.
func (d Database) String() string { return "projects/" + d.Project + "/databases/" + d.ID }

// ParseDatabase reads projects/P/databases/D. It fails with Invalid.
func ParseDatabase(name string) (Database, error) {
	s := strings.Split(name, "/")
	if len(s) != 4 || s[0] != "projects" || s[2] != "databases" {
		return Database{}, Errorf(Invalid, "%q is not a database name; it has the form projects/{project}/databases/{database}", name)
	}
	d := Database{Project: s[1], ID: s[3]}
	return d, d.Check()
}

// Check fails with Invalid on an empty, overlong or malformed project or
// database id.
func (d Database) Check() error {
	for _, id := range []struct{ what, s string }{{"project", d.Project}, {"database", d.ID}} {
		if id.s == "" || len(id.s) > MaxDatabaseLen || !utf8.ValidString(id.s) || strings.ContainsAny(id.s, "/\x00") {
			return Errorf(Invalid, "%s id %q is not 1 to %d bytes of UTF-8 without slashes", id.what, id.s, MaxDatabaseLen)
		}
	}
	return nil
}

// Path is a document's or collection's place in its database: ids joined by
// slashes. An odd number of ids names a collection, an even one a document;
// the empty path is the root of the database.
type Path string

// Segments returns the ids.
func (p Path) Segments() []string {
	if p == "" {
		return nil
	}
	return strings.Split(string(p), "/")
}

// Len returns the number of ids.
func (p Path) Len() int {
	if p == "" {
		return 0
	}
	return strings.Count(string(p), "/") + 1
}

// IsDocument reports whether p names a document.
func (p Path) IsDocument() bool { n := p.Len(); return n > 0 && n%2 == 0 }

// IsCollection reports whether p names a collection.
func (p Path) IsCollection() bool { return p.Len()%2 == 1 }

// ID returns the last id, empty for the root.
func (p Path) ID() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Parent returns p without its last id; the root's parent is the root.
func (p Path) Parent() Path { return p[:max(strings.LastIndexByte(string(p), '/'), 0)] }

// Child returns p with one more id.
func (p Path) Child(id string) Path {
	if p == "" {
		return Path(id)
	}
	return p + "/" + Path(id)
}

// Check fails with Invalid if p breaks Firestore's rules for names: an empty,
// overlong or reserved id ("." ".." and __.*__, save numeric ids of the form
// __id7__), bytes that are not UTF-8, a path too long or too deep.
func (p Path) Check() error {
	if len(p) > MaxPathLen {
		return Errorf(Invalid, "a path of %d bytes is over the limit of %d", len(p), MaxPathLen)
	}
	if p.Len() > 2*MaxPathDepth {
		return Errorf(Invalid, "the path %.40q... has %d ids; %d are allowed", string(p), p.Len(), 2*MaxPathDepth)
	}
	for i, id := range p.Segments() {
		switch {
		case id == "":
			return Errorf(Invalid, "the path %q has an empty id at place %d", string(p), i+1)
		case len(id) > MaxIDLen:
			return Errorf(Invalid, "the id %.40q... has %d bytes; %d are allowed", id, len(id), MaxIDLen)
		case !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0:
			return Errorf(Invalid, "the id %q is not UTF-8 without NUL", id)
		case id == "." || id == "..":
			return Errorf(Invalid, "the id %q is reserved", id)
		case len(id) >= 4 && strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__"):
			if _, ok := NumericID(id); !ok || i%2 == 0 {
				return Errorf(Invalid, "the id %q is reserved (__.*__)", id)
			}
		}
	}
	return nil
}

// NumericID returns n for a document id of the form __idN__, which Firestore
// orders as a signed 64-bit number, before all other ids.
func NumericID(id string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(id, "__id")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, "__")
	if !ok || digits == "" {
		return 0, false
	}
	neg := false
	if digits[0] == '-' {
		neg, digits = true, digits[1:]
	}
	if digits == "" || len(digits) > 19 || (digits[0] == '0' && (len(digits) > 1 || neg)) {
		return 0, false
	}
	var u uint64
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	if neg {
		if u > 1<<63 {
			return 0, false
		}
		return -int64(u), true
	}
	if u > 1<<63-1 {
		return 0, false
	}
	return int64(u), true
}
