package query

import (
	"math"
	"math/big"

	"atoll"
)

// exact is a sum of doubles and integers without any rounding, so that the
// order in which they come, and how they are spread over shards, cannot change
// a bit of the result. It counts in units of 2^-1074, the smallest double.
type exact struct {
	sum, term     big.Int // term is working space
	nan, inf, neg bool    // a NaN, +Inf or -Inf was added
}

// unitBits is the binary exponent of the unit, negated.
const unitBits = 1074

func (x *exact) addInt(i int64) {
	x.term.SetInt64(i)
	x.sum.Add(&x.sum, x.term.Lsh(&x.term, unitBits))
}

func (x *exact) addDouble(f float64) {
	switch {
	case math.IsNaN(f):
		x.nan = true
		return
	case math.IsInf(f, 0):
		x.inf = x.inf || f > 0
		x.neg = x.neg || f < 0
		return
	}
	bits := math.Float64bits(f)
	mantissa, exponent := bits&(1<<52-1), uint(bits>>52&0x7FF)
	if exponent > 0 { // a normal number has one more bit, left of the others
		mantissa |= 1 << 52
		exponent--
	}
	x.term.SetUint64(mantissa)
	x.term.Lsh(&x.term, exponent)
	if f < 0 {
		x.sum.Sub(&x.sum, &x.term)
	} else {
		x.sum.Add(&x.sum, &x.term)
	}
}

func (x *exact) add(y *exact) {
	x.sum.Add(&x.sum, &y.sum)
	x.nan, x.inf, x.neg = x.nan || y.nan, x.inf || y.inf, x.neg || y.neg
}

// double returns the sum as the nearest double, ties to even; it is infinite
// beyond the largest one, and NaN or infinite if what was added was.
func (x *exact) double() float64 {
	switch {
	case x.nan || x.inf && x.neg:
		return math.NaN()
	case x.inf:
		return math.Inf(1)
	case x.neg:
		return math.Inf(-1)
	}
	var unit big.Int
	unit.Lsh(unit.SetInt64(1), unitBits)
	f, _ := new(big.Rat).SetFrac(&x.sum, &unit).Float64()
	return f
}

// The form of an exact sum, version 1: a byte of flags; the number of zero
// bytes cut off the end (2 bytes, big-endian); the magnitude in units,
// big-endian, without zero bytes at its ends.
const (
	exactNaN      = 1
	exactInf      = 2
	exactNegInf   = 4
	exactNegative = 8
	exactHead     = 3
	// maxExact is more than the sum of 2^63 of the largest doubles takes.
	maxExact = 300
)

// bytes returns the form, nil for a plain zero.
func (x *exact) bytes() []byte {
	var flags byte
	for _, f := range []struct {
		set bool
		bit byte
	}{{x.nan, exactNaN}, {x.inf, exactInf}, {x.neg, exactNegInf}, {x.sum.Sign() < 0, exactNegative}} {
		if f.set {
			flags |= f.bit
		}
	}
	magnitude := x.sum.Bytes()
	if flags == 0 && len(magnitude) == 0 {
		return nil
	}
	zeros := 0
	for len(magnitude) > 0 && magnitude[len(magnitude)-1] == 0 {
		magnitude = magnitude[:len(magnitude)-1]
		zeros++
	}
	return append([]byte{flags, byte(zeros >> 8), byte(zeros)}, magnitude...)
}

// parse reads the form. It fails with Invalid on what bytes does not write.
func (x *exact) parse(b []byte) error {
	*x = exact{}
	if len(b) == 0 {
		return nil
	}
	bad := atoll.Errorf(atoll.Invalid, "an aggregation's partial sum is malformed")
	if len(b) < exactHead || b[0] >= 2*exactNegative {
		return bad
	}
	zeros, magnitude := int(b[1])<<8|int(b[2]), b[exactHead:]
	switch n := len(magnitude); {
	case n+zeros > maxExact:
		return bad
	case n == 0 && (zeros > 0 || b[0] == 0 || b[0]&exactNegative != 0):
		return bad
	case n > 0 && (magnitude[0] == 0 || magnitude[n-1] == 0):
		return bad
	}
	x.sum.SetBytes(magnitude)
	x.sum.Lsh(&x.sum, uint(8*zeros))
	if b[0]&exactNegative != 0 {
		x.sum.Neg(&x.sum)
	}
	x.nan, x.inf, x.neg = b[0]&exactNaN != 0, b[0]&exactInf != 0, b[0]&exactNegInf != 0
	return nil
}
