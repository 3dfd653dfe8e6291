package query

import (
	"slices"
	"strings"

	"atoll"
	"atoll/value"
)

// maxDepth is how deep And and Or may nest. Firestore does not tell its own
// limit; with MaxFilters it bounds what a hostile query can cost.
const maxDepth = 20

// Normalize returns the query that q stands for in db, or fails with Invalid
// and the rule that q breaks, in Firestore's words where they are known. A
// normalised query has all its orders written out, the name last; comparisons
// with null and NaN are unary; And and Or have at least two parts. q is not
// changed, and a normalised query normalises to itself.
//
// The rules are those of google.firestore.v1.StructuredQuery and of
// Firestore's guide to queries.
func Normalize(q Query, db atoll.Database) (Query, error) {
	if err := db.Check(); err != nil {
		return q, err
	}
	q.Database = db
	n := normalizer{q: &q, inequalities: map[string]bool{}}
	for _, step := range []func() error{n.scope, n.where, n.filters, n.order, n.cursors, n.window, n.projection, n.nearest} {
		if err := step(); err != nil {
			return Query{}, err
		}
	}
	return q, nil
}

func invalid(format string, args ...any) error { return atoll.Errorf(atoll.Invalid, format, args...) }

// normalizer collects what the rules ask of a query. Its steps run in the
// order of Normalize.
type normalizer struct {
	q            *Query
	leaves       int
	inequalities map[string]bool // fields
	negations    int             // !=, not-in, is not null, is not NaN
	notIn        bool
	alternatives bool // or, in, array-contains-any
	nameEqual    bool
}

// scope checks where is searched.
func (n *normalizer) scope() error {
	if p := n.q.Parent; p != "" {
		if !p.IsDocument() {
			return invalid("the parent %.100q is no document", string(p))
		}
		if err := p.Check(); err != nil {
			return err
		}
	}
	if n.q.Collection == "" {
		n.q.Descendants = true
		return nil
	}
	if strings.Contains(n.q.Collection, "/") {
		return invalid("the collection id %.100q has a slash; name its parent as the query's parent", n.q.Collection)
	}
	return n.q.Parent.Child(n.q.Collection).Check()
}

// where rewrites the filters.
func (n *normalizer) where() error {
	if n.q.Where == nil {
		return nil
	}
	f, err := n.filter(*n.q.Where, 0)
	n.q.Where = &f
	return err
}

func (n *normalizer) filter(f Filter, depth int) (Filter, error) {
	if f.Op != And && f.Op != Or {
		n.leaves++
		if n.leaves > MaxFilters {
			return f, invalid("a query can have at most %d filters, sort orders and parts of its parent path", MaxFilters)
		}
		return n.leaf(f)
	}
	switch {
	case depth == maxDepth:
		return f, invalid("filters are nested more than %d deep", maxDepth)
	case len(f.Parts) == 0:
		return f, invalid("a composite filter needs at least one filter")
	case f.Field != "" || len(f.Value) > 0:
		return f, invalid("a composite filter has no field and no value of its own")
	case f.Op == Or && len(f.Parts) > 1:
		n.alternatives = true
	}
	out := Filter{Op: f.Op}
	for _, part := range f.Parts {
		p, err := n.filter(part, depth+1)
		if err != nil {
			return f, err
		}
		if p.Op == f.Op {
			out.Parts = append(out.Parts, p.Parts...)
		} else {
			out.Parts = append(out.Parts, p)
		}
	}
	if len(out.Parts) == 1 {
		return out.Parts[0], nil
	}
	return out, nil
}

// unaryOf returns the unary operator that a comparison with null or NaN means.
func unaryOf(op Op, v value.Value) (Op, bool) {
	null, nan := v.Kind() == value.KindNull, v.IsNaN()
	switch {
	case op == Equal && null:
		return IsNull, true
	case op == Equal && nan:
		return IsNaN, true
	case op == NotEqual && null:
		return IsNotNull, true
	case op == NotEqual && nan:
		return IsNotNaN, true
	}
	return op, false
}

