package query

import (
	"bytes"
	"math"
	"slices"

	"atoll"
	"atoll/value"
)

// CheckAggregates fails with Invalid unless there are 1 to MaxAggregations
// figures, each with a known operator and a field where it needs one.
func CheckAggregates(figures []Aggregate) error {
	if len(figures) == 0 {
		return invalid("an aggregation query needs at least one aggregation")
	}
	if len(figures) > MaxAggregations {
		return invalid("maximum number of aggregations allowed in an aggregation query is %d; there are %d", MaxAggregations, len(figures))
	}
	for _, a := range figures {
		if a.UpTo < 0 || a.UpTo > 0 && a.Op != Count {
			return invalid("an aggregation counts up to %d; up_to belongs to a count and must be positive", a.UpTo)
		}
		switch a.Op {
		case Count:
			if a.Field != "" {
				return invalid("a count has no field")
			}
		case Sum, Avg, Min, Max:
			path, err := value.ParseFieldPath(a.Field)
			if err != nil {
				return err
			}
			if path.IsName() {
				return invalid("__name__ cannot be aggregated")
			}
		default:
			return invalid("the aggregation operator %d is unknown", a.Op)
		}
	}
	return nil
}

// Aggregator sums documents up. As in Firestore, a document that lacks the
// field of any of the figures counts for none of them.
//
// The result depends on which documents were added, and not on their order or
// on how they were spread over several aggregators.
type Aggregator struct {
	figures []figure
}

// figure is one Aggregate under way.
type figure struct {
	Aggregate
	path   value.FieldPath
	count  int64
	sum    exact
	double bool
	best   value.Value
	any    bool // best is set
	seen   value.Value
}

// NewAggregator returns an Aggregator that has seen no document. It fails as
// CheckAggregates does.
func NewAggregator(figures []Aggregate) (*Aggregator, error) {
	if err := CheckAggregates(figures); err != nil {
		return nil, err
	}
	g := &Aggregator{figures: make([]figure, len(figures))}
	for i, a := range figures {
		f := &g.figures[i]
		f.Aggregate = a
		if a.Op != Count {
			f.path, _ = value.ParseFieldPath(a.Field) // was checked
		}
	}
	return g, nil
}

// Add adds one document of the result. It fails with DataLoss on a document
// that cannot be read, and then adds nothing.
func (g *Aggregator) Add(d Document) error {
	ok, err := g.look(d)
	if ok {
		g.addSeen()
	}
	return err
}

