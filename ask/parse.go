package ask

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/query"
	"atoll/value"
)

// Parser reads the parts of a query of one database.
type Parser struct {
	Database atoll.Database
	// Collection is the one that is asked, by its path: ids that are compared
	// with __name__ are of it. Empty if there are several.
	Collection atoll.Path
}

// maxDepth is how deep parentheses and lists may nest; package query allows
// less.
const maxDepth = 50

// Condition reads a condition. It fails with Invalid, as the other methods do.
func (p Parser) Condition(text string) (query.Filter, error) {
	s := &scanner{Parser: p, text: text}
	f, err := s.or(0)
	if err == nil {
		err = s.end(`"and", "or" or the end`)
	}
	return f, err
}

// Orders reads sort orders.
func (p Parser) Orders(text string) ([]query.Order, error) {
	var out []query.Order
	s := &scanner{Parser: p, text: text}
	err := s.list(func() error {
		field, err := s.field()
		if err != nil {
			return err
		}
		o := query.Order{Field: field}
		switch word := s.word(); strings.ToLower(word) {
		case "desc":
			o.Desc = true
			s.pos += len(word)
		case "asc":
			s.pos += len(word)
		}
		out = append(out, o)
		return nil
	})
	if err == nil {
		err = s.end(`"asc", "desc", a comma or the end`)
	}
	return out, err
}

// Fields reads the paths of fields, and returns their canonical texts.
func (p Parser) Fields(text string) ([]string, error) {
	var out []string
	s := &scanner{Parser: p, text: text}
	err := s.list(func() error {
		field, err := s.field()
		out = append(out, field)
		return err
	})
	if err == nil {
		err = s.end("a comma or the end")
	}
	return out, err
}

// Values reads values of the fields of an order: they say where a result begins
// or ends.
func (p Parser) Values(text string, order []query.Order) ([]value.Value, error) {
	var out []value.Value
	s := &scanner{Parser: p, text: text}
	err := s.list(func() error {
		at := s.skip()
		v, err := s.value(0)
		if i := len(out); err == nil && (i == len(order) || i < len(order) && order[i].Field == value.NameField) {
			v, err = s.name(at, v)
		}
		out = append(out, v)
		return err
	})
	if err == nil {
		err = s.end("a comma or the end")
	}
	return out, err
}

// scanner reads a text from its beginning to its end.
type scanner struct {
	Parser
	text    string
	pos     int // of the next byte
	filters int
}

// skip goes over space, and returns where the next thing begins.
func (s *scanner) skip() int {
	s.pos = len(s.text) - len(strings.TrimLeftFunc(s.text[s.pos:], unicode.IsSpace))
	return s.pos
}

// rest is what has not been read, from the next thing on.
func (s *scanner) rest() string { return s.text[s.skip():] }

// take goes over a mark if it is next.
func (s *scanner) take(mark string) bool {
	if !strings.HasPrefix(s.rest(), mark) {
		return false
	}
	s.pos += len(mark)
	return true
}

// word returns the word that is next, which it does not go over; empty if there
// is none.
func (s *scanner) word() string {
	rest := s.rest()
	n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if n < 0 {
		n = len(rest)
	}
	return rest[:n]
}

// takeWord goes over a word, in either case, if it is next.
func (s *scanner) takeWord(word string) bool {
	if w := s.word(); strings.EqualFold(w, word) {
		s.pos += len(w)
		return true
	}
	return false
}

// list reads things between commas.
func (s *scanner) list(one func() error) error {
	for {
		if err := one(); err != nil {
			return err
		}
		if !s.take(",") {
			return nil
		}
	}
}

func (s *scanner) end(want string) error {
	if at := s.skip(); at < len(s.text) {
		return s.wrong(at, "here stands more; %s was expected", want)
	}
	return nil
}

func (s *scanner) or(depth int) (query.Filter, error) {
	return s.several(query.Or, "or", func() (query.Filter, error) {
		return s.several(query.And, "and", func() (query.Filter, error) { return s.term(depth) })
	})
}

// several reads parts with a word between them; one part stands for itself.
func (s *scanner) several(op query.Op, word string, part func() (query.Filter, error)) (query.Filter, error) {
	out := query.Filter{Op: op}
	for {
		f, err := part()
		if err != nil {
			return f, err
		}
		out.Parts = append(out.Parts, f)
		if !s.takeWord(word) {
			break
		}
	}
	if len(out.Parts) == 1 {
		return out.Parts[0], nil
	}
	return out, nil
}

