package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Config says what a run measures.
type Config struct {
	Duration    time.Duration `json:"duration_ns"` // of each workload, after a warm-up
	Connections int           `json:"connections"` // each with one operation under way
	Rounds      int           `json:"rounds"`
	Seeded      int           `json:"seeded"`    // documents in each server before the measurement
	Names       []string      `json:"names"`     // of allNames
	Workloads   []workload    `json:"workloads"` // of documentWorkloads

	options
}

// Result is what a run measured.
type Result struct {
	Config   Config      `json:"config"`
	Cores    int         `json:"cores"`
	Go       string      `json:"go"`
	InMemory bool        `json:"in_memory"` // the data lay on a file system in memory: its syncs mean nothing
	Samples  []Sample    `json:"samples"`
	Feet     []Footprint `json:"footprints"`
	Syncs    []Syncs     `json:"syncs"`
	Missing  []Failure   `json:"missing,omitempty"` // peers that this machine does not have
	Failures []Failure   `json:"failures,omitempty"`
}

// Syncs is what was seen of a server's waiting for the disk.
type Syncs struct {
	Server string `json:"server"`
	Calls  int    `json:"calls"` // fsync and fdatasync, in tracedCreates creates one after the other
	Note   string `json:"note,omitempty"`
}

// Failure is a server that could not be measured, and why.
type Failure struct {
	Server string `json:"server"`
	Reason string `json:"reason"`
}

