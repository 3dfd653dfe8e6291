package kvtest

import (
	"fmt"
	"strings"
	"testing"

	"atoll"
)

func closeIter(t *testing.T, it atoll.Iterator) {
	t.Helper()
	if err := it.Close(); err != nil {
		t.Errorf("Close of an iterator: %v", err)
	}
}

// walk returns what an iterator passes on its way from the first key to the end.
func walk(it atoll.Iterator) string {
	var all []string
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		all = append(all, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	return strings.Join(all, " ")
}

// wantAll compares everything in a reader with pairs of the form "k=v k=v".
func wantAll(t *testing.T, r atoll.Reader, want string) {
	t.Helper()
	it := r.Iter(nil, nil)
	if got := walk(it); got != want {
		t.Errorf("the store holds %q; want %q", got, want)
	}
	closeIter(t, it)
}

// script moves an iterator and writes down where it stands after each move.
// The moves are n(ext), p(rev), g<key> for SeekGE and l<key> for SeekLT.
func script(it atoll.Iterator, moves string) string {
	var out []string
	for _, m := range strings.Fields(moves) {
		var ok bool
		switch m[0] {
		case 'n':
			ok = it.Next()
		case 'p':
			ok = it.Prev()
		case 'g':
			ok = it.SeekGE([]byte(m[1:]))
		case 'l':
			ok = it.SeekLT([]byte(m[1:]))
		}
		if ok {
			out = append(out, string(it.Key()))
		} else {
			out = append(out, "-")
		}
	}
	return strings.Join(out, " ")
}

type iteratorCase struct{ lo, hi, moves, want string }

// run walks an iterator over lo <= key < hi; hi "-" is no end.
func (c iteratorCase) run(t *testing.T, s atoll.Store) {
	t.Helper()
	hi := []byte(c.hi)
	if c.hi == "-" {
		hi = nil
	}
	it := s.Iter([]byte(c.lo), hi)
	if got := script(it, c.moves); got != c.want {
		t.Errorf("over [%q, %q) the moves %q pass %q; want %q", c.lo, c.hi, c.moves, got, c.want)
	}
	closeIter(t, it)
}

func testIterator(t *testing.T, s atoll.Store) {
	iteratorCase{"", "-", "n", "-"}.run(t, s)
	iteratorCase{"", "-", "p", "-"}.run(t, s)
	iteratorCase{"", "-", "ga la n p", "- - - -"}.run(t, s)
	load(t, s, "a", "c", "e")
	for _, c := range []iteratorCase{
		{"", "-", "n n n n n", "a c e - -"},     // from nowhere Next is the first
		{"", "-", "p p p p p", "e c a - -"},     // and Prev the last
		{"", "-", "n n n n p p", "a c e - e c"}, // the end is a place of its own
		{"", "-", "p p p p n n", "e c a - a c"}, // and so is the beginning
		{"", "-", "ga n p n", "a c a c"},
		{"", "-", "gb p n", "c a c"},
		{"", "-", "gf p n n", "- e - -"},
		{"", "-", "la n n", "- a c"},
		{"", "-", "lb lc ld le lf", "a a c c e"},
		{"", "-", "lz p n n n", "e c e - -"},
		{"", "-", "ge n ga", "e - a"},
		{"", "-", "gf la gc", "- - c"},
	} {
		c.run(t, s)
	}
}

func testIteratorBounds(t *testing.T, s atoll.Store) {
	load(t, s, "a", "b", "c", "d", "e")
	for _, c := range []iteratorCase{
		{"b", "d", "n n n p p p n", "b c - c b - b"},
		{"b", "d", "p p p n", "c b - b"},
		{"b", "d", "ga gb gd ge", "b b - -"},
		{"b", "d", "la lb lc ld le", "- - b c c"},
		{"b", "d", "ge p", "- c"},
		{"b", "d", "la n", "- b"},
		{"bb", "dd", "n n n", "c d -"},
		{"bb", "dd", "lz p p", "d c -"},
		{"c", "-", "n n n n", "c d e -"},
		{"c", "-", "p lz lc", "e e -"},
		{"c", "c", "n p ga lz", "- - - -"}, // nothing in between
		{"d", "b", "n p ga lz", "- - - -"}, // backwards
		{"", "", "n p ga lz", "- - - -"},   // an empty bound is not an absent one
		{"x", "-", "n p", "- -"},
		{"", "a", "n p", "- -"},
	} {
		c.run(t, s)
	}
}
