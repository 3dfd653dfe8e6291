package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Ratio compares two servers at one workload, round by round.
type Ratio struct {
	Ours         string   `json:"ours"`
	OurWorkload  workload `json:"our_workload"`
	Their        string   `json:"theirs"`
	TheirLoad    workload `json:"their_workload"`
	OpsPerSecond Spread   `json:"ops_per_second"`    // ours / theirs
	ServerPerOp  Spread   `json:"server_cpu_per_op"` // ours / theirs: below 1 ours has less to do
}

// Verdict is a target and whether this run met it.
type Verdict struct {
	Target string  `json:"target"`
	Got    float64 `json:"got"`
	Want   float64 `json:"want"`
	Unit   string  `json:"unit"`   // what Got and Want count: "x" for a ratio, or "ms"
	Answer string  `json:"answer"` // "meets", "falls short", "not measured" or "not durable"
}

// The targets: what Atoll is to reach through gRPC on 128 connections.
const (
	targetCreatesToPocketBase = 5.0
	targetCreatesToYardstick  = 0.4
	targetCreateP99           = 40 * time.Millisecond
	targetGetsToPocketBase    = 3.0
	targetQueriesToPocketBase = 3.0
	targetQueriesToYardstick  = 0.5
)

// perRound returns a figure of a server at a workload by round. Rounds with
// errors are left out: a server that refuses half of its work is not fast.
func (r *Result) perRound(name string, w workload, figure func(Sample) float64) map[int]float64 {
	figures := make(map[int]float64)
	for _, sample := range r.Samples {
		if sample.Server == name && sample.Workload == w && sample.Errors == 0 {
			figures[sample.Round] = figure(sample)
		}
	}
	return figures
}

func throughput(s Sample) float64 { return s.OpsPerSecond }

func serverTime(s Sample) float64 { return float64(s.ServerPerOp) }

// ratio compares ours with theirs.
func (r *Result) ratio(ours string, w workload, theirs string, v workload) Ratio {
	return Ratio{
		Ours: ours, OurWorkload: w, Their: theirs, TheirLoad: v,
		OpsPerSecond: ratios(r.perRound(ours, w, throughput), r.perRound(theirs, v, throughput)),
		ServerPerOp:  ratios(r.perRound(ours, w, serverTime), r.perRound(theirs, v, serverTime)),
	}
}

// ratios lists Atoll against each peer at the same work, and its creates
// against the limits of the machine. Those that were not measured are left out.
func (r *Result) ratios() []Ratio {
	var all []Ratio
	for _, w := range documentWorkloads {
		for _, peer := range []string{namePocketBase, namePostgres, nameYardstick} {
			all = append(all, r.ratio(nameAtoll, w, peer, w))
		}
	}
	all = append(all,
		r.ratio(nameAtoll, workloadCreate, nameDisk, workloadAppend),
		r.ratio(nameAtoll, workloadCreate, nameEcho, workloadEcho),
		r.ratio(nameAtoll, workloadGet, nameEcho, workloadEcho))
	return slices.DeleteFunc(all, func(ratio Ratio) bool { return ratio.OpsPerSecond.Median == 0 })
}

// verdicts compares the run with the targets.
func (r *Result) verdicts() []Verdict {
	atLeast := func(target string, w workload, peer string, want float64) Verdict {
		got := r.ratio(nameAtoll, w, peer, w).OpsPerSecond.Median
		return verdict(Verdict{Target: target, Got: got, Want: want, Unit: "x"}, got >= want)
	}
	var p99 []float64
	for _, sample := range r.Samples {
		if sample.Server == nameAtoll && sample.Workload == workloadSmall && sample.Errors == 0 {
			p99 = append(p99, milliseconds(sample.P99))
		}
	}
	latency, limit := spread(p99).Median, milliseconds(targetCreateP99)
	verdicts := []Verdict{
		atLeast("small creates, at least this many times PocketBase (synchronous=FULL)", workloadSmall, namePocketBase, targetCreatesToPocketBase),
		atLeast("small creates, at least this share of the yardstick", workloadSmall, nameYardstick, targetCreatesToYardstick),
		verdict(Verdict{Target: "small creates, p99 below", Got: latency, Want: limit, Unit: "ms"}, latency < limit),
		atLeast("creates of ten fields, at least this many times PocketBase", workloadCreate, namePocketBase, targetCreatesToPocketBase),
		atLeast("reads by id, at least this many times PocketBase", workloadGet, namePocketBase, targetGetsToPocketBase),
		atLeast("queries, at least this many times PocketBase", workloadQuery, namePocketBase, targetQueriesToPocketBase),
		atLeast("queries, at least this share of the yardstick", workloadQuery, nameYardstick, targetQueriesToYardstick),
	}
	if r.undurable(nameAtoll) {
		for i := range verdicts[:4] { // those of creates
			verdicts[i].Answer = "not durable"
		}
	}
	return verdicts
}

// undurable tells whether a server was seen to acknowledge creates without
// waiting for the disk.
func (r *Result) undurable(name string) bool {
	return slices.ContainsFunc(r.Syncs, func(seen Syncs) bool {
		return seen.Server == name && seen.Note == "" && seen.Calls < tracedCreates
	})
}

