package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Sample is what one workload on one server did in one round.
type Sample struct {
	Round    int      `json:"round"` // from 1
	Server   string   `json:"server"`
	Workload workload `json:"workload"`

	OpsPerSecond float64       `json:"ops_per_second"` // successes within the measured time
	P50          time.Duration `json:"p50_ns"`         // of the successes that began within it
	P99          time.Duration `json:"p99_ns"`
	Errors       int           `json:"errors"`
	FirstError   string        `json:"first_error,omitempty"`

	ServerPerOp time.Duration `json:"server_cpu_per_op_ns"` // user and system time of the server's processes
	ClientPerOp time.Duration `json:"client_cpu_per_op_ns"` // the same of this process
	OtherShare  float64       `json:"other_cpu_share"`      // of all the machine's time: everybody else, the kernel's threads included
	Resident    int64         `json:"resident_bytes"`       // of the server's processes, at the end
}

const (
	// warmUp is how long the load runs before the measurement begins.
	warmUp = 300 * time.Millisecond

	// straggling is how long operations that are under way at the end of the
	// measurement may still take; they count for the latencies.
	straggling = 10 * time.Second

	// errorPause keeps a connection that only meets errors from spinning.
	errorPause = time.Millisecond
)

// tally is what one connection saw.
type tally struct {
	latencies []time.Duration // of successes that began within the measured time
	completed int             // successes that ended within it
	errors    int
	first     error
}

// closedLoop sends w over every connection, one operation after the other, and
// measures for duration after the warm-up. pid is the server's process, or 0
// for none.
func closedLoop(ctx context.Context, conns []connection, sources []*source, w workload, duration time.Duration, pid int) (Sample, error) {
	begin := time.Now().Add(warmUp)
	end := begin.Add(duration)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A timer in place of a deadline: gRPC would send a deadline along with
	// every call.
	defer time.AfterFunc(time.Until(end)+straggling, cancel).Stop()

	tallies := make([]tally, len(conns))
	var workers sync.WaitGroup
	for i := range conns {
		workers.Go(func() { tallies[i] = repeat(ctx, conns[i], sources[i], w, begin, end) })
	}
	time.Sleep(time.Until(begin))
	before, beforeErr := readUsage(pid)
	time.Sleep(time.Until(end))
	after, afterErr := readUsage(pid)
	resident, residentErr := residentOf(pid)
	workers.Wait()
	if ctx.Err() != nil {
		return Sample{}, fmt.Errorf("stopped with operations under way, at most %v after the measurement: %w", straggling, ctx.Err())
	}
	if err := errors.Join(beforeErr, afterErr, residentErr); err != nil {
		return Sample{}, err
	}
	sample := summarise(tallies, duration)
	sample.Workload, sample.Resident = w, resident
	sample.charge(before, after)
	return sample, nil
}

// repeat is one connection's part of closedLoop.
func repeat(ctx context.Context, conn connection, s *source, w workload, begin, end time.Time) tally {
	var t tally
	for start := time.Now(); start.Before(end) && ctx.Err() == nil; {
		err := conn.do(ctx, w, s)
		now := time.Now()
		switch {
		case err != nil:
			if t.errors++; t.first == nil {
				t.first = err
			}
			time.Sleep(errorPause)
			now = time.Now()
		case !start.Before(begin):
			t.latencies = append(t.latencies, now.Sub(start))
		}
		if err == nil && !now.Before(begin) && now.Before(end) {
			t.completed++
		}
		start = now
	}
	return t
}

// summarise joins the connections' tallies.
func summarise(tallies []tally, duration time.Duration) Sample {
	var (
		sample    Sample
		latencies []time.Duration
		completed int
	)
	for _, t := range tallies {
		latencies = append(latencies, t.latencies...)
		completed += t.completed
		sample.Errors += t.errors
		if sample.FirstError == "" && t.first != nil {
			sample.FirstError = t.first.Error()
		}
	}
	slices.Sort(latencies)
	sample.OpsPerSecond = float64(completed) / duration.Seconds()
	sample.P50, sample.P99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
	return sample
}

// usage is who has used how much processor time so far.
type usage struct {
	at                          time.Time
	server, client, busy, total time.Duration
}

func readUsage(pid int) (usage, error) {
	u := usage{at: time.Now()}
	var err error
	if pid != 0 {
		tree, err := processTree(pid)
		if err != nil {
			return u, err
		}
		if u.server, err = treeTime(tree); err != nil {
			return u, fmt.Errorf("the server has ended: %w", err)
		}
	}
	if u.client, _, err = processorTime(os.Getpid()); err != nil {
		return u, err
	}
	u.busy, u.total, err = machineTime()
	return u, err
}

// residentOf is the memory of a server's processes; 0 for none.
func residentOf(pid int) (int64, error) {
	if pid == 0 {
		return 0, nil
	}
	tree, err := processTree(pid)
	if err != nil {
		return 0, err
	}
	return residentSize(tree)
}

// charge shares the processor time between two moments out among the sample's
// operations.
func (s *Sample) charge(before, after usage) {
	operations := s.OpsPerSecond * after.at.Sub(before.at).Seconds()
	server, client := after.server-before.server, after.client-before.client
	if operations > 0 {
		s.ServerPerOp = time.Duration(float64(server) / operations)
		s.ClientPerOp = time.Duration(float64(client) / operations)
	}
	if total := after.total - before.total; total > 0 {
		others := after.busy - before.busy - server - client
		s.OtherShare = max(0, float64(others)/float64(total))
	}
}

// appendSize is what the disk's limit is measured with: a small log record.
const appendSize = 256

// measureDisk appends and syncs records of size bytes to a file in dir, one
// after the other, for duration: the most that anything which syncs once per
// operation could do.
func measureDisk(dir string, size int, duration time.Duration) (Sample, error) {
	file, err := os.Create(filepath.Join(dir, "appends"))
	if err != nil {
		return Sample{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	before, err := readUsage(0)
	if err != nil {
		return Sample{}, err
	}
	var t tally
	record := bytes.Repeat([]byte(text), size/len(text)+1)[:size]
	end := time.Now().Add(duration)
	for start := time.Now(); start.Before(end); {
		if _, err := file.Write(record); err != nil {
			return Sample{}, err
		}
		if err := file.Sync(); err != nil {
			return Sample{}, err
		}
		now := time.Now()
		t.latencies = append(t.latencies, now.Sub(start))
		t.completed++
		start = now
	}
	after, err := readUsage(0)
	if err != nil {
		return Sample{}, err
	}
	sample := summarise([]tally{t}, duration)
	sample.Workload = workloadAppend
	sample.charge(before, after)
	return sample, nil
}

// tmpfsMagic is the type that Linux gives file systems which live in memory.
const tmpfsMagic = 0x01021994

// inMemory tells whether dir lies on a file system in memory, where a sync
// costs nothing and says nothing.
func inMemory(dir string) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(dir, &fs) == nil && fs.Type == tmpfsMagic
}
