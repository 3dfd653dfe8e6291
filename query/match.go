package query

import (
	"slices"
	"strings"

	"atoll"
	"atoll/value"
)

// Prepared is a normalised query made ready to look at many documents. It is
// never changed.
type Prepared struct {
	q      *Query
	within string     // prefix of the paths that are searched, empty for all
	below  atoll.Path // the collection, unless descendants are searched
	prefix string     // of documents' full names
	where  *node
	order  []key
	start  *bound
	end    *bound
	vector value.FieldPath
	target []float64
}

// node is a filter with its path and values read.
type node struct {
	op    Op
	parts []*node
	path  value.FieldPath
	v     value.Value
	list  []value.Value // of In, NotIn, ArrayContainsAny
	never bool          // a NotIn with null
}

type key struct {
	path value.FieldPath
	desc bool
}

type bound struct {
	values []value.Value
	before bool
}

// Prepare reads a normalised query. It fails with Invalid on one that Normalize
// did not return. q must not be changed while the result is used.
func Prepare(q *Query) (*Prepared, error) {
	p := &Prepared{q: q, prefix: q.Database.String() + "/documents/"}
	if q.Parent != "" {
		p.within = string(q.Parent) + "/"
	}
	if !q.Descendants {
		p.below = q.Parent.Child(q.Collection)
	}
	var err error
	if q.Where != nil {
		if p.where, err = prepare(q.Where, 0); err != nil {
			return nil, err
		}
	}
	for _, o := range q.Order {
		path, err := value.ParseFieldPath(o.Field)
		if err != nil {
			return nil, err
		}
		p.order = append(p.order, key{path, o.Desc})
	}
	if n := len(p.order); n == 0 || !p.order[n-1].path.IsName() {
		return nil, invalid("the query is not normalised: its last order is not __name__")
	}
	if p.start, err = p.bound(q.Start); err != nil {
		return nil, err
	}
	if p.end, err = p.bound(q.End); err != nil {
		return nil, err
	}
	if s := q.Nearest; s != nil {
		if p.vector, err = value.ParseFieldPath(s.Field); err != nil {
			return nil, err
		}
		v, err := value.DecodeValue(s.Vector)
		if err != nil {
			return nil, err
		}
		p.target = v.Vector()
	}
	return p, nil
}

func prepare(f *Filter, depth int) (*node, error) {
	n := &node{op: f.Op}
	if f.Op == And || f.Op == Or {
		if depth == maxDepth {
			return nil, invalid("filters are nested more than %d deep", maxDepth)
		}
		for i := range f.Parts {
			part, err := prepare(&f.Parts[i], depth+1)
			if err != nil {
				return nil, err
			}
			n.parts = append(n.parts, part)
		}
		return n, nil
	}
	var err error
	if n.path, err = value.ParseFieldPath(f.Field); err != nil || f.Op.unary() {
		return n, err
	}
	if n.v, err = value.DecodeValue(f.Value); err != nil {
		return nil, err
	}
	switch f.Op {
	case In, ArrayContainsAny:
		n.list = comparable(n.v)
	case NotIn:
		for i := range n.v.Len() {
			n.list = append(n.list, n.v.Elem(i))
			n.never = n.never || n.v.Elem(i).Kind() == value.KindNull
		}
	}
	return n, nil
}

func (p *Prepared) bound(c *Cursor) (*bound, error) {
	if c == nil {
		return nil, nil
	}
	if len(c.Values) > len(p.order) {
		return nil, invalid("the query is not normalised: a cursor has more values than there are orders")
	}
	b := &bound{before: c.Before}
	for _, encoded := range c.Values {
		v, err := value.DecodeValue(encoded)
		if err != nil {
			return nil, err
		}
		b.values = append(b.values, v)
	}
	return b, nil
}

// field returns a field of a document, or its name.
func (p *Prepared) field(d *Document, path value.FieldPath) (value.Value, bool, error) {
	if path.IsName() {
		return value.Reference(p.prefix + string(d.Path)), true, nil
	}
	v, ok, err := d.Doc.Lookup(path)
	if err != nil {
		err = &atoll.Error{Kind: atoll.DataLoss, Msg: "the document " + string(d.Path) + " cannot be read", Detail: err.Error()}
	}
	return v, ok, err
}

