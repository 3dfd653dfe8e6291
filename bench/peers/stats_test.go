package main

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := 1; i <= 100; i++ {
		hundred = append(hundred, time.Duration(i))
	}
	for _, test := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0.50, 50},
		{hundred, 0.99, 99},
		{hundred, 0.991, 100},
		{hundred, 1, 100},
	} {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("percentile of %d values at %v is %v, want %v", len(test.sorted), test.p, got, test.want)
		}
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sorted := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 50), func(i int) time.Duration {
			return time.Duration(i)
		}), 1, 200).Draw(t, "latencies")
		slices.Sort(sorted)
		p := rapid.Float64Range(0.001, 1).Draw(t, "p")
		got := percentile(sorted, p)
		below, upTo := 0, 0
		for _, d := range sorted {
			if d < got {
				below++
			}
			if d <= got {
				upTo++
			}
		}
		need := p * float64(len(sorted))
		if float64(upTo) < need || float64(below) >= need {
			t.Fatalf("%v has %d below and %d up to it, of %d, at %v", got, below, upTo, len(sorted), p)
		}
	})
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		rounds []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{4}, Spread{4, 4, 4}},
		{[]float64{9, 1, 4}, Spread{4, 1, 9}},
		{[]float64{9, 1, 4, 6}, Spread{5, 1, 9}},
	} {
		if got := spread(test.rounds); got != test.want {
			t.Errorf("spread(%v) = %v, want %v", test.rounds, got, test.want)
		}
	}
}

func TestRatiosPairRounds(t *testing.T) {
	// The machine was ten times slower in round 2; the servers' relation was not.
	ours := map[int]float64{1: 1000, 2: 100, 3: 1000}
	theirs := map[int]float64{1: 200, 2: 20, 3: 250}
	if got, want := ratios(ours, theirs), (Spread{5, 4, 5}); got != want {
		t.Errorf("ratios = %v, want %v", got, want)
	}
	delete(theirs, 1)
	theirs[3] = 0 // a round in which nothing was acknowledged says nothing
	if got, want := ratios(ours, theirs), (Spread{5, 5, 5}); got != want {
		t.Errorf("ratios without rounds 1 and 3 = %v, want %v", got, want)
	}
}