func (s *scanner) term(depth int) (query.Filter, error) {
	at := s.skip()
	if !s.take("(") {
		return s.comparison()
	}
	if depth == maxDepth {
		return query.Filter{}, s.wrong(at, "parentheses are nested more than %d deep", maxDepth)
	}
	f, err := s.or(depth + 1)
	if err == nil && !s.take(")") {
		err = s.wrong(s.pos, `"and", "or" or the closing parenthesis was expected`)
	}
	return f, err
}

func (s *scanner) comparison() (query.Filter, error) {
	at := s.skip()
	if s.filters++; s.filters > query.MaxFilters {
		return query.Filter{}, s.wrong(at, "a query can have at most %d comparisons", query.MaxFilters)
	}
	var f query.Filter
	var err error
	if f.Field, err = s.field(); err != nil {
		return f, err
	}
	if f.Op, err = s.operator(); err != nil {
		return f, err
	}
	at = s.skip()
	v, err := s.value(0)
	if err != nil {
		return f, err
	}
	if list := f.Op == query.In || f.Op == query.NotIn || f.Op == query.ArrayContainsAny; list && v.Kind() != value.KindArray {
		return f, s.wrong(at, "a list is needed here, such as [1, 2]")
	}
	if f.Field == value.NameField {
		if v, err = s.name(at, v); err != nil {
			return f, err
		}
	}
	f.Value = value.EncodeValue(v)
	return f, nil
}

// field reads the path of a field and returns its canonical text.
func (s *scanner) field() (string, error) {
	rest, at := s.rest(), s.pos
	n, quoted := 0, false
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		if quoted && r == '\\' && n+1 < len(rest) {
			_, next := utf8.DecodeRuneInString(rest[n+1:])
			size += next
		}
		if r == '`' {
			quoted = !quoted
		} else if !quoted && r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		n += size
	}
	if n == 0 {
		return "", s.wrong(at, "the name of a field was expected, such as age or `first name`")
	}
	path, err := value.ParseFieldPath(rest[:n])
	if err != nil {
		return "", s.wrong(at, "%s", atoll.AsError(err).Msg)
	}
	s.pos += n
	return path.String(), nil
}

// symbols are tried in this order: a longer one before its beginning.
var symbols = []struct {
	text string
	op   query.Op
}{
	{"==", query.Equal}, {"!=", query.NotEqual}, {"<=", query.LessOrEqual}, {">=", query.GreaterOrEqual},
	{"=", query.Equal}, {"<", query.Less}, {">", query.Greater},
}

var words = map[string]query.Op{
	"in": query.In, "not-in": query.NotIn, "array-contains": query.ArrayContains, "array-contains-any": query.ArrayContainsAny,
}

func (s *scanner) operator() (query.Op, error) {
	at := s.skip()
	word := s.word()
	if op, ok := words[strings.ToLower(word)]; ok {
		s.pos += len(word)
		return op, nil
	}
	for _, symbol := range symbols {
		if s.take(symbol.text) {
			return symbol.op, nil
		}
	}
	return 0, s.wrong(at, "an operator was expected: == != < <= > >= in not-in array-contains array-contains-any")
}

func (s *scanner) value(depth int) (value.Value, error) {
	rest, at := s.rest(), s.pos
	switch {
	case rest == "":
		return value.Null(), s.wrong(at, "a value is missing")
	case depth == maxDepth:
		return value.Null(), s.wrong(at, "lists are nested more than %d deep", maxDepth)
	}
	switch c := rest[0]; {
	case c == '"':
		return s.json(jsonString(rest))
	case c == '\'':
		return s.quoted()
	case c == '[':
		s.pos++
		return s.array("]", depth+1)
	case c == '{':
		return s.json(jsonObject(rest))
	case c == '-' || c == '+' || c == '.' || '0' <= c && c <= '9':
		return s.number()
	}
	return s.named(depth)
}

// json reads the next n bytes as JSON.
func (s *scanner) json(n int) (value.Value, error) {
	v, err := plain.ParseValue(s.Database, []byte(s.text[s.pos:s.pos+n]))
	if err != nil {
		return v, s.wrong(s.pos, "%s", atoll.AsError(err).Msg)
	}
	s.pos += n
	return v, nil
}