// leaf rewrites one comparison and notes what it asks for.
func (n *normalizer) leaf(f Filter) (Filter, error) {
	if len(f.Parts) > 0 {
		return f, invalid("the %s filter on %.100q has filters below it", f.Op, f.Field)
	}
	path, err := value.ParseFieldPath(f.Field)
	if err != nil {
		return f, err
	}
	f.Field = path.String()
	if f.Op < Equal || f.Op > IsNotNull {
		return f, invalid("the filter on %.100q has the unknown operator %d", f.Field, f.Op)
	}
	if f.Op.unary() && len(f.Value) > 0 {
		return f, invalid("the %s filter on %.100q takes no value", f.Op, f.Field)
	}
	if !f.Op.unary() {
		v, err := value.DecodeValue(f.Value)
		if err != nil {
			return f, invalid("the value of the %s filter on %.100q cannot be read", f.Op, f.Field)
		}
		if err := n.operand(f, path, v); err != nil {
			return f, err
		}
		if op, ok := unaryOf(f.Op, v); ok {
			f.Op, f.Value = op, nil
		}
	}
	if path.IsName() && f.Op.unary() {
		return f, invalid("the %s filter cannot be used on __name__", f.Op)
	}
	n.note(f, path)
	return f, nil
}

// operand checks the value of a comparison.
func (n *normalizer) operand(f Filter, path value.FieldPath, v value.Value) error {
	list := f.Op == In || f.Op == NotIn || f.Op == ArrayContainsAny
	if path.IsName() {
		return n.nameOperand(f, v, list)
	}
	if !list {
		return value.CheckValue(v)
	}
	if v.Kind() != value.KindArray || v.Len() == 0 {
		return invalid("'%s' requires an non-empty ArrayValue.", f.Op)
	}
	limit := MaxDisjunctions
	if f.Op == NotIn {
		limit = MaxNotIn
	}
	if v.Len() > limit {
		return invalid("'%s' supports up to %d comparison values.", f.Op, limit)
	}
	for i := range v.Len() {
		if err := value.CheckValue(v.Elem(i)); err != nil {
			return err
		}
	}
	return nil
}

func (n *normalizer) nameOperand(f Filter, v value.Value, list bool) error {
	if f.Op == ArrayContains || f.Op == ArrayContainsAny {
		return invalid("'%s' cannot be used on __name__.", f.Op)
	}
	if !list {
		return n.name(v, "filter")
	}
	limit := MaxDisjunctions
	if f.Op == NotIn {
		limit = MaxNotIn
	}
	if v.Kind() != value.KindArray || v.Len() == 0 || v.Len() > limit {
		return invalid("'%s' on __name__ requires an ArrayValue of 1 to %d references.", f.Op, limit)
	}
	for i := range v.Len() {
		if err := n.name(v.Elem(i), "filter"); err != nil {
			return err
		}
	}
	return nil
}

// name checks a value that is compared with documents' names: a reference to a
// document that the query could find. Its ids may be such as no document has
// (with NUL), for Google's clients bound a range of names by them.
func (n *normalizer) name(v value.Value, what string) error {
	if v.Kind() != value.KindReference {
		return invalid("__key__ %s value must be a Key", what)
	}
	path, ok := strings.CutPrefix(v.Str(), n.q.Database.String()+"/documents/")
	p := atoll.Path(path)
	switch {
	case !ok || !p.IsDocument() || len(v.Str()) > atoll.MaxPathLen || slices.Contains(p.Segments(), ""):
		return invalid("the %s on __name__ needs a document of %s, not %.200q", what, n.q.Database, v.Str())
	case n.q.Parent != "" && !strings.HasPrefix(path, string(n.q.Parent)+"/"):
		return invalid("the %s on __name__ names %.200q, which is not below the query's parent %.200q", what, path, string(n.q.Parent))
	case !n.q.Descendants && p.Parent() != n.q.Parent.Child(n.q.Collection):
		return invalid("the %s on __name__ names %.200q, which is not in the collection %.200q", what, path, string(n.q.Parent.Child(n.q.Collection)))
	}
	return nil
}