// look notes the fields of a document that the figures are of; ok is false if
// it lacks one.
func (g *Aggregator) look(d Document) (ok bool, err error) {
	for i := range g.figures {
		f := &g.figures[i]
		if f.Op == Count {
			continue
		}
		if f.seen, ok, err = lookup(d, f.path); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// lookup returns a field of a document.
func lookup(d Document, path value.FieldPath) (v value.Value, ok bool, err error) {
	if v, ok, err = d.Doc.Lookup(path); err != nil {
		err = &atoll.Error{Kind: atoll.DataLoss, Msg: "the document " + string(d.Path) + " cannot be read", Detail: err.Error()}
	}
	return v, ok, err
}

// addSeen adds what was noted.
func (g *Aggregator) addSeen() {
	for i := range g.figures {
		g.figures[i].add()
	}
}

// AddTold adds a document by what an index tells of the one field that all
// figures but counts are of: a value that is Equal to the document's own, which
// may be 1.0 where the index tells 1. It adds nothing and returns false if the
// document must be looked at: then Add it. If no figure has a field, v does not
// matter.
func (g *Aggregator) AddTold(v value.Value) bool {
	if !g.enough(v) {
		return false
	}
	g.tell(v)
	return true
}

// enough reports whether what an index tells is all that the figures need.
func (g *Aggregator) enough(v value.Value) bool {
	sole := Sole(v)
	for i := range g.figures {
		if !sole && !g.figures[i].enough(v) {
			return false
		}
	}
	return true
}

// tell adds a document whose field is known.
func (g *Aggregator) tell(v value.Value) {
	for i := range g.figures {
		g.figures[i].seen = v
	}
	g.addSeen()
}

// Fields returns the fields, as they were given, that the figures are of, each
// once.
func (g *Aggregator) Fields() (out []string) {
	for i := range g.figures {
		if f := &g.figures[i]; f.Op != Count && !slices.Contains(out, f.Field) {
			out = append(out, f.Field)
		}
	}
	return out
}

// Full reports whether more documents cannot change the figures: all of them
// are counts that have reached their bound.
func (g *Aggregator) Full() bool {
	for i := range g.figures {
		if f := &g.figures[i]; f.UpTo == 0 || f.count < int64(f.UpTo) {
			return false
		}
	}
	return true
}

// add adds the value seen last.
func (f *figure) add() {
	switch v := f.seen; {
	case f.Op == Count:
		f.count++
	case f.Op == Min || f.Op == Max:
		if v.Kind() != value.KindNull {
			f.choose(v)
		}
	case v.Kind() == value.KindInt:
		f.count++
		f.sum.addInt(v.Int())
	case v.Kind() == value.KindDouble:
		f.count++
		f.double = true
		f.sum.addDouble(v.Double())
	}
}

// enough reports whether a value adds the same as any other that is Equal to
// it.
func (f *figure) enough(v value.Value) bool {
	switch f.Op {
	case Count, Avg:
		return true
	case Sum: // is an integer unless a double was among the values
		return f.double || v.Kind() != value.KindInt
	}
	if v.Kind() == value.KindNull {
		return true
	}
	c := f.compare(v)
	return c > 0 || c == 0 && f.best.Kind() == value.KindInt
}

// Sole reports whether whatever is Equal to a value is that value, bit for bit.
// It may return false where this is so.
func Sole(v value.Value) bool {
	switch v.Kind() {
	case value.KindNull, value.KindBool, value.KindTimestamp, value.KindString, value.KindBytes:
		return true
	case value.KindDouble:
		return !whole(v.Double())
	}
	return false
}

// whole reports whether an integer equals a double.
func whole(f float64) bool {
	return f >= math.MinInt64 && f < -math.MinInt64 && f == math.Trunc(f)
}

// choose keeps the least or greatest value.
func (f *figure) choose(v value.Value) {
	f.count++
	if c := f.compare(v); c < 0 || c == 0 && preferred(v, f.best) {
		f.best, f.any = v, true
	}
}

// compare returns -1, 0 or 1 as a value is better, as good or worse than the
// best.
func (f *figure) compare(v value.Value) int {
	switch {
	case !f.any:
		return -1
	case f.Op == Max:
		return value.Compare(f.best, v)
	}
	return value.Compare(v, f.best)
}

// preferred reports whether of two Equal values the first stands for both, in
// whichever order they come: an integer, else the one with the lower bytes.
func preferred(v, other value.Value) bool {
	if a, b := v.Kind() == value.KindInt, other.Kind() == value.KindInt; a || b {
		return a && !b
	}
	return !Sole(v) && bytes.Compare(value.EncodeValue(v), value.EncodeValue(other)) < 0
}

// Partial returns what was added so far, for Merge, one for each figure.
func (g *Aggregator) Partial() []Partial {
	out := make([]Partial, len(g.figures))
	for i := range g.figures {
		f := &g.figures[i]
		out[i] = Partial{Count: f.count, Double: f.double}
		if f.any {
			out[i].Best = value.EncodeValue(f.best)
		}
		if n, ok := f.sum.int64(); ok {
			out[i].Ints = n
		} else {
			out[i].Big = f.sum.bytes()
		}
	}
	return out
}

// int64 returns the sum if it is a whole number that fits.
func (x *exact) int64() (int64, bool) {
	if x.nan || x.inf || x.neg {
		return 0, false
	}
	if x.sum.Sign() == 0 {
		return 0, true
	}
	if x.sum.TrailingZeroBits() < unitBits {
		return 0, false
	}
	x.term.Rsh(&x.sum, unitBits)
	return x.term.Int64(), x.term.IsInt64()
}

// Merge adds what another aggregator of the same figures has seen. It fails
// with Invalid on partials that no such aggregator has returned; then nothing
// was added.
func (g *Aggregator) Merge(partials []Partial) error {
	if len(partials) != len(g.figures) {
		return invalid("%d partial results were given for %d aggregations", len(partials), len(g.figures))
	}
	sums := make([]exact, len(partials))
	bests := make([]value.Value, len(partials))
	for i, p := range partials {
		if p.Count < 0 {
			return invalid("a partial result has the negative count %d", p.Count)
		}
		if err := sums[i].parse(p.Big); err != nil {
			return err
		}
		sums[i].addInt(p.Ints)
		if p.Best == nil {
			continue
		}
		var err error
		if bests[i], err = value.DecodeValue(p.Best); err != nil {
			return invalid("a partial result's value cannot be read")
		}
	}
	for i, p := range partials {
		f := &g.figures[i]
		if p.Best != nil && (f.Op == Min || f.Op == Max) {
			f.choose(bests[i])
			f.count--
		}
		f.count += p.Count
		f.double = f.double || p.Double
		f.sum.add(&sums[i])
	}
	return nil
}

// Result returns the figures:
//
//   - a count, at most UpTo;
//   - a sum: an integer if all values were integers and it fits, else a double;
//     0 of no numbers;
//   - an average: a double, null of no numbers;
//   - the least or greatest value that is not null, in the order of values;
//     null if there is none. Of equal ones it is an integer if one is.
//
// Sums and averages skip what is no number. NaN makes both NaN, as infinities
// of both signs do. A sum is rounded once, at the end; an average is the rounded
// sum divided by the count, as in Firestore, where 32.0 over 5 is 6.4 even if
// the exact sum is a little less than 32.
func (g *Aggregator) Result() []value.Value {
	out := make([]value.Value, len(g.figures))
	for i := range g.figures {
		out[i] = g.figures[i].result()
	}
	return out
}

func (f *figure) result() value.Value {
	switch f.Op {
	case Count:
		if f.UpTo > 0 {
			return value.Int(min(f.count, int64(f.UpTo)))
		}
		return value.Int(f.count)
	case Sum:
		if n, ok := f.sum.int64(); ok && !f.double {
			return value.Int(n)
		}
		return value.Double(f.sum.double())
	case Avg:
		if f.count == 0 {
			return value.Null()
		}
		return value.Double(f.sum.double() / float64(f.count))
	}
	return f.best
}
