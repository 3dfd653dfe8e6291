package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// measured is a result in which Atoll meets every target, if barely.
func measured() *Result {
	r := &Result{Config: Config{Connections: 128, Rounds: 1, Duration: time.Second}}
	add := func(name string, w workload, ops float64, p99 time.Duration) {
		r.Samples = append(r.Samples, Sample{Round: 1, Server: name, Workload: w, OpsPerSecond: ops, P99: p99})
	}
	add(nameYardstick, workloadSmall, 20000, 10*time.Millisecond)
	add(namePocketBase, workloadSmall, 2000, 300*time.Millisecond)
	add(nameAtoll, workloadSmall, 10000, 39*time.Millisecond)
	add(namePocketBase, workloadGet, 5000, 90*time.Millisecond)
	add(nameAtoll, workloadGet, 15000, 20*time.Millisecond)
	add(nameYardstick, workloadQuery, 9000, 20*time.Millisecond)
	add(namePocketBase, workloadQuery, 1500, 90*time.Millisecond)
	add(nameAtoll, workloadQuery, 4500, 30*time.Millisecond)
	add(namePocketBase, workloadCreate, 1000, 400*time.Millisecond)
	add(nameAtoll, workloadCreate, 5000, 50*time.Millisecond)
	return r
}

func answers(r *Result) string {
	var all []string
	for _, v := range r.verdicts() {
		all = append(all, v.Answer)
	}
	return strings.Join(all, ", ")
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Result)
		want   string
	}{
		{"all met", func(*Result) {}, "meets, meets, meets, meets, meets, meets, meets"},
		{"creates too slow", func(r *Result) { r.Samples[2].OpsPerSecond = 7999 }, "falls short, falls short, meets, meets, meets, meets, meets"},
		{"creates too slow for PocketBase alone", func(r *Result) { r.Samples[2].OpsPerSecond = 9999 }, "falls short, meets, meets, meets, meets, meets, meets"},
		{"p99 at the limit", func(r *Result) { r.Samples[2].P99 = 40 * time.Millisecond }, "meets, meets, falls short, meets, meets, meets, meets"},
		{"reads too slow", func(r *Result) { r.Samples[4].OpsPerSecond = 14999 }, "meets, meets, meets, meets, falls short, meets, meets"},
		{"queries too slow", func(r *Result) { r.Samples[7].OpsPerSecond = 4499 }, "meets, meets, meets, meets, meets, falls short, falls short"},
		{"no PocketBase", func(r *Result) { r.Samples[1].Server, r.Samples[3].Server = "x", "x" }, "not measured, meets, meets, meets, not measured, meets, meets"},
		{"creates with errors do not count", func(r *Result) { r.Samples[2].Errors = 1 }, "not measured, not measured, not measured, meets, meets, meets, meets"},
		{"creates without syncs", func(r *Result) { r.Syncs = []Syncs{{Server: nameAtoll, Calls: 9}} }, "not durable, not durable, not durable, not durable, meets, meets, meets"},
		{"creates that could not be traced", func(r *Result) { r.Syncs = []Syncs{{Server: nameAtoll, Note: "no strace"}} }, "meets, meets, meets, meets, meets, meets, meets"},
		{"a peer's creates without syncs", func(r *Result) { r.Syncs = []Syncs{{Server: namePocketBase}} }, "meets, meets, meets, meets, meets, meets, meets"},
		{"nothing", func(r *Result) { r.Samples = nil }, "not measured, not measured, not measured, not measured, not measured, not measured, not measured"},
	} {
		r := measured()
		test.change(r)
		if got := answers(r); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestRatiosLeaveOutWhatIsMissing(t *testing.T) {
	r := measured()
	got := make(map[string]float64)
	for _, ratio := range r.ratios() {
		got[string(ratio.OurWorkload)+" / "+ratio.Their] = ratio.OpsPerSecond.Median
	}
	want := map[string]float64{"small / pocketbase": 5, "small / yardstick": 0.5, "create / pocketbase": 5, "get / pocketbase": 3, "query / pocketbase": 3, "query / yardstick": 0.5}
	if len(got) != len(want) {
		t.Errorf("ratios: %v, want %v", got, want)
	}
	for pair, value := range want {
		if got[pair] != value {
			t.Errorf("ratio %s is %v, want %v", pair, got[pair], value)
		}
	}
}

func TestPrint(t *testing.T) {
	r := measured()
	r.InMemory = true
	r.Syncs = []Syncs{{Server: nameYardstick, Calls: 10}, {Server: nameAtoll, Calls: 9}, {Server: namePocketBase, Note: "no strace"}}
	r.Missing = []Failure{{Server: namePostgres, Reason: errNoPostgres.advice}}
	r.Feet = []Footprint{{Round: 1, Server: nameAtoll, StartUp: 40 * time.Millisecond, Resident: 30e6, Program: 25e6}}
	r.Failures = []Failure{{Server: nameEcho, Reason: "it ended"}}
	r.Samples[0].Errors, r.Samples[0].FirstError = 3, "refused"
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{
		"lay in memory", "10000 (10000–10000)", "3 (refused)", "yardstick 10;",
		"atoll 9: ACKNOWLEDGES WITHOUT A SYNC", "not traced (no strace)",
		"atoll create / pocketbase create", "5.00 (5.00–5.00)", "meets", "grpc-echo was not measured to the end: it ended",
		"40 (40–40)", "apt-get install postgresql",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