// Scope reports whether the query searches the place at which a document
// stands, whatever the document holds.
func (p *Prepared) Scope(path atoll.Path) bool {
	switch {
	case !strings.HasPrefix(string(path), p.within):
		return false
	case !p.q.Descendants:
		return path.Parent() == p.below
	}
	return p.q.Collection == "" || path.Parent().ID() == p.q.Collection
}

// Matches reports whether a document belongs to the result before cursors,
// offset and limit are applied: it lies in the scope, its fields pass the
// filters, and it has all fields that the result is ordered by; for a vector
// search, also a vector that has a distance within the threshold. It fails
// with DataLoss on a document that cannot be read.
func (p *Prepared) Matches(d Document) (bool, error) {
	if !p.Scope(d.Path) {
		return false, nil
	}
	if p.where != nil {
		if ok, err := p.node(&d, p.where); !ok || err != nil {
			return false, err
		}
	}
	for _, k := range p.order {
		if k.path.IsName() {
			continue
		}
		if _, ok, err := p.field(&d, k.path); !ok || err != nil {
			return false, err
		}
	}
	if p.q.Nearest == nil {
		return true, nil
	}
	_, ok, err := p.Distance(d)
	return ok, err
}

func (p *Prepared) node(d *Document, n *node) (bool, error) {
	switch n.op {
	case And:
		for _, part := range n.parts {
			if ok, err := p.node(d, part); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	case Or:
		for _, part := range n.parts {
			if ok, err := p.node(d, part); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	v, ok, err := p.field(d, n.path)
	if !ok || err != nil {
		return false, err
	}
	return n.matches(v), nil
}

// matches applies a comparison to the value of a field.
func (n *node) matches(v value.Value) bool {
	null := v.Kind() == value.KindNull
	switch n.op {
	case IsNull:
		return null
	case IsNotNull:
		return !null
	case IsNaN:
		return v.IsNaN()
	case IsNotNaN:
		return !null && !v.IsNaN()
	case Equal:
		return value.Equal(v, n.v)
	case NotEqual:
		return !null && !value.Equal(v, n.v)
	case In:
		return among(n.list, v)
	case NotIn:
		return !null && !n.never && !among(n.list, v)
	case ArrayContains:
		return v.Kind() == value.KindArray && anyElem(v, func(e value.Value) bool { return value.Equal(e, n.v) })
	case ArrayContainsAny:
		return v.Kind() == value.KindArray && anyElem(v, func(e value.Value) bool { return among(n.list, e) })
	}
	return n.inRange(v)
}

func among(list []value.Value, v value.Value) bool {
	return slices.ContainsFunc(list, func(w value.Value) bool { return value.Equal(v, w) })
}

func anyElem(v value.Value, ok func(value.Value) bool) bool {
	for i := range v.Len() {
		if ok(v.Elem(i)) {
			return true
		}
	}
	return false
}

// inRange applies <, <=, > or >=: only values of one type are compared, and
// NaN with NaN alone.
func (n *node) inRange(v value.Value) bool {
	if !SameClass(v, n.v) || v.IsNaN() != n.v.IsNaN() {
		return false
	}
	c := value.Compare(v, n.v)
	switch n.op {
	case Less:
		return c < 0
	case LessOrEqual:
		return c <= 0
	case Greater:
		return c > 0
	case GreaterOrEqual:
		return c >= 0
	}
	return false
}

// SameClass reports whether a range filter compares a with b: they are of one
// type, or both are numbers.
func SameClass(a, b value.Value) bool {
	return a.Kind() == b.Kind() || a.IsNumber() && b.IsNumber()
}

// Matches is Prepared.Matches for one document.
func Matches(q Query, d Document) (bool, error) {
	p, err := Prepare(&q)
	if err != nil {
		return false, err
	}
	return p.Matches(d)
}
