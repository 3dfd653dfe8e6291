package value

import (
	"slices"
	"strings"
	"unicode/utf8"

	"atoll"
)

// Limits of field names, from Firestore's "Quotas and limits".
const (
	// MaxNameLen is the longest a field's name may be, in bytes.
	MaxNameLen = 1500
	// NameField is the field path that stands for a document's own name in
	// queries and masks. No document holds a field of that name.
	NameField = "__name__"
)

// FieldPath names a field of a document: the names of the maps on the way to
// it, and its own.
type FieldPath []string

// ParseFieldPath reads the canonical text of a field path: names joined by
// dots. A name that is not a letter or underscore followed by letters, digits
// and underscores stands between backticks, with \ before a backtick or a
// backslash. It fails with Invalid.
func ParseFieldPath(text string) (FieldPath, error) {
	var p FieldPath
	for rest := text; ; {
		name, after, err := parseName(rest)
		if err != nil {
			return nil, atoll.Errorf(atoll.Invalid, "the field path %.100q %s at byte %d", text, err.what, len(text)-len(rest)+err.at)
		}
		p = append(p, name)
		if after == "" {
			return p, p.Check()
		}
		if after[0] != '.' {
			return nil, atoll.Errorf(atoll.Invalid, "the field path %.100q has something other than a dot at byte %d", text, len(text)-len(after))
		}
		rest = after[1:]
	}
}

// pathError tells what is wrong at which byte of a name.
type pathError struct {
	what string
	at   int
}

func parseName(s string) (name, rest string, _ *pathError) {
	if s == "" {
		return "", "", &pathError{"lacks a name (an empty one is written ``)", 0}
	}
	if s[0] == '`' {
		return parseQuoted(s)
	}
	n := 0
	for n < len(s) && isSimple(s[n], n) {
		n++
	}
	if n == 0 || (n < len(s) && s[n] != '.') {
		return "", "", &pathError{"needs `backticks` around a name with a character other than letters, digits and _", n}
	}
	return s[:n], s[n:], nil
}

func parseQuoted(s string) (name, rest string, _ *pathError) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '`':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) || (s[i] != '`' && s[i] != '\\') {
				return "", "", &pathError{"has a backslash that is not before a backtick or backslash", i - 1}
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", &pathError{"lacks the closing backtick of the name that begins", 0}
}

// isSimple reports whether c may be the i-th byte of a name without quotes.
func isSimple(c byte, i int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || (i > 0 && '0' <= c && c <= '9')
}

// String returns the canonical text of the path.
func (p FieldPath) String() string {
	var b strings.Builder
	for i, name := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		writeName(&b, name)
	}
	return b.String()
}

func writeName(b *strings.Builder, name string) {
	simple := name != ""
	for i := 0; i < len(name) && simple; i++ {
		simple = isSimple(name[i], i)
	}
	if simple {
		b.WriteString(name)
		return
	}
	b.WriteByte('`')
	for i := 0; i < len(name); i++ {
		if name[i] == '`' || name[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	b.WriteByte('`')
}

// IsName reports whether p is __name__, which stands for the document's name.
func (p FieldPath) IsName() bool { return len(p) == 1 && p[0] == NameField }

// Compare orders paths name by name, a path before those that go on from it.
func (p FieldPath) Compare(q FieldPath) int { return slices.Compare(p, q) }

// Check fails with Invalid on an empty path, on more names than a document can
// be deep, and on a name that no field may have. __name__ alone passes.
func (p FieldPath) Check() error {
	if len(p) == 0 {
		return atoll.Errorf(atoll.Invalid, "a field path needs at least one name")
	}
	if len(p) > MaxDepth+1 {
		return atoll.Errorf(atoll.Invalid, "the field path %.100q has %d names; %d are allowed", p.String(), len(p), MaxDepth+1)
	}
	if p.IsName() {
		return nil
	}
	for _, name := range p {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	return nil
}

// CheckName fails with Invalid if no field may have this name: it is longer
// than MaxNameLen, not UTF-8, holds NUL, or is reserved (__.*__). The empty
// name passes.
func CheckName(name string) error {
	switch {
	case len(name) > MaxNameLen:
		return atoll.Errorf(atoll.Invalid, "the field name %.40q... has %d bytes; %d are allowed", name, len(name), MaxNameLen)
	case !utf8.ValidString(name):
		return atoll.Errorf(atoll.Invalid, "the field name %q is not UTF-8", name)
	case strings.IndexByte(name, 0) >= 0:
		return atoll.Errorf(atoll.Invalid, "the field name %q holds a NUL character, which cannot be stored in a name", name)
	case len(name) >= 4 && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__"):
		return atoll.Errorf(atoll.Invalid, "the field name %q is reserved (__.*__)", name)
	}
	return nil
}
