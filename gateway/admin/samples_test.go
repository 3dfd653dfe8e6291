package admin

import (
	"math"
	"testing"
	"time"
)

// TestSpans takes samples for two days, and finds each span full and no longer.
func TestSpans(t *testing.T) {
	h := history{spans: newSpans()}
	start := time.Unix(1_700_000_000, 0)
	now := figures{at: start}
	for i := range 2 * 86400 / 2 {
		now.at = start.Add(time.Duration(i)*2*time.Second + time.Duration(i%3)*time.Millisecond)
		now.writes += 20
		h.add(now)
	}
	for name, want := range map[string]struct {
		step  time.Duration
		count int
	}{"10m": {2 * time.Second, 300}, "1h": {10 * time.Second, 360}, "24h": {2 * time.Minute, 720}} {
		list, step, err := h.of(name)
		if err != nil || step != want.step || len(list) != want.count {
			t.Fatalf("%s: %d samples of %v, %v", name, len(list), step, err)
		}
		for i, s := range list {
			if math.Abs(s.Writes-10) > 0.1 {
				t.Errorf("%s, sample %d: %v writes a second", name, i, s.Writes)
			}
			if i > 0 && math.Abs(float64(s.At-list[i-1].At)-float64(step.Milliseconds())) > 100 {
				t.Errorf("%s: sample %d is %d ms behind the one before", name, i, s.At-list[i-1].At)
			}
		}
		if cap(h.spans[0].samples) > 1024 {
			t.Errorf("room for %d samples", cap(h.spans[0].samples))
		}
	}
	if _, _, err := h.of("1y"); err == nil {
		t.Error("a year is kept")
	}
}

// TestRestart feeds counters that begin anew, as after a store was opened again.
func TestRestart(t *testing.T) {
	h := history{spans: newSpans()}
	h.add(figures{at: time.Unix(0, 0), writes: 1000, took: [kinds]histogram{{bound: []float64{1}, count: []float64{50}, all: 50}}})
	h.add(figures{at: time.Unix(2, 0), writes: 10})
	list, _, _ := h.of("10m")
	if len(list) != 1 || list[0].Writes != 0 || list[0].WriteLatency != nil {
		t.Errorf("%+v", list)
	}
}

func TestLatency(t *testing.T) {
	before := histogram{bound: []float64{0.001, 0.002, 0.004}, count: []float64{10, 10, 10}, all: 12}
	for _, c := range []struct {
		counts   []float64
		all      float64
		p50, p99 float64
	}{
		{[]float64{110, 110, 110}, 112, 0.5, 0.99}, // 100 within 1 ms
		{[]float64{10, 110, 110}, 112, 1.5, 1.99},  // 100 from 1 to 2 ms
		{[]float64{60, 60, 110}, 112, 1, 3.96},     // half and half
		{[]float64{10, 10, 10}, 22, 4, 4},          // all beyond the last bound
	} {
		h := histogram{before.bound, c.counts, c.all}
		got := h.since(&before)
		if got == nil || math.Abs(got.P50-c.p50) > 1e-9 || math.Abs(got.P99-c.p99) > 1e-9 {
			t.Errorf("%v: %+v, want %v and %v", c.counts, got, c.p50, c.p99)
		}
	}
	if got := before.since(&before); got != nil {
		t.Errorf("nothing came: %+v", got)
	}
	h := histogram{before.bound, []float64{100, 100, 100}, 100}
	if got := h.since(&histogram{}); got == nil || got.P50 != 0.5 {
		t.Errorf("the first requests of a kind: %+v", got)
	}
}
