package query

import (
	"atoll/value"
)

// Position is a document's place in the order of a query's result: the values
// of the query's orders, the document's name last. A vector search orders by
// distance, which then comes first.
type Position []value.Value

// Position returns a document's place; ok is false if it lacks one of the
// fields, and so is not in the result. It fails with DataLoss on a document
// that cannot be read.
func (p *Prepared) Position(d Document) (at Position, ok bool, err error) {
	at = make(Position, 0, len(p.order)+1)
	if p.q.Nearest != nil {
		distance, ok, err := p.Distance(d)
		if !ok || err != nil {
			return nil, false, err
		}
		at = append(at, value.Double(distance))
	}
	for _, k := range p.order {
		v, ok, err := p.field(&d, k.path)
		if !ok || err != nil {
			return nil, false, err
		}
		at = append(at, v)
	}
	return at, true, nil
}

// Compare returns -1, 0 or 1 as position a comes before, with or after b. Two
// documents never have the same position.
func (p *Prepared) Compare(a, b Position) int {
	if p.q.Nearest != nil {
		if c := value.Compare(a[0], b[0]); c != 0 {
			if p.q.Nearest.Measure == DotProduct { // the largest product is the nearest
				return -c
			}
			return c
		}
		a, b = a[1:], b[1:]
	}
	return p.compare(a, b)
}

// compare orders by the first values that both have.
func (p *Prepared) compare(a, b []value.Value) int {
	for i := range min(len(a), len(b), len(p.order)) {
		if c := value.Compare(a[i], b[i]); c != 0 {
			if p.order[i].desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// InBounds reports whether a position lies between the query's cursors.
func (p *Prepared) InBounds(at Position) bool { return p.AfterStart(at) && p.BeforeEnd(at) }

// AfterStart reports whether a position lies behind the start cursor. It is
// true for all positions behind one for which it is true.
func (p *Prepared) AfterStart(at Position) bool {
	if p.start == nil {
		return true
	}
	c := p.compare(at, p.start.values)
	return c > 0 || c == 0 && p.start.before
}

// BeforeEnd reports whether a position lies before the end cursor. It is true
// for all positions before one for which it is true.
func (p *Prepared) BeforeEnd(at Position) bool {
	if p.end == nil {
		return true
	}
	c := p.compare(at, p.end.values)
	return c < 0 || c == 0 && !p.end.before
}

// Compare compares the positions of two documents that match q.
func Compare(q Query, a, b Document) (int, error) {
	p, err := Prepare(&q)
	if err != nil {
		return 0, err
	}
	x, ok, err := p.Position(a)
	if err != nil || !ok {
		return 0, noPosition(a, err)
	}
	y, ok, err := p.Position(b)
	if err != nil || !ok {
		return 0, noPosition(b, err)
	}
	return p.Compare(x, y), nil
}

func noPosition(d Document, err error) error {
	if err != nil {
		return err
	}
	return invalid("the document %.200q has no place in the query's order", string(d.Path))
}

// InBounds reports whether a document that matches q lies between q's cursors.
func InBounds(q Query, d Document) (bool, error) {
	p, err := Prepare(&q)
	if err != nil {
		return false, err
	}
	at, ok, err := p.Position(d)
	return ok && p.InBounds(at), err
}
