package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's binary be the servers too, as the benchmark's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{commandEcho, commandYardstick}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

func quickConfig(t *testing.T) Config {
	return Config{
		Duration: 200 * time.Millisecond, Connections: 8, Rounds: 2, Seeded: 1000,
		Names: []string{nameDisk, nameEcho, nameYardstick}, Workloads: documentWorkloads,
		options: options{dir: t.TempDir(), progress: t.Logf},
	}
}

// TestRun measures the servers that need no building, and looks at everything
// but the time it took.
func TestRun(t *testing.T) {
	result, err := run(t.Context(), quickConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Failures) > 0 {
		t.Fatalf("failures: %v", result.Failures)
	}
	var order []string
	for _, sample := range result.Samples {
		order = append(order, sample.Server+" "+string(sample.Workload))
		if sample.Errors > 0 || sample.OpsPerSecond <= 0 || sample.P50 <= 0 || sample.P99 < sample.P50 {
			t.Errorf("sample %+v", sample)
		}
		if sample.Server != nameDisk && sample.Resident <= 0 {
			t.Errorf("%s: a resident size of %d bytes", sample.Server, sample.Resident)
		}
	}
	round := []string{"disk append", "grpc-echo echo", "yardstick get", "yardstick query", "yardstick count", "yardstick small", "yardstick create"}
	if want := slices.Concat(round, round); !slices.Equal(order, want) {
		t.Errorf("measured %v, want %v", order, want)
	}
	if len(result.Feet) != 2 || result.Feet[0].StartUp <= 0 || result.Feet[0].Resident <= 0 || result.Feet[0].Program <= 0 {
		t.Errorf("footprints %+v", result.Feet)
	}
	for _, seen := range result.Syncs {
		if seen.Note == "" && seen.Calls < tracedCreates {
			t.Errorf("%s synced %d times in %d creates", seen.Server, seen.Calls, tracedCreates)
		}
	}
}

func TestRunNamesAServerThatCannotStart(t *testing.T) {
	config := quickConfig(t)
	config.Names = []string{nameAtoll, nameEcho}
	config.atollProgram = "/bin/false"
	result, err := run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Failures) != 1 || result.Failures[0].Server != nameAtoll {
		t.Errorf("failures: %v, want one of Atoll", result.Failures)
	}
	if len(result.perRound(nameEcho, workloadEcho, throughput)) != config.Rounds {
		t.Errorf("samples: %+v, want the echo service in each round", result.Samples)
	}
}

// scripted is a connection whose operations take and return what it says.
type scripted struct {
	takes time.Duration
	err   error
	lost  bool // get finds nothing
}

func (c scripted) do(_ context.Context, _ workload, s *source) error {
	time.Sleep(c.takes)
	if c.err == nil {
		s.acknowledged("id")
	}
	return c.err
}

func (c scripted) get(context.Context, string) error {
	if c.lost {
		return errors.New("not found")
	}
	return nil
}

func (c scripted) Close() error { return nil }

func TestClosedLoopCountsErrorsApart(t *testing.T) {
	conns := []connection{scripted{takes: time.Millisecond}, scripted{err: errors.New("refused")}}
	sample, err := closedLoop(t.Context(), conns, newSources(2, 1, nil), workloadCreate, 100*time.Millisecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sample.Errors == 0 || sample.FirstError != "refused" {
		t.Errorf("errors: %d, %q", sample.Errors, sample.FirstError)
	}
	// One connection of 1 ms each: errors, were they counted, could double that.
	if sample.OpsPerSecond == 0 || sample.OpsPerSecond > 1100 || sample.P50 < time.Millisecond {
		t.Errorf("%v operations per second, p50 %v", sample.OpsPerSecond, sample.P50)
	}
}

// TestClosedLoopKeepsSlowOperations: an operation that outlasts the measurement
// is the slowest there is; leaving it out would flatter the latencies.
func TestClosedLoopKeepsSlowOperations(t *testing.T) {
	conns := []connection{scripted{takes: warmUp + 100*time.Millisecond}}
	sample, err := closedLoop(t.Context(), conns, newSources(1, 1, nil), workloadCreate, 250*time.Millisecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sample.P99 < warmUp {
		t.Errorf("p99 is %v, want the operation that began within the measurement and ended after it", sample.P99)
	}
}

func TestReadBackFindsLostCreates(t *testing.T) {
	sources := newSources(1, 1, nil)
	sources[0].acknowledged("id")
	if err := readBack(t.Context(), []connection{scripted{}}, sources); err != nil {
		t.Errorf("readBack: %v", err)
	}
	if err := readBack(t.Context(), []connection{scripted{lost: true}}, sources); err == nil {
		t.Error("readBack did not notice a lost document")
	}
}

func TestSourcesDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, round := range []uint64{0, 1, 2} {
		for _, s := range newSources(4, round, nil) {
			for range 100 {
				doc := s.document()
				if seen[doc.ID] || len(doc.ID) != idSize || len(doc.Body) != bodySize {
					t.Fatalf("document %+v", doc)
				}
				seen[doc.ID] = true
			}
		}
	}
}

func TestSourceRemembersTheLatest(t *testing.T) {
	var s source
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		s.acknowledged(id)
	}
	if want := []string{"c", "d", "e", "f"}; !slices.Equal(s.acked, want) {
		t.Errorf("remembered %v, want %v", s.acked, want)
	}
}

func TestFlags(t *testing.T) {
	config, err := parseFlags([]string{"--only", "disk,atoll", "--workload", "query"})
	if err != nil || !slices.Equal(config.Names, []string{nameDisk, nameAtoll}) || !slices.Equal(config.Workloads, []workload{workloadQuery}) {
		t.Errorf("parseFlags = %+v, %v", config, err)
	}
	for _, bad := range []string{"--only=redis", "--workload=create,", "--rounds=0", "--duration=0s", "--connections=0", "--seed=10", "create"} {
		if _, err := parseFlags([]string{bad}); err == nil {
			t.Errorf("parseFlags(%s) gives no error", bad)
		} else if word := strings.Trim(strings.SplitN(bad, "=", 2)[0], "-"); !strings.Contains(err.Error(), word) {
			t.Errorf("parseFlags(%s): %v, which does not name %s", bad, err, word)
		}
	}
}
