package query

import (
	"bytes"
	"slices"

	"atoll/value"
)

// DNF returns the disjunctive normal form of a normalised filter: a document
// matches if all filters of one term match it. In and ArrayContainsAny become
// Equal and ArrayContains, a term for each value. Equal filters and terms are
// there once, and a term that another one implies is left out. No filter is
// one term without filters, which all documents match; no terms at all means
// that nothing can match.
//
// It fails with Invalid if the form has more than MaxDisjunctions terms before
// it is simplified.
func DNF(f *Filter) ([][]Filter, error) {
	if f == nil {
		return [][]Filter{{}}, nil
	}
	n, err := countTerms(f)
	if err != nil {
		return nil, err
	}
	if n > MaxDisjunctions {
		return nil, invalid("the query has more than %d disjunctions: too many disjunctions after normalization", MaxDisjunctions)
	}
	terms, err := expand(f)
	if err != nil {
		return nil, err
	}
	return absorb(terms), nil
}

// countTerms counts without expanding, up to one more than are allowed.
func countTerms(f *Filter) (int, error) {
	n := 1
	switch f.Op {
	case And:
		for i := range f.Parts {
			m, err := countTerms(&f.Parts[i])
			if err != nil {
				return 0, err
			}
			n = min(n*m, MaxDisjunctions+1)
		}
	case Or:
		n = 0
		for i := range f.Parts {
			m, err := countTerms(&f.Parts[i])
			if err != nil {
				return 0, err
			}
			n = min(n+m, MaxDisjunctions+1)
		}
	case In, ArrayContainsAny:
		list, err := value.DecodeValue(f.Value)
		if err != nil || list.Kind() != value.KindArray {
			return 0, invalid("the value of the %s filter on %.100q is no array", f.Op, f.Field)
		}
		n = min(list.Len(), MaxDisjunctions+1)
	}
	return n, nil
}

func expand(f *Filter) (terms [][]Filter, err error) {
	switch f.Op {
	case Or:
		for i := range f.Parts {
			more, err := expand(&f.Parts[i])
			if err != nil {
				return nil, err
			}
			terms = append(terms, more...)
		}
		return terms, nil
	case And:
		terms = [][]Filter{{}}
		for i := range f.Parts {
			more, err := expand(&f.Parts[i])
			if err != nil {
				return nil, err
			}
			terms = product(terms, more)
		}
		return terms, nil
	case In:
		return alternatives(f, Equal)
	case ArrayContainsAny:
		return alternatives(f, ArrayContains)
	}
	return [][]Filter{{*f}}, nil
}

// alternatives makes a term of each value. Null and NaN never match there.
func alternatives(f *Filter, op Op) (terms [][]Filter, err error) {
	list, err := value.DecodeValue(f.Value)
	if err != nil {
		return nil, err
	}
	for _, v := range comparable(list) {
		terms = append(terms, []Filter{{Op: op, Field: f.Field, Value: value.EncodeValue(v)}})
	}
	return terms, nil
}

// comparable returns the different values of a list that In compares with.
func comparable(list value.Value) (out []value.Value) {
	for i := range list.Len() {
		v := list.Elem(i)
		if v.Kind() == value.KindNull || v.IsNaN() || slices.ContainsFunc(out, func(w value.Value) bool { return value.Equal(v, w) }) {
			continue
		}
		out = append(out, v)
	}
	return out
}

// product joins each term of a with each of b.
func product(a, b [][]Filter) [][]Filter {
	out := make([][]Filter, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			t := slices.Clone(x)
			for _, f := range y {
				if !holds(t, f) {
					t = append(t, f)
				}
			}
			out = append(out, t)
		}
	}
	return out
}

func same(a, b Filter) bool {
	return a.Op == b.Op && a.Field == b.Field && bytes.Equal(a.Value, b.Value)
}

func holds(term []Filter, f Filter) bool {
	return slices.ContainsFunc(term, func(g Filter) bool { return same(f, g) })
}

// absorb leaves out the terms that have all filters of another one. Of equal
// terms it keeps the first.
func absorb(terms [][]Filter) (out [][]Filter) {
	for i, t := range terms {
		implied := false
		for j, u := range terms {
			within := !slices.ContainsFunc(u, func(f Filter) bool { return !holds(t, f) })
			if i != j && within && (len(u) < len(t) || j < i) {
				implied = true
			}
		}
		if !implied {
			out = append(out, t)
		}
	}
	return out
}
