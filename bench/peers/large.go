package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// largeConfig says what a run of "peers large" measures.
type largeConfig struct {
	Documents   int           `json:"documents"`
	Duration    time.Duration `json:"duration_ns"` // of each workload
	Connections int           `json:"connections"`

	options
}

const (
	// largePart is how many documents are imported at once.
	largePart = 200_000

	// largeAuthor is how many documents each author has.
	largeAuthor = 100

	// minimumSmall is the least size of a small document's answer in bytes.
	minimumSmall = 60

	// targetResident is what Atoll may take at most, at any time, in bytes.
	targetResident = 2 << 30
)

// LargeResult is what a run of "peers large" measured of Atoll.
type LargeResult struct {
	Config   largeConfig `json:"config"`
	Seconds  float64     `json:"import_seconds"`
	Imported Memory      `json:"after_import"`
	Samples  []Sample    `json:"samples"` // reads and queries of documents at random
	Loaded   Memory      `json:"after_load"`
	Restart  Footprint   `json:"restart"`
	Stored   int64       `json:"stored_bytes"`
	Verdicts []Verdict   `json:"verdicts"`
}

// Memory is what a process takes, in bytes.
type Memory struct {
	Resident int64 `json:"resident_bytes"`
	Peak     int64 `json:"peak_bytes"` // the largest resident size so far
}

// memoryOf reads the memory of one process.
func memoryOf(pid int) (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	var peakErr error
	m.Resident, err = parseKilobytes(string(text), "VmRSS:")
	m.Peak, peakErr = parseKilobytes(string(text), "VmHWM:")
	return m, errors.Join(err, peakErr)
}

// measureLarge parses the flags, fills a node with small documents, asks for
// them at random, and prints what it took.
func measureLarge(ctx context.Context, args []string) error {
	config := largeConfig{}
	flags := flag.NewFlagSet("peers large", flag.ContinueOnError)
	flags.IntVar(&config.Documents, "documents", 10_000_000, fmt.Sprintf("documents, in steps of %d", largeAuthor))
	flags.DurationVar(&config.Duration, "duration", 20*time.Second, "how long each workload is measured")
	flags.IntVar(&config.Connections, "connections", 128, "connections, each with one operation under way")
	config.options.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if config.Documents < largeAuthor || config.Documents%largeAuthor != 0 || config.Duration <= 0 || config.Connections < 1 || flags.NArg() > 0 {
		return fmt.Errorf("large takes flags alone: --documents in steps of %d, --duration and --connections above 0", largeAuthor)
	}
	cleanUp, err := config.makeDir()
	if err != nil {
		return err
	}
	defer cleanUp()
	result, err := runLarge(ctx, config)
	if err != nil {
		return err
	}
	return config.write(result, result.print)
}