// note remembers what the rules about the whole query ask for.
func (n *normalizer) note(f Filter, path value.FieldPath) {
	switch f.Op {
	case NotEqual, NotIn, IsNotNull, IsNotNaN:
		n.negations++
		n.notIn = n.notIn || f.Op == NotIn
	case In, ArrayContainsAny:
		n.alternatives = true
	case Equal:
		n.nameEqual = n.nameEqual || path.IsName()
	}
	if f.Op.inequality() {
		n.inequalities[f.Field] = true
	}
}

// filters holds all filters together to the rules.
func (n *normalizer) filters() error {
	if count := n.leaves + len(n.q.Order) + n.q.Parent.Len()/2; count > MaxFilters {
		return invalid("a query can have at most %d filters, sort orders and parts of its parent path; this one has %d", MaxFilters, count)
	}
	switch {
	case n.negations > 1:
		return invalid("Only a single 'NOT_EQUAL', 'NOT_IN', 'IS_NOT_NAN', or 'IS_NOT_NULL' filter allowed per query.")
	case n.notIn && n.alternatives:
		return invalid("'NOT_IN' cannot be used in the same query with 'IN', 'ARRAY_CONTAINS_ANY' or 'OR'.")
	case n.nameEqual && len(n.inequalities) > 0 && !n.inequalities[value.NameField]:
		return invalid("Equality on key is not allowed if there are other inequality fields and key does not appear in inequalities.")
	case len(n.inequalities) > MaxInequalities:
		return invalid("Cannot have inequality filters on more than %d properties; this query has %d.", MaxInequalities, len(n.inequalities))
	}
	if n.q.Where == nil {
		return nil
	}
	if n.q.Collection == "" && !onlyNames(n.q.Where) {
		return invalid("a query over all collections can only filter by __name__; name a collection to filter by other fields")
	}
	terms, err := DNF(n.q.Where)
	if err != nil {
		return err
	}
	for _, t := range terms {
		contains := 0
		for _, f := range t {
			if f.Op == ArrayContains {
				contains++
			}
		}
		if contains > 1 {
			return invalid("A maximum of 1 'ARRAY_CONTAINS' filter is allowed per disjunction.")
		}
	}
	return nil
}

func onlyNames(f *Filter) bool {
	if f.Op != And && f.Op != Or {
		return f.Field == value.NameField
	}
	return !slices.ContainsFunc(f.Parts, func(p Filter) bool { return !onlyNames(&p) })
}

// order writes out the orders that the query implies.
func (n *normalizer) order() error {
	var out []Order
	named, desc := false, false
	for _, o := range n.q.Order {
		path, err := value.ParseFieldPath(o.Field)
		if err != nil {
			return err
		}
		o.Field = path.String()
		switch {
		case named:
			return invalid("order by clause cannot contain more fields after the key")
		case n.q.Collection == "" && !path.IsName():
			return invalid("a query over all collections can only be ordered by __name__")
		case n.q.Nearest != nil && !path.IsName():
			return invalid("a vector search orders by distance; it cannot be combined with order_by")
		case slices.ContainsFunc(out, func(p Order) bool { return p.Field == o.Field }):
			return invalid("order by clause cannot contain duplicate fields %s", o.Field)
		}
		named, desc = path.IsName(), o.Desc
		out = append(out, o)
	}
	if !named {
		if n.q.Nearest == nil {
			out = append(out, n.implied(out, desc)...)
		}
		out = append(out, Order{value.NameField, desc})
	}
	n.q.Order = out
	return nil
}

