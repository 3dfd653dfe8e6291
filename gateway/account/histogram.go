package account

import (
	"math"
	"math/bits"
)

// histogram counts durations in buckets that are an eighth as wide as what they
// hold, from a microsecond to more than an hour.
type histogram [histogramBuckets]uint32

const (
	histogramExact   = 8  // durations below have a bucket each
	histogramBits    = 32 // of the longest duration; longer ones are counted there
	histogramBuckets = (histogramBits - 2) * histogramExact
)

// bucketOf returns where a duration is counted.
func bucketOf(micros int64) int {
	v := uint64(max(micros, 0))
	v = min(v, 1<<histogramBits-1)
	if v < histogramExact {
		return int(v)
	}
	shift := bits.Len64(v) - 4 // v>>shift is 8 to 15
	return shift*histogramExact + int(v>>shift)
}

// bucketEnd returns the longest duration that is counted in a bucket.
func bucketEnd(i int) int64 {
	if i < 2*histogramExact {
		return int64(i)
	}
	shift := i/histogramExact - 1
	return int64(i-shift*histogramExact+1)<<shift - 1
}

func (h *histogram) add(micros int64) {
	if n := &h[bucketOf(micros)]; *n < math.MaxUint32 {
		*n++
	}
}

// quantile returns a duration within an eighth of that which the part q of all
// does not exceed; 0 if there is none.
func (h *histogram) quantile(q float64) int64 {
	var total uint64
	for _, n := range h {
		total += uint64(n)
	}
	rank := uint64(math.Ceil(q * float64(total)))
	var seen uint64
	for i, n := range h {
		if seen += uint64(n); n > 0 && seen >= rank {
			return bucketEnd(i)
		}
	}
	return 0
}
