package main

import (
	"fmt"
	"slices"
	"time"
)

// percentile returns the smallest of the sorted durations that at least the
// share p of them (0 < p ≤ 1) do not exceed: the nearest-rank definition, which
// never invents a latency that nobody saw. It returns 0 for no durations.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(p * float64(len(sorted)))
	if float64(rank) < p*float64(len(sorted)) {
		rank++ // round up
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Spread is a figure over the rounds of a run: its median and its extremes.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// String writes the median and the extremes, or a dash if nothing was measured.
func (s Spread) String() string {
	if s.Median == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// spread summarises one figure of each round. The median of an even number of
// rounds is the mean of the middle two; of none, everything is 0.
func spread(rounds []float64) Spread {
	if len(rounds) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(rounds))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// ratios divides ours by theirs round by round. Two figures of one round were
// taken within seconds of each other, so that a slow minute of the machine
// weighs on both and cancels out; dividing the medians would not do that.
// Rounds that lack either figure are left out.
func ratios(ours, theirs map[int]float64) Spread {
	var quotients []float64
	for round, our := range ours {
		if their := theirs[round]; our > 0 && their > 0 {
			quotients = append(quotients, our/their)
		}
	}
	return spread(quotients) // sorts: the map's order does not matter
}
