package query

import (
	"slices"

	"atoll"
	"atoll/value"
)

// Limits of grouping, which is Atoll's own.
const (
	MaxGroupFields = 5       // that documents are grouped by
	MaxGroups      = 10_000  // of one result, before its limit is applied
	MaxGroupBytes  = 8 << 20 // of the values that a result's groups hold
)

// Grouping says how documents are put into groups and what is asked of each:
// all documents with Equal values in all the fields By are one group, and those
// that lack one of the fields are in none. Without fields all documents are one
// group, which is there even if it is empty.
type Grouping struct {
	By      []string    `cbor:"1,keyasint,omitempty"` // field paths, at most MaxGroupFields
	Figures []Aggregate `cbor:"2,keyasint"`           // as for an Aggregator
}

// Check fails with Invalid on what cannot be grouped, as CheckAggregates does.
func (g *Grouping) Check() error {
	_, err := g.paths()
	return err
}

func (g *Grouping) paths() ([]value.FieldPath, error) {
	if len(g.By) > MaxGroupFields {
		return nil, invalid("documents can be grouped by %d fields at most; there are %d", MaxGroupFields, len(g.By))
	}
	paths := make([]value.FieldPath, len(g.By))
	for i, text := range g.By {
		path, err := value.ParseFieldPath(text)
		switch {
		case err != nil:
			return nil, err
		case path.IsName():
			return nil, invalid("documents cannot be grouped by __name__: each would be a group of its own")
		case slices.ContainsFunc(paths[:i], func(p value.FieldPath) bool { return p.Compare(path) == 0 }):
			return nil, invalid("the field %.100q is named twice among those to group by", text)
		}
		paths[i] = path
	}
	return paths, CheckAggregates(g.Figures)
}

// GroupOrder is one sort key of the groups: a figure, or else a field that they
// were made by.
type GroupOrder struct {
	Figure bool
	Index  int // in Grouping.Figures or Grouping.By
	Desc   bool
}

// Group is one group of a result.
type Group struct {
	Key     []value.Value // of the fields By
	Figures []value.Value // see Aggregator.Result
}

// GroupPartial is the state of a group over a part of the documents.
type GroupPartial struct {
	Key  [][]byte  `cbor:"1,keyasint,omitempty"` // value.EncodeValue of each
	Sums []Partial `cbor:"2,keyasint"`
}

// Groups sums documents up in groups. Like those of an Aggregator, its results
// depend on which documents were added and on nothing else.
type Groups struct {
	grouping Grouping
	by       []value.FieldPath
	blank    *Aggregator // looks at documents, and adds none
	list     []*group    // in the order of keys
	bytes    int         // of keys and of the least and greatest values
	key      []value.Value
}

// group is one Group under way.
type group struct {
	key   []value.Value
	sum   *Aggregator
	bytes int
}

// NewGroups returns Groups without any document. It fails as Grouping.Check
// does.
func NewGroups(grouping Grouping) (*Groups, error) {
	paths, err := grouping.paths()
	if err != nil {
		return nil, err
	}
	blank, err := NewAggregator(grouping.Figures)
	if err != nil {
		return nil, err
	}
	return &Groups{grouping: grouping, by: paths, blank: blank, key: make([]value.Value, len(paths))}, nil
}

// Len returns the number of groups.
func (g *Groups) Len() int { return len(g.list) }

// Bytes returns how many bytes the groups' values take, about.
func (g *Groups) Bytes() int { return g.bytes }