// implied returns the orders by those fields with inequalities that have none.
func (n *normalizer) implied(explicit []Order, desc bool) []Order {
	var paths []value.FieldPath
	for field := range n.inequalities { // sorted below: order does not matter
		if field == value.NameField || slices.ContainsFunc(explicit, func(o Order) bool { return o.Field == field }) {
			continue
		}
		path, _ := value.ParseFieldPath(field) // it was written by FieldPath.String
		paths = append(paths, path)
	}
	slices.SortFunc(paths, value.FieldPath.Compare)
	var out []Order
	for _, p := range paths {
		out = append(out, Order{p.String(), desc})
	}
	return out
}

// cursors checks the positions at which the result starts and ends.
func (n *normalizer) cursors() error {
	for _, c := range []struct {
		what string
		at   *Cursor
	}{{"start_at", n.q.Start}, {"end_at", n.q.End}} {
		if c.at == nil {
			continue
		}
		if n.q.Nearest != nil {
			return invalid("a vector search cannot be combined with %s", c.what)
		}
		if len(c.at.Values) > len(n.q.Order) {
			return invalid("%s has %d values, and the query only %d sort orders: cursor has too many values", c.what, len(c.at.Values), len(n.q.Order))
		}
		for i, b := range c.at.Values {
			v, err := value.DecodeValue(b)
			if err != nil {
				return invalid("value %d of %s cannot be read", i+1, c.what)
			}
			if n.q.Order[i].Field == value.NameField {
				err = n.name(v, "cursor")
			} else {
				err = value.CheckValue(v)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// window checks offset and limit.
func (n *normalizer) window() error {
	if n.q.Offset < 0 {
		return invalid("offset is negative: %d", n.q.Offset)
	}
	if n.q.Limit < 0 {
		return invalid("limit is negative: %d", n.q.Limit)
	}
	return nil
}

// projection puts the selected fields in their canonical text.
func (n *normalizer) projection() error {
	if !n.q.Selects && len(n.q.Select) > 0 {
		return invalid("fields are selected by a query that selects none")
	}
	var out []string
	for _, text := range n.q.Select {
		path, err := value.ParseFieldPath(text)
		if err != nil {
			return err
		}
		if !path.IsName() {
			out = append(out, path.String())
		}
	}
	slices.Sort(out)
	n.q.Select = slices.Compact(out)
	return nil
}

// nearest checks a vector search.
func (n *normalizer) nearest() error {
	s := n.q.Nearest
	if s == nil {
		return nil
	}
	field, err := value.ParseFieldPath(s.Field)
	if err != nil {
		return err
	}
	if field.IsName() {
		return invalid("find_nearest needs a field that holds vectors, not __name__")
	}
	v, err := value.DecodeValue(s.Vector)
	switch {
	case err != nil || v.Kind() != value.KindVector || v.Len() == 0 || v.Len() > value.MaxDimensions:
		return invalid("the query vector of find_nearest must be a vector of 1 to %d dimensions", value.MaxDimensions)
	case s.Measure < Euclidean || s.Measure > DotProduct:
		return invalid("find_nearest needs a distance measure: EUCLIDEAN, COSINE or DOT_PRODUCT")
	case s.Limit < 1 || s.Limit > MaxNearest:
		return invalid("the limit of find_nearest is %d; it must be between 1 and %d", s.Limit, MaxNearest)
	case n.q.Collection == "":
		return invalid("find_nearest needs a collection")
	case s.Threshold != nil && *s.Threshold != *s.Threshold:
		return invalid("the distance threshold of find_nearest is no number")
	}
	out := *s
	out.Field = field.String()
	if s.Result != "" {
		result, err := value.ParseFieldPath(s.Result)
		if err != nil {
			return err
		}
		if result.IsName() {
			return invalid("the distance_result_field of find_nearest must not be __name__")
		}
		out.Result = result.String()
	}
	n.q.Nearest = &out
	return nil
}
