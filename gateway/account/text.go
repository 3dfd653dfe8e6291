package account

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
)

// MaxText bounds the text of a shape, in bytes. Shapes that differ behind it
// count as one.
const MaxText = 480

// nameField stands for a document's name.
const nameField = "__name__"

// ellipsis ends a text that was cut.
const ellipsis = "…"

// text is the text of a shape under way. However long the request is, it grows
// little above MaxText.
type text []byte

func (t *text) full() bool   { return len(*t) > MaxText }
func (t *text) add(s string) { *t = append(*t, s...) }

// clip cuts a text that is too long, between runes.
func (t *text) clip() []byte {
	b := *t
	if len(b) <= MaxText {
		return b
	}
	n := MaxText - len(ellipsis)
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return append(b[:n], ellipsis...)
}

// name adds the name of a collection or field, quoted unless it is plain: what
// a stranger chose must not end a line, colour a terminal, or look like another
// part of the text.
func (t *text) name(s string) {
	if t.full() {
		return
	}
	s = s[:min(len(s), MaxText)]
	if plain(s) {
		t.add(s)
	} else {
		*t = strconv.AppendQuote(*t, s)
	}
}

func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// path adds a path, with ? in place of ids of documents.
func (t *text) path(p atoll.Path) {
	rest, more := string(p), p != ""
	for i := 0; more && !t.full(); i++ {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if i > 0 {
			t.add("/")
		}
		if i%2 == 0 {
			t.name(segment)
		} else {
			t.add("?")
		}
	}
}

// query adds a normalised query, and what it sums up.
func (t *text) query(q *query.Query, figures []query.Aggregate) {
	t.path(q.Parent)
	if q.Parent != "" {
		t.add("/")
	}
	switch {
	case q.Collection == "":
		t.add("**")
	case q.Descendants:
		t.add("**/")
		t.name(q.Collection)
	default:
		t.name(q.Collection)
	}
	if q.Where != nil {
		t.add(" where ")
		t.filter(q.Where)
	}
	t.order(q.Order)
	t.cursor(" start", q.Start)
	t.cursor(" end", q.End)
	if q.Nearest != nil {
		t.add(" nearest ")
		t.name(q.Nearest.Field)
	}
	if q.Offset > 0 {
		t.add(" offset ?")
	}
	if q.Limit > 0 {
		t.add(" limit ?")
	}
	if q.Selects {
		t.add(" select ")
		for i, field := range q.Select {
			t.separate(i)
			t.name(field)
		}
	}
	t.figures(figures)
}

// separate stands before the i-th thing of a list.
func (t *text) separate(i int) {
	if i > 0 && !t.full() {
		t.add(", ")
	}
}

// comparisons are the operators as "atoll query" takes them.
var comparisons = [...]string{
	query.Equal: " == ?", query.NotEqual: " != ?", query.Less: " < ?", query.LessOrEqual: " <= ?", query.Greater: " > ?", query.GreaterOrEqual: " >= ?",
	query.In: " in [?]", query.NotIn: " not-in [?]", query.ArrayContains: " array-contains ?", query.ArrayContainsAny: " array-contains-any [?]",
	query.IsNaN: " == NaN", query.IsNotNaN: " != NaN", query.IsNull: " == null", query.IsNotNull: " != null",
}

// filter adds a condition. Equal alternatives beside each other stand there
// once, so that a disjunction has one shape however many values it has.
func (t *text) filter(f *query.Filter) {
	if f.Op != query.And && f.Op != query.Or {
		t.name(f.Field)
		if int(f.Op) < len(comparisons) {
			t.add(comparisons[f.Op])
		}
		return
	}
	word := " and "
	if f.Op == query.Or {
		word = " or "
	}
	var before []byte // what the last part became
	for i := range f.Parts {
		if t.full() {
			return
		}
		start := len(*t)
		if before != nil {
			t.add(word)
		}
		from := len(*t)
		nested := len(f.Parts[i].Parts) > 0
		if nested {
			t.add("(")
		}
		t.filter(&f.Parts[i])
		if nested {
			t.add(")")
		}
		if part := (*t)[from:]; before != nil && bytes.Equal(part, before) {
			*t = (*t)[:start]
		} else {
			before = part
		}
	}
}

// order adds the orders. The last one, by name, is left out if it goes the way
// of the one before, as it does if nothing else was asked for.
func (t *text) order(orders []query.Order) {
	if n := len(orders); n > 0 && orders[n-1].Field == nameField {
		desc := n > 1 && orders[n-2].Desc
		if orders[n-1].Desc == desc {
			orders = orders[:n-1]
		}
	}
	for i, o := range orders {
		if i == 0 {
			t.add(" order by ")
		}
		t.separate(i)
		t.name(o.Field)
		if o.Desc {
			t.add(" desc")
		}
	}
}

func (t *text) cursor(word string, c *query.Cursor) {
	if c == nil {
		return
	}
	t.add(word)
	if c.Before {
		t.add(" before ?")
	} else {
		t.add(" after ?")
	}
}

var figureNames = [...]string{query.Count: "count", query.Sum: "sum", query.Avg: "avg", query.Min: "min", query.Max: "max"}

func (t *text) figures(list []query.Aggregate) {
	for i, a := range list {
		if i == 0 {
			t.add(": ")
		}
		t.separate(i)
		if int(a.Op) < len(figureNames) {
			t.add(figureNames[a.Op])
		}
		if a.Field != "" {
			t.add("(")
			t.name(a.Field)
			t.add(")")
		}
	}
}

var opNames = [...]string{shard.OpSet: "set ", shard.OpDelete: "delete ", shard.OpVerify: "verify "}

const (
	// maxKinds is how many kinds of writes a text names, and maxLooked at how
	// many writes it looks for them.
	maxKinds  = 4
	maxLooked = 100
)

// writes adds what is done in which collections, each once, in the order of
// the writes.
func (t *text) writes(writes []shard.Write) {
	var kinds [maxKinds][]byte
	n := 0
	var last *shard.Write
	for i := range writes[:min(len(writes), maxLooked)] {
		w := &writes[i]
		if last != nil && w.Op == last.Op && w.Path.Parent() == last.Path.Parent() {
			continue
		}
		last = w
		start := len(*t)
		t.separate(n)
		from := len(*t)
		if int(w.Op) < len(opNames) {
			t.add(opNames[w.Op])
		}
		t.path(w.Path)
		part := (*t)[from:]
		known := slices.ContainsFunc(kinds[:n], func(k []byte) bool { return bytes.Equal(k, part) })
		switch {
		case known:
			*t = (*t)[:start]
		case n == maxKinds:
			*t = append((*t)[:from], ellipsis...)
			return
		default:
			kinds[n] = part
			n++
		}
	}
}
