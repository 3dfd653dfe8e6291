package sim

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"atoll/planted"
)

var (
	seedCount = flag.Uint64("sim.seeds", 0, "seeds to run on healthy code; the default is $ATOLL_SIM_SEEDS, or 150, or 5000 if $ATOLL_LONG is set")
	firstSeed = flag.Uint64("sim.from", 1, "first seed")
	oneSeed   = flag.Uint64("sim.trace", 0, "run this seed alone and print its events")
	defect    = flag.String("sim.defect", "", "with -sim.trace: the defect to plant")
)

// seeds returns how many seeds the healthy code is run with.
func seeds(t *testing.T) uint64 {
	if *seedCount > 0 {
		return *seedCount
	}
	if s := os.Getenv("ATOLL_SIM_SEEDS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("ATOLL_SIM_SEEDS=%q is no number", s)
		}
		return n
	}
	if os.Getenv("ATOLL_LONG") != "" {
		return 5000
	}
	return 150
}

// TestTrace prints what happens in one seed, for those who look for a cause.
func TestTrace(t *testing.T) {
	if *oneSeed == 0 {
		t.Skip("no seed was given with -sim.trace")
	}
	var defects planted.Set
	for _, d := range planted.All {
		if d.Name == *defect {
			defects = d.Set
		}
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	r, err := Run(*oneSeed, Options{Trace: out, Planted: defects})
	fmt.Fprintf(out, "%+v\n%v\n", r, err)
	if err != nil {
		t.Error("found")
	}
}

// kept returns the seeds that found something once, in the order of the file.
func kept(t *testing.T) (all []uint64) {
	b, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("testdata/seeds.txt: %q is no seed", text)
		}
		all = append(all, n)
	}
	return all
}

// TestSeeds runs the healthy code: nothing may be found, and everything that
// can go wrong must have gone wrong somewhere.
func TestSeeds(t *testing.T) {
	var sum Counts
	all := reflect.ValueOf(&sum).Elem()
	for _, seed := range kept(t) {
		if _, err := Run(seed, Options{}); err != nil {
			t.Errorf("a seed that failed before: %v", err)
		}
	}
	failures := 0
	RunSeeds(t.Context(), *firstSeed, seeds(t), Options{}, func(r Report, err error) bool {
		sum.Add(r.Counts)
		if err != nil {
			t.Error(err)
			failures++
		}
		return failures < 5
	})
	t.Logf("%+v", sum)
	for i := range all.NumField() {
		if all.Field(i).Int() == 0 && !t.Failed() {
			t.Errorf("%s is 0: it never happened", all.Type().Field(i).Name)
		}
	}
}

// TestPlanted plants each defect in turn.
func TestPlanted(t *testing.T) {
	for _, d := range planted.All {
		t.Run(d.Name, func(t *testing.T) {
			var found error
			runs := 0
			RunSeeds(t.Context(), 1, 1000, Options{Planted: d.Set}, func(_ Report, err error) bool {
				runs++
				if err != nil {
					found = err
				}
				return err == nil
			})
			if found == nil {
				t.Fatalf("not found in %d seeds", runs)
			}
			t.Logf("found after %d seeds: %.300v", runs, found)
		})
	}
}

// TestSameSeed makes sure that a seed is all that a run depends on.
func TestSameSeed(t *testing.T) {
	for seed := range uint64(8) {
		a, errA := Run(seed, Options{})
		b, errB := Run(seed, Options{})
		if fmt.Sprint(a, errA) != fmt.Sprint(b, errB) {
			t.Errorf("seed %d gave\n%+v %v\nand\n%+v %v", seed, a, errA, b, errB)
		}
	}
}
