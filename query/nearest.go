package query

import (
	"math"

	"atoll/value"
)

// Distance returns how far a document's vector is from the one that is sought;
// ok is false if the document has no vector of that dimension there, the
// distance is no number, or it is beyond the threshold.
func (p *Prepared) Distance(d Document) (distance float64, ok bool, err error) {
	if p.q.Nearest == nil {
		return 0, false, nil
	}
	v, ok, err := p.field(&d, p.vector)
	if !ok || err != nil || v.Kind() != value.KindVector || v.Len() != len(p.target) {
		return 0, false, err
	}
	distance = Distance(p.q.Nearest.Measure, v.Vector(), p.target)
	if math.IsNaN(distance) {
		return 0, false, nil
	}
	if t := p.q.Nearest.Threshold; t != nil {
		if p.q.Nearest.Measure == DotProduct {
			return distance, distance >= *t, nil
		}
		return distance, distance <= *t, nil
	}
	return distance, true, nil
}

// Distance measures how far two vectors of one dimension are apart, as
// Firestore's FindNearest.DistanceMeasure does: the Euclidean distance; one
// less the cosine of the angle, so 0 to 2; the dot product, which is the larger
// the nearer. It is NaN where the measure is not defined: the cosine of a zero
// vector, infinities that cancel out.
//
// Sums are taken in the order of the components, and every product is rounded
// before it is added, so that all machines get the same bits.
func Distance(m Measure, a, b []float64) float64 {
	switch m {
	case Euclidean:
		sum := 0.0
		for i, x := range a {
			d := x - b[i]
			sum += float64(d * d)
		}
		return math.Sqrt(sum)
	case Cosine:
		lengths := float64(math.Sqrt(dot(a, a)) * math.Sqrt(dot(b, b)))
		return 1 - float64(dot(a, b)/lengths)
	case DotProduct:
		return dot(a, b)
	}
	return math.NaN()
}

func dot(a, b []float64) (sum float64) {
	for i, x := range a {
		sum += float64(x * b[i])
	}
	return sum
}