// jsonString returns how long the string at the beginning of a text is; all of
// the text if it does not end.
func jsonString(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// jsonObject returns how long the object at the beginning of a text is; all of
// the text if it does not end.
func jsonObject(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += jsonString(text[i:]) - 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// quoted reads a text between single quotes.
func (s *scanner) quoted() (value.Value, error) {
	at := s.pos
	var out strings.Builder
	for rest := s.text[at+1:]; ; {
		part, after, ok := strings.Cut(rest, "'")
		if !ok {
			return value.Null(), s.wrong(at, "the text that begins here does not end")
		}
		out.WriteString(part)
		if !strings.HasPrefix(after, "'") {
			s.pos = len(s.text) - len(after)
			break
		}
		out.WriteByte('\'')
		rest = after[1:]
	}
	if !utf8.ValidString(out.String()) {
		return value.Null(), s.wrong(at, "the text that begins here is not UTF-8")
	}
	return value.String(out.String()), nil
}

// array reads values up to a closing mark.
func (s *scanner) array(closing string, depth int) (value.Value, error) {
	var elems []value.Value
	if s.take(closing) {
		return value.Array(), nil
	}
	err := s.list(func() error {
		v, err := s.value(depth)
		elems = append(elems, v)
		return err
	})
	if err != nil {
		return value.Null(), err
	}
	if !s.take(closing) {
		return value.Null(), s.wrong(s.pos, "a comma or %s was expected", closing)
	}
	return value.Array(elems...), nil
}

func (s *scanner) number() (value.Value, error) {
	rest := s.rest()
	if strings.EqualFold(s.word(), "-infinity") {
		s.pos += len("-infinity")
		return plain.ParseValue(s.Database, []byte(`{"$double": "-Infinity"}`))
	}
	n := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune("+-.0123456789eE", r) })
	if n < 0 {
		n = len(rest)
	}
	return s.json(n)
}

// named reads a value that begins with a word.
func (s *scanner) named(depth int) (value.Value, error) {
	at, word := s.pos, s.word()
	s.pos += len(word)
	constant := map[string]string{"true": "true", "false": "false", "null": "null", "nan": `{"$double": "NaN"}`, "infinity": `{"$double": "Infinity"}`}
	if text, ok := constant[strings.ToLower(word)]; ok {
		return plain.ParseValue(s.Database, []byte(text))
	}
	kind := strings.ToLower(word)
	switch kind {
	case "timestamp", "reference", "bytes", "geopoint", "vector":
	default:
		return value.Null(), s.wrong(at, `a value was expected: a number, a text in quotes, true, false, null, NaN, a list, or timestamp("...")`)
	}
	if !s.take("(") {
		return value.Null(), s.wrong(s.pos, "an opening parenthesis was expected")
	}
	args, err := s.array(")", depth+1)
	if err != nil {
		return args, err
	}
	arg := plain.Append(nil, args)
	if kind != "geopoint" && kind != "vector" {
		if args.Len() != 1 || args.Elem(0).Kind() != value.KindString {
			return value.Null(), s.wrong(at, "%s takes one text in quotes", kind)
		}
		arg = plain.Append(nil, args.Elem(0))
	}
	v, err := plain.ParseValue(s.Database, append(append([]byte(`{"$`+kind+`": `), arg...), '}'))
	if err != nil {
		return v, s.wrong(at, "%s", atoll.AsError(err).Msg)
	}
	return v, nil
}

// name turns texts into the documents that they name.
func (s *scanner) name(at int, v value.Value) (value.Value, error) {
	if v.Kind() == value.KindArray {
		elems := make([]value.Value, v.Len())
		for i := range elems {
			var err error
			if elems[i], err = s.name(at, v.Elem(i)); err != nil {
				return v, err
			}
		}
		return value.Array(elems...), nil
	}
	if v.Kind() != value.KindString {
		return v, nil // package query says what is wrong with it
	}
	path := atoll.Path(strings.Trim(v.Str(), "/"))
	if path.Len() == 1 && s.Collection != "" {
		path = s.Collection.Child(string(path))
	}
	if err := path.Check(); err != nil || !path.IsDocument() {
		return v, s.wrong(at, "%s is not the path of a document", quote(v.Str()))
	}
	return value.ReferenceTo(s.Database, path), nil
}

// quote writes a text as JSON, cut short.
func quote(text string) string {
	out, err := json.Marshal(text[:min(len(text), 100)])
	if err != nil { // strings can be written
		return "the text"
	}
	return string(out)
}
