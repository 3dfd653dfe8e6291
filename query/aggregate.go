package query

import (
	"bytes"

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
	added   int64
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
	for i := range g.figures {
		f := &g.figures[i]
		if f.Op == Count {
			continue
		}
		v, ok, err := d.Doc.Lookup(f.path)
		if err != nil {
			return &atoll.Error{Kind: atoll.DataLoss, Msg: "the document " + string(d.Path) + " cannot be read", Detail: err.Error()}
		}
		if !ok {
			return nil
		}
		f.seen = v
	}
	g.added++
	for i := range g.figures {
		g.figures[i].add()
	}
	return nil
}

// AddCount adds n documents to counts alone, for who knows their number
// without reading them. It must not be used if Reads is true.
func (g *Aggregator) AddCount(n int64) {
	g.added += n
	for i := range g.figures {
		g.figures[i].count += n
	}
}

// Reads reports whether a figure needs the documents' fields.
func (g *Aggregator) Reads() bool {
	for i := range g.figures {
		if g.figures[i].Op != Count {
			return true
		}
	}
	return false
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

// choose keeps the least or greatest value. Of equal ones, such as 1 and 1.0,
// it keeps the one with the lower bytes, whichever came first.
func (f *figure) choose(v value.Value) {
	f.count++
	if f.any {
		c := value.Compare(v, f.best)
		if f.Op == Max {
			c = -c
		}
		if c > 0 || c == 0 && bytes.Compare(value.EncodeValue(v), value.EncodeValue(f.best)) >= 0 {
			return
		}
	}
	f.best, f.any = v, true
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
//     null if there is none.
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