// Fields returns the fields that matter, each once.
func (g *Groups) Fields() []string {
	out := slices.Clone(g.grouping.By)
	for _, f := range g.blank.Fields() {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// Add adds one document. It fails with DataLoss on one that cannot be read, and
// with ResourceExhausted on one that makes too many groups.
func (g *Groups) Add(d Document) error {
	for i, path := range g.by {
		v, ok, err := lookup(d, path)
		if !ok || err != nil {
			return err
		}
		g.key[i] = v
	}
	ok, err := g.blank.look(d)
	if !ok || err != nil {
		return err
	}
	to := g.at(g.key)
	for i := range g.blank.figures {
		to.sum.figures[i].seen = g.blank.figures[i].seen
	}
	to.sum.addSeen()
	return g.changed(to, g.key)
}

// AddTold adds a document by what an index tells of the only one of Fields, as
// Aggregator.AddTold does. It fails as Add does.
func (g *Groups) AddTold(v value.Value) (ok bool, err error) {
	sum, key := g.blank, g.key[:0]
	if len(g.by) > 0 {
		key = append(key, v)
	}
	if i, found := g.find(key); found {
		sum = g.list[i].sum
		if len(key) > 0 && !Sole(v) && g.list[i].key[0].Kind() != value.KindInt {
			return false, nil
		}
	} else if len(key) > 0 && !Sole(v) {
		return false, nil
	}
	if !sum.enough(v) {
		return false, nil
	}
	to := g.at(key)
	to.sum.tell(v)
	return true, g.changed(to, key)
}

// find returns where the group of a key is in the list, or would be.
func (g *Groups) find(key []value.Value) (at int, ok bool) {
	return slices.BinarySearchFunc(g.list, key, func(a *group, key []value.Value) int {
		return slices.CompareFunc(a.key, key, value.Compare)
	})
}

// at returns the group of a key, which is made if it is not there.
func (g *Groups) at(key []value.Value) *group {
	i, ok := g.find(key)
	if !ok {
		sum, _ := NewAggregator(g.grouping.Figures) // was checked
		g.list = slices.Insert(g.list, i, &group{slices.Clone(key), sum, 0})
	}
	return g.list[i]
}

// changed keeps account of a group to which something of the key was added.
func (g *Groups) changed(to *group, key []value.Value) error {
	for i, v := range key {
		if value.Compare(v, to.key[i]) == 0 && preferred(v, to.key[i]) {
			to.key[i] = v
		}
	}
	bytes := 0
	for _, v := range to.key {
		bytes += sizeOf(v)
	}
	for i := range to.sum.figures {
		bytes += sizeOf(to.sum.figures[i].best)
	}
	g.bytes += bytes - to.bytes
	to.bytes = bytes
	switch {
	case len(g.list) > MaxGroups:
		return exhausted("more than %d groups", MaxGroups)
	case g.bytes > MaxGroupBytes:
		return exhausted("groups whose values take more than %d bytes", MaxGroupBytes)
	}
	return nil
}

// sizeOf returns how many bytes of memory a value keeps alive, about.
func sizeOf(v value.Value) int {
	const head = 48
	switch v.Kind() {
	case value.KindString, value.KindReference:
		return head + len(v.Str())
	case value.KindBytes, value.KindArray, value.KindMap, value.KindVector:
		return head + len(value.EncodeValue(v))
	}
	return head
}

// Partial returns what was added so far, for Merge.
func (g *Groups) Partial() []GroupPartial {
	out := make([]GroupPartial, len(g.list))
	for i, one := range g.list {
		out[i] = GroupPartial{Sums: one.sum.Partial()}
		for _, v := range one.key {
			out[i].Key = append(out[i].Key, value.EncodeValue(v))
		}
	}
	return out
}

// Merge adds what others of the same grouping have seen. It fails with Invalid
// on what no such Groups have returned, and with ResourceExhausted on too many
// groups; then the result is of no use any more.
func (g *Groups) Merge(partials []GroupPartial) error {
	for _, p := range partials {
		if len(p.Key) != len(g.by) {
			return invalid("a partial group has %d keys; it is by %d fields", len(p.Key), len(g.by))
		}
		for i, b := range p.Key {
			var err error
			if g.key[i], err = value.DecodeValue(b); err != nil {
				return invalid("a partial group's key cannot be read")
			}
		}
		to := g.at(g.key)
		if err := to.sum.Merge(p.Sums); err != nil {
			return err
		}
		if err := g.changed(to, g.key); err != nil {
			return err
		}
	}
	return nil
}

// Result returns the groups in an order, which ends with the key: so there is
// one order only. Limit is how many are wanted, 0 for all. It fails with
// Invalid on an order by what is not there.
func (g *Groups) Result(order []GroupOrder, limit int) ([]Group, error) {
	if err := g.grouping.CheckOrder(order, limit); err != nil {
		return nil, err
	}
	out := make([]Group, 0, max(len(g.list), 1))
	for _, one := range g.list {
		out = append(out, Group{one.key, one.sum.Result()})
	}
	if len(g.by) == 0 && len(out) == 0 {
		out = append(out, Group{nil, g.blank.Result()})
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		for _, o := range order {
			x, y := a.Key, b.Key
			if o.Figure {
				x, y = a.Figures, b.Figures
			}
			if c := value.Compare(x[o.Index], y[o.Index]); c != 0 && o.Desc {
				return -c
			} else if c != 0 {
				return c
			}
		}
		return 0
	})
	if limit > 0 {
		out = out[:min(limit, len(out))]
	}
	return out, nil
}

// CheckOrder fails with Invalid on an order by what is not there, and on a
// limit that is negative.
func (g *Grouping) CheckOrder(order []GroupOrder, limit int) error {
	if limit < 0 {
		return invalid("the limit of groups is %d; it must not be negative", limit)
	}
	if n := len(g.Figures) + len(g.By); len(order) > n {
		return invalid("the groups are ordered by %d things; they have %d", len(order), n)
	}
	for _, o := range order {
		n := len(g.By)
		if o.Figure {
			n = len(g.Figures)
		}
		if o.Index < 0 || o.Index >= n {
			return invalid("the groups are ordered by something that they do not have")
		}
	}
	return nil
}

func exhausted(format string, args ...any) error {
	return atoll.Errorf(atoll.ResourceExhausted, "the result has "+format+"; narrow the query with filters, or group by fields with fewer different values", args...)
}