// run measures everything that config names: in each round the limits of the
// machine and every server, one after the other, so that a slow minute of the
// machine hits neighbours alike. A server that fails is left out from then on.
func run(ctx context.Context, config Config) (*Result, error) {
	result := &Result{Config: config, Cores: runtime.NumCPU(), Go: runtime.Version(), InMemory: inMemory(config.dir)}
	bin := filepath.Join(config.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	programs := make(map[string]string)
	var entrants []server
	for _, s := range servers(config.atollProgram, config.Connections) {
		if !slices.Contains(config.Names, s.name) {
			continue
		}
		config.progress("building %s", s.name)
		program, err := s.build(ctx, bin)
		if missing, ok := errors.AsType[missingTool](err); ok {
			result.Missing = append(result.Missing, Failure{Server: s.name, Reason: missing.advice})
			continue
		}
		if err != nil {
			result.fail(s.name, err)
			continue
		}
		programs[s.name] = program
		entrants = append(entrants, s)
	}
	for round := 1; round <= config.Rounds; round++ {
		if slices.Contains(config.Names, nameDisk) {
			sample, err := measureDisk(config.dir, appendSize, config.Duration)
			if err != nil {
				return nil, fmt.Errorf("measure the disk: %w", err)
			}
			result.add(config, round, nameDisk, sample)
		}
		entrants = slices.DeleteFunc(entrants, func(s server) bool {
			err := result.measure(ctx, config, s, programs[s.name], round)
			if err != nil {
				result.fail(s.name, err)
			}
			return err != nil
		})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// measure runs one server for one round: a new process on an empty directory,
// the seeded documents, each workload, and the end of it.
func (r *Result) measure(ctx context.Context, config Config, s server, program string, round int) error {
	i, err := launch(ctx, s, program, config.dir)
	defer i.end()
	if err != nil {
		return err
	}
	if !s.stores {
		return r.load(ctx, config, i, round, nil)
	}
	config.progress("round %d: %s: seeding %d documents", round, s.name, config.Seeded)
	seeded, err := i.seed(ctx, config)
	if err != nil {
		return fmt.Errorf("seed: %w%s", err, i.process.lastOutput())
	}
	if err := r.load(ctx, config, i, round, seeded); err != nil {
		return err
	}
	f, err := i.restart(ctx, seeded[0])
	if err != nil {
		return err
	}
	f.Round = round
	r.Feet = append(r.Feet, f)
	return nil
}

// seed creates documents, and lets the server end what that began.
func (i *instance) seed(ctx context.Context, config Config) (ids []string, err error) {
	conns, closeAll, err := dialAll(ctx, i, config.Connections)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	if ids, err = seed(ctx, conns, config.Seeded); err != nil || i.settle == nil {
		return ids, err
	}
	return ids, i.settle(ctx, i.address)
}

// load runs each workload, and the end of it.
func (r *Result) load(ctx context.Context, config Config, i *instance, round int, seeded []string) error {
	conns, closeAll, err := dialAll(ctx, i, config.Connections)
	if err != nil {
		return err
	}
	defer closeAll()
	sources := newSources(len(conns), uint64(round), seeded)
	if i.stores && round == 1 {
		r.traceSyncs(ctx, i.server, conns[0], sources[0], i.process.pid(), i.dir)
	}
	for _, w := range workloadsOf(i.server, config) {
		sample, err := closedLoop(ctx, conns, sources, w, config.Duration, i.process.pid())
		if err != nil {
			return fmt.Errorf("%s: %w%s", w, err, i.process.lastOutput())
		}
		r.add(config, round, i.name, sample)
	}
	return readBack(ctx, conns, sources)
}

// workloadsOf is what to run on s, creates last: reads then find the same
// documents in every server, however many creates it manages.
func workloadsOf(s server, config Config) []workload {
	var reads, creates []workload
	for _, w := range s.workloads {
		switch {
		case s.stores && !slices.Contains(config.Workloads, w):
		case w == workloadCreate || w == workloadSmall:
			creates = append(creates, w)
		default:
			reads = append(reads, w)
		}
	}
	return append(reads, creates...)
}

func (r *Result) traceSyncs(ctx context.Context, s server, conn connection, source *source, pid int, dir string) {
	seen := Syncs{Server: s.name}
	calls, err := countSyncs(ctx, conn, source, pid, dir)
	if err != nil {
		seen.Note = err.Error()
	}
	seen.Calls = calls
	r.Syncs = append(r.Syncs, seen)
}

func (r *Result) add(config Config, round int, name string, sample Sample) {
	sample.Round, sample.Server = round, name
	r.Samples = append(r.Samples, sample)
	config.progress("round %d: %s: %s: %.0f/s, p99 %v, %d errors",
		round, name, sample.Workload, sample.OpsPerSecond, sample.P99.Round(10*time.Microsecond), sample.Errors)
}

func (r *Result) fail(name string, err error) {
	r.Failures = append(r.Failures, Failure{Server: name, Reason: err.Error()})
}

// dialAll opens n connections.
func dialAll(ctx context.Context, i *instance, n int) (conns []connection, closeAll func(), err error) {
	closeAll = func() {
		for _, conn := range conns {
			_ = conn.Close() // the server ends anyway
		}
	}
	for range n {
		conn, err := i.dial(ctx, i.address)
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("connect: %w", err)
		}
		conns = append(conns, conn)
	}
	return conns, closeAll, nil
}

// newSources returns n sources, different in each round and from the seed's.
func newSources(n int, round uint64, seeded []string) []*source {
	sources := make([]*source, n)
	for i := range sources {
		sources[i] = newSource(round<<32|uint64(i), seeded)
	}
	return sources
}

// seedResult is one connection's part of seed.
type seedResult struct {
	ids []string
	err error
}

// seed creates at least count documents, in parallel, and returns their ids.
// Its documents are the same in every server and every round.
func seed(ctx context.Context, conns []connection, count int) ([]string, error) {
	sources := newSources(len(conns), 0, nil)
	if err := firstCreate(ctx, conns[0], sources[0]); err != nil {
		return nil, err
	}
	each := (count + len(conns) - 1) / len(conns)
	results := make([]seedResult, len(conns))
	var workers sync.WaitGroup
	for i, conn := range conns {
		workers.Go(func() {
			result := &results[i]
			for len(result.ids) < each && result.err == nil {
				if result.err = conn.do(ctx, workloadCreate, sources[i]); result.err == nil {
					result.ids = append(result.ids, sources[i].acked[len(sources[i].acked)-1])
				}
			}
		})
	}
	workers.Wait()
	var ids []string
	for _, result := range results {
		if result.err != nil {
			return nil, result.err
		}
		ids = append(ids, result.ids...)
	}
	return ids, nil
}

// firstCreate waits until the server acknowledges a create: then it is ready.
func firstCreate(ctx context.Context, conn connection, s *source) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := conn.do(ctx, workloadCreate, s)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// readBack reads the latest documents whose create was acknowledged: what is
// not there was not created, and its speed means nothing.
func readBack(ctx context.Context, conns []connection, sources []*source) error {
	for i, s := range sources {
		for _, id := range s.acked {
			if err := conns[i].get(ctx, id); err != nil {
				return fmt.Errorf("a create was acknowledged but cannot be read: %w", err)
			}
		}
	}
	return nil
}
