package ask

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"atoll"
)

// before and behind are how many characters of a text are shown around a place.
const (
	before = 50
	behind = 25
)

// wrong returns an error that points at a byte of the text.
func (s *scanner) wrong(at int, format string, args ...any) error {
	head, tail := visible(s.text[:at]), visible(s.text[at:])
	if n := utf8.RuneCountInString(head); n > before {
		head = "…" + string([]rune(head)[n-before:])
	}
	if utf8.RuneCountInString(tail) > behind {
		tail = string([]rune(tail)[:behind]) + "…"
	}
	return atoll.Errorf(atoll.Invalid, "%s\n  %s%s\n  %s^", fmt.Sprintf(format, args...), head, tail, strings.Repeat(" ", utf8.RuneCountInString(head)))
}

// visible gives every character one place on a line.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '·'
		}
		return r
	}, text)
}
