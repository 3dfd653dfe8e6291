package rest

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"atoll"
)

// template is the path of an annotation, such as
// /v1/{name=projects/*/databases/*/documents/*/**}:verb. The language is that
// of google/api/http.proto; "**" stands for any number of segments, once in a
// template at most.
type template struct {
	segments []string // "*", "**", or what must stand there
	many     int      // the place of "**", or -1
	vars     []variable
	verb     string // behind the last colon, or empty
}

// variable is a field of the request that the path holds.
type variable struct {
	field    string // a path of names of fields, with dots
	from, to int    // its segments of the template
}

// parseTemplate reads a template. It fails if the definition of the service
// holds one that this package cannot follow.
func parseTemplate(text string) (template, error) {
	t := template{many: -1}
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return t, fmt.Errorf("the template %q does not begin with a slash", text)
	}
	for rest != "" {
		var part string
		if inner, isVar := strings.CutPrefix(rest, "{"); isVar {
			part, rest, ok = strings.Cut(inner, "}")
			if !ok {
				return t, fmt.Errorf("the template %q has a brace that is not closed", text)
			}
			field, pattern, named := strings.Cut(part, "=")
			if !named {
				pattern = "*"
			}
			from := len(t.segments)
			t.add(pattern)
			t.vars = append(t.vars, variable{field, from, len(t.segments)})
		} else {
			end := strings.IndexAny(rest, "/:")
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
			t.add(part)
		}
		switch {
		case strings.HasPrefix(rest, ":"):
			t.verb, rest = rest[1:], ""
		case strings.HasPrefix(rest, "/"):
			rest = rest[1:]
		case rest != "":
			return t, fmt.Errorf("the template %q cannot be read from %q on", text, rest)
		}
	}
	for i, s := range t.segments {
		if s == "**" && t.many >= 0 {
			return t, fmt.Errorf("the template %q has ** twice", text)
		} else if s == "**" {
			t.many = i
		}
	}
	return t, nil
}

func (t *template) add(pattern string) {
	t.segments = append(t.segments, strings.Split(pattern, "/")...)
}

// match returns the values of the template's variables in a path of segments
// that are still escaped, or false.
func (t *template) match(path []string) (values [][]string, ok bool) {
	extra := len(path) - len(t.segments) // segments for ** beyond one
	if extra < -1 || t.many < 0 && extra != 0 {
		return nil, false
	}
	at := func(i int) int { // where the template's segment i begins in the path
		if t.many >= 0 && i > t.many {
			return i + extra
		}
		return i
	}
	for i, s := range t.segments {
		switch {
		case s == "**":
		case s == "*" && path[at(i)] == "":
			return nil, false
		case s != "*" && s != path[at(i)]:
			return nil, false
		}
	}
	for _, v := range t.vars {
		values = append(values, path[at(v.from):at(v.to)])
	}
	return values, true
}

// unescape joins segments of a path to the value of a field. A slash within a
// segment is refused: it would change which document is meant.
func unescape(segments []string) (string, error) {
	plain := make([]string, len(segments))
	for i, s := range segments {
		p, err := url.PathUnescape(s)
		if err != nil {
			return "", atoll.Errorf(atoll.Invalid, "the path holds %.100q, which is not percent-encoded text", s)
		}
		if strings.Contains(p, "/") {
			return "", atoll.Errorf(atoll.Invalid, "the path holds %.100q; an id cannot contain a slash", s)
		}
		if !utf8.ValidString(p) {
			return "", atoll.Errorf(atoll.Invalid, "the path holds %.100q, which is not UTF-8", s)
		}
		plain[i] = p
	}
	return strings.Join(plain, "/"), nil
}