// verdict fills in the answer. A figure of 0 was not measured.
func verdict(v Verdict, met bool) Verdict {
	switch {
	case v.Got == 0:
		v.Answer = "not measured"
	case met:
		v.Answer = "meets"
	default:
		v.Answer = "falls short"
	}
	return v
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// print writes the run for a person to read.
func (r *Result) print(out io.Writer) {
	fmt.Fprintf(out, "%d cores shared by client and server, %s, %d connections with one operation each, %v per workload, %d rounds, %d documents seeded\n\n",
		r.Cores, r.Go, r.Config.Connections, r.Config.Duration, r.Config.Rounds, r.Config.Seeded)
	if r.InMemory {
		fmt.Fprint(out, "WARNING: the data lay in memory, where a sync costs nothing: choose another directory with --dir\n\n")
	}
	r.printTable(out)
	r.printFootprints(out)
	r.printSyncs(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, ratio := range r.ratios() {
		if i == 0 {
			fmt.Fprintln(out, "\nRatios, medians of the rounds' ratios (least–greatest):")
			fmt.Fprintln(table, "\tops/s\tserver µs/op")
		}
		fmt.Fprintf(table, "  %s %s / %s %s\t%s\t%s\n", ratio.Ours, ratio.OurWorkload, ratio.Their, ratio.TheirLoad,
			ratio.OpsPerSecond, ratio.ServerPerOp)
	}
	_ = table.Flush()
	printVerdicts(out, r.verdicts())
	printMissing(out, r.Missing)
	for _, failure := range r.Failures {
		fmt.Fprintf(out, "\n%s was not measured to the end: %s\n", failure.Server, failure.Reason)
	}
}

// printTable writes one line for each workload of each server, over the rounds.
func (r *Result) printTable(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "workload\tserver\tops/s median (min–max)\tp50 ms\tp99 ms\tserver µs/op\tclient µs/op\tothers' CPU\tRSS MB\terrors")
	for _, w := range []workload{workloadAppend, workloadEcho, workloadSmall, workloadCreate, workloadGet, workloadQuery, workloadCount} {
		for _, name := range allNames {
			samples := slices.DeleteFunc(slices.Clone(r.Samples), func(s Sample) bool {
				return s.Server != name || s.Workload != w
			})
			if len(samples) > 0 {
				printRow(table, samples)
			}
		}
	}
	_ = table.Flush()
}

// printRow writes the line of samples that differ in their rounds alone.
func printRow(table io.Writer, samples []Sample) {
	over := func(figure func(Sample) float64) Spread {
		var figures []float64
		for _, sample := range samples {
			figures = append(figures, figure(sample))
		}
		return spread(figures)
	}
	ops := over(func(s Sample) float64 { return s.OpsPerSecond })
	errors, first := 0, ""
	for _, sample := range samples {
		errors += sample.Errors
		if first == "" && sample.Errors > 0 {
			first = " (" + strings.TrimSpace(sample.FirstError) + ")"
		}
	}
	fmt.Fprintf(table, "%s\t%s\t%.0f (%.0f–%.0f)\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f %%\t%.0f\t%d%s\n",
		samples[0].Workload, samples[0].Server, ops.Median, ops.Min, ops.Max,
		over(func(s Sample) float64 { return milliseconds(s.P50) }).Median,
		over(func(s Sample) float64 { return milliseconds(s.P99) }).Median,
		over(func(s Sample) float64 { return microseconds(s.ServerPerOp) }).Median,
		over(func(s Sample) float64 { return microseconds(s.ClientPerOp) }).Median,
		over(func(s Sample) float64 { return s.OtherShare * 100 }).Median,
		over(func(s Sample) float64 { return float64(s.Resident) / 1e6 }).Max,
		errors, first)
}

// printFootprints writes one line for each server, over the rounds.
func (r *Result) printFootprints(out io.Writer) {
	if len(r.Feet) == 0 {
		return
	}
	fmt.Fprintln(out, "\nAfter another start, on the data of the round:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  server\tfirst answer ms (min–max)\tRSS MB\tprogram MB")
	for _, name := range allNames {
		var startUp, resident, program []float64
		for _, f := range r.Feet {
			if f.Server == name {
				startUp = append(startUp, milliseconds(f.StartUp))
				resident = append(resident, float64(f.Resident)/1e6)
				program = append(program, float64(f.Program)/1e6)
			}
		}
		if len(startUp) > 0 {
			s := spread(startUp)
			fmt.Fprintf(table, "  %s\t%.0f (%.0f–%.0f)\t%.0f\t%.1f\n", name, s.Median, s.Min, s.Max, spread(resident).Median, spread(program).Median)
		}
	}
	_ = table.Flush()
}

// printSyncs tells which servers were seen to wait for the disk.
func (r *Result) printSyncs(out io.Writer) {
	if len(r.Syncs) == 0 {
		return
	}
	fmt.Fprintf(out, "\nSyncs in %d creates one after the other, by strace:", tracedCreates)
	for _, seen := range r.Syncs {
		switch {
		case seen.Note != "":
			fmt.Fprintf(out, " %s not traced (%s);", seen.Server, seen.Note)
		case r.undurable(seen.Server):
			fmt.Fprintf(out, " %s %d: ACKNOWLEDGES WITHOUT A SYNC;", seen.Server, seen.Calls)
		default:
			fmt.Fprintf(out, " %s %d;", seen.Server, seen.Calls)
		}
	}
	fmt.Fprintln(out)
}