// runLarge measures Atoll.
func runLarge(ctx context.Context, config largeConfig) (*LargeResult, error) {
	s := serverOf(nameAtoll, config.atollProgram, config.Connections)
	s.prepare = nil // it has the indexes that it makes by itself
	s.dial = func(_ context.Context, address string) (connection, error) {
		conn, err := dialFirestore(address)
		if err != nil {
			return nil, err
		}
		conn.minimum = minimumSmall
		return largeConnection{conn, int64(config.Documents)}, nil
	}
	bin := filepath.Join(config.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	program, err := s.build(ctx, bin)
	if err != nil {
		return nil, err
	}
	i, err := launch(ctx, s, program, config.dir)
	defer i.end()
	if err != nil {
		return nil, err
	}
	r := &LargeResult{Config: config}
	for from := 0; from < config.Documents; from += largePart {
		to := min(from+largePart, config.Documents)
		file, err := i.writeSmall(from, to, config.Documents)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := i.importFile(ctx, file); err != nil {
			return nil, fmt.Errorf("%w%s", err, i.process.lastOutput())
		}
		r.Seconds += time.Since(begin).Seconds()
		if r.Imported, err = memoryOf(i.process.pid()); err != nil {
			return nil, err
		}
		config.progress("%d documents imported, %.0f a second; resident %.0f MB, peak %.0f MB",
			to, float64(to)/r.Seconds, float64(r.Imported.Resident)/1e6, float64(r.Imported.Peak)/1e6)
	}
	if err := r.load(ctx, i); err != nil {
		return nil, err
	}
	if r.Stored, err = sizeOf(filepath.Join(i.dir, "data")); err != nil {
		return nil, err
	}
	if r.Restart, err = i.restart(ctx, smallID(0)); err != nil {
		return nil, err
	}
	r.Verdicts = []Verdict{verdict(Verdict{
		Target: "largest resident size, at most", Got: float64(r.Loaded.Peak) / (1 << 30), Want: targetResident / (1 << 30), Unit: "GiB",
	}, r.Loaded.Peak <= targetResident)}
	return r, nil
}

// load reads and queries at random.
func (r *LargeResult) load(ctx context.Context, i *instance) error {
	conns, closeAll, err := dialAll(ctx, i, r.Config.Connections)
	if err != nil {
		return err
	}
	defer closeAll()
	sources := newSources(len(conns), 1, nil)
	for _, w := range []workload{workloadGet, workloadQuery} {
		sample, err := closedLoop(ctx, conns, sources, w, r.Config.Duration, i.process.pid())
		if err != nil {
			return fmt.Errorf("%s: %w%s", w, err, i.process.lastOutput())
		}
		if sample.Errors > 0 {
			return fmt.Errorf("%s: %d errors, the first: %s", w, sample.Errors, sample.FirstError)
		}
		sample.Server = nameAtoll
		r.Samples = append(r.Samples, sample)
		r.Config.progress("%s: %.0f/s, p99 %v", w, sample.OpsPerSecond, sample.P99.Round(10*time.Microsecond))
	}
	r.Loaded, err = memoryOf(i.process.pid())
	return err
}

// largeConnection asks for small documents.
type largeConnection struct {
	*firestoreConnection
	documents int64
}

func (c largeConnection) do(ctx context.Context, w workload, s *source) error {
	switch w {
	case workloadGet:
		return c.get(ctx, smallID(s.rng.Int64N(c.documents)))
	case workloadQuery:
		query := ofAuthor(smallAuthor(s.rng.Int64N(c.documents), c.documents))
		query.Limit = wrapperspb.Int32(queryLimit)
		return c.stream(ctx, &firestorepb.RunQueryRequest{
			Parent: parent, QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: query},
		}, queryLimit)
	}
	return fmt.Errorf("no %s of small documents", w)
}

// smallID is the id of the document with number n: all are different, and
// neighbours far apart.
func smallID(n int64) string {
	return fmt.Sprintf("%016x", bits.Reverse64(uint64(n)*0x9e3779b97f4a7c15)) // odd, so that no two numbers meet
}

// smallAuthor is the author of the document with number n of so many.
func smallAuthor(n, documents int64) string {
	return "user" + strconv.FormatInt(n%(documents/largeAuthor), 10)
}

// writeSmall writes the documents with some numbers for "atoll import".
func (i *instance) writeSmall(from, to, documents int) (string, error) {
	var lines []byte
	for n := int64(from); n < int64(to); n++ {
		lines = fmt.Appendf(lines, `{"path":"%s/%s","document":{"author":%q,"n":%d}}`+"\n", collection, smallID(n), smallAuthor(n, int64(documents)), n)
	}
	file := filepath.Join(i.dir, "import.jsonl")
	return file, os.WriteFile(file, lines, 0o644)
}

// print writes the run for a person to read.
func (r *LargeResult) print(out io.Writer) {
	fmt.Fprintf(out, "%d small documents, imported at %.0f a second; %d bytes of each on the disk\n\n",
		r.Config.Documents, float64(r.Config.Documents)/r.Seconds, r.Stored/int64(r.Config.Documents))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "moment\tops/s\tp50 ms\tp99 ms\tserver µs/op\tRSS MB\tpeak RSS MB")
	fmt.Fprintf(table, "after the import\t\t\t\t\t%.0f\t%.0f\n", float64(r.Imported.Resident)/1e6, float64(r.Imported.Peak)/1e6)
	for _, s := range r.Samples {
		fmt.Fprintf(table, "%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", s.Workload, s.OpsPerSecond,
			milliseconds(s.P50), milliseconds(s.P99), microseconds(s.ServerPerOp), float64(s.Resident)/1e6)
	}
	fmt.Fprintf(table, "at the end\t\t\t\t\t%.0f\t%.0f\n", float64(r.Loaded.Resident)/1e6, float64(r.Loaded.Peak)/1e6)
	_ = table.Flush()
	fmt.Fprintf(out, "\nAnother start: the first answer after %.0f ms, %.0f MB resident\n", milliseconds(r.Restart.StartUp), float64(r.Restart.Resident)/1e6)
	printVerdicts(out, r.Verdicts)
}
