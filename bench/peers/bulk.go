package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// bulkConfig says what a run of "peers import" measures.
type bulkConfig struct {
	Documents int      `json:"documents"`
	Parts     int      `json:"parts"` // measured one by one
	Names     []string `json:"names"` // of bulkNames

	options
}

// bulkNames is what can take many documents in one request, with the disk.
var bulkNames = []string{nameDisk, nameYardstick, namePostgres, nameAtoll}

const (
	bulkBatch    = 500 // documents in a request, as "atoll import" has it
	bulkParallel = 8   // requests under way, also
	diskTime     = 3 * time.Second

	// bulkChecked is how many documents apart the ones are that are read back.
	bulkChecked = 500

	// targetImport is how many documents a second "atoll import" is to reach.
	targetImport = 15_000.0
)

// BulkSample is what became of one part of the documents.
type BulkSample struct {
	Server       string        `json:"server"`
	Part         int           `json:"part"` // from 1
	Documents    int           `json:"documents"`
	Seconds      float64       `json:"seconds"`
	ServerPerDoc time.Duration `json:"server_cpu_per_document_ns"`
	ClientPerDoc time.Duration `json:"client_cpu_per_document_ns"` // of what reads and sends the documents
	OtherShare   float64       `json:"other_cpu_share"`
	Resident     int64         `json:"resident_bytes"` // of the server's processes, at the end of the part
}

// BulkResult is what a run of "peers import" measured.
type BulkResult struct {
	Config   bulkConfig       `json:"config"`
	Disk     float64          `json:"disk_documents_per_second,omitempty"` // of plain batches, appended and synced one after the other
	Samples  []BulkSample     `json:"samples"`
	Stored   map[string]int64 `json:"stored_bytes"` // by server: its data directory, at the end
	Missing  []Failure        `json:"missing,omitempty"`
	Verdicts []Verdict        `json:"verdicts"`
}

// measureImport parses the flags, loads the documents into each server, and
// prints what was measured.
func measureImport(ctx context.Context, args []string) error {
	config := bulkConfig{}
	flags := flag.NewFlagSet("peers import", flag.ContinueOnError)
	flags.IntVar(&config.Documents, "documents", 1_000_000, "documents for each server, of ten fields and some 400 bytes")
	flags.IntVar(&config.Parts, "parts", 10, "parts that are measured one by one")
	only := flags.String("only", "", fmt.Sprintf("what to measure, of %v, with commas between", bulkNames))
	config.options.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if config.Names, err = parseList("only", *only, bulkNames); err != nil {
		return err
	}
	if config.Parts < 1 || config.Documents < config.Parts || flags.NArg() > 0 {
		return errors.New("import takes flags alone, at least 1 part, and at least as many --documents as --parts")
	}
	cleanUp, err := config.makeDir()
	if err != nil {
		return err
	}
	defer cleanUp()
	result, err := runImport(ctx, config)
	if err != nil {
		return err
	}
	if err := config.write(result, result.print); err != nil {
		return err
	}
	return lacking(result.Missing)
}

// runImport measures everything that config names, one after the other.
func runImport(ctx context.Context, config bulkConfig) (*BulkResult, error) {
	r := &BulkResult{Config: config, Stored: make(map[string]int64)}
	if slices.Contains(config.Names, nameDisk) {
		doc := newSource(0, nil).document()
		batch, err := jsonLines(slices.Repeat([]document{doc}, bulkBatch))
		if err != nil {
			return nil, err
		}
		sample, err := measureDisk(config.dir, len(batch), diskTime)
		if err != nil {
			return nil, fmt.Errorf("measure the disk: %w", err)
		}
		r.Disk = sample.OpsPerSecond * bulkBatch
	}
	bin := filepath.Join(config.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	for _, s := range servers(config.atollProgram, bulkParallel) {
		if !slices.Contains(config.Names, s.name) {
			continue
		}
		if s.name == nameAtoll {
			s.prepare = nil // it indexes every field anyway
		}
		config.progress("building %s", s.name)
		program, err := s.build(ctx, bin)
		if missing, ok := errors.AsType[missingTool](err); ok {
			r.Missing = append(r.Missing, Failure{Server: s.name, Reason: missing.advice})
			continue
		}
		if err == nil {
			err = r.fill(ctx, s, program)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if slices.Contains(config.Names, nameAtoll) {
		rate := r.rate(nameAtoll)
		r.Verdicts = []Verdict{verdict(Verdict{
			Target: "import of all documents, at least", Got: rate, Want: targetImport, Unit: "documents/s",
		}, rate >= targetImport)}
	}
	return r, nil
}

// fill starts a server and loads every part into it.
func (r *BulkResult) fill(ctx context.Context, s server, program string) error {
	i, err := launch(ctx, s, program, r.Config.dir)
	defer i.end()
	if err != nil {
		return err
	}
	var check []string
	for part := 1; part <= r.Config.Parts; part++ {
		docs := partOf(r.Config, part)
		for n := 0; n < len(docs); n += bulkChecked {
			check = append(check, docs[n].ID)
		}
		load, err := i.loader(ctx, docs)
		if err != nil {
			return err
		}
		sample, err := measureLoad(i, load, len(docs))
		if err != nil {
			return fmt.Errorf("part %d: %w%s", part, err, i.process.lastOutput())
		}
		sample.Part = part
		r.Samples = append(r.Samples, sample)
		r.Config.progress("%s: part %d of %d: %.0f documents/s", s.name, part, r.Config.Parts, float64(len(docs))/sample.Seconds)
	}
	if r.Stored[s.name], err = sizeOf(i.dir); err != nil {
		return err
	}
	return i.readBack(ctx, check)
}

// partOf makes up the documents of a part, the same ones in every run.
func partOf(config bulkConfig, part int) []document {
	s := newSource(1<<40|uint64(part), nil)
	docs := make([]document, config.Documents/config.Parts)
	for i := range docs {
		docs[i] = s.document()
	}
	return docs
}

// loader returns what loads documents into the server, and tells how much
// processor time that took apart from the server's. Whatever can be made ready
// is made before it returns.
func (i *instance) loader(ctx context.Context, docs []document) (func() (time.Duration, error), error) {
	if i.name != nameAtoll {
		return func() (time.Duration, error) { return i.bulkLoad(ctx, docs) }, nil
	}
	file, err := i.writeImport(docs)
	if err != nil {
		return nil, err
	}
	return func() (time.Duration, error) { return i.importFile(ctx, file) }, nil
}

// measureLoad runs load and shares its time out among the documents.
func measureLoad(i *instance, load func() (time.Duration, error), documents int) (BulkSample, error) {
	before, err := readUsage(i.process.pid())
	if err != nil {
		return BulkSample{}, err
	}
	client, err := load()
	if err != nil {
		return BulkSample{}, err
	}
	after, err := readUsage(i.process.pid())
	if err != nil {
		return BulkSample{}, err
	}
	resident, err := residentOf(i.process.pid())
	server := after.server - before.server
	sample := BulkSample{
		Server: i.name, Documents: documents, Seconds: after.at.Sub(before.at).Seconds(), Resident: resident,
		ServerPerDoc: server / time.Duration(documents), ClientPerDoc: client / time.Duration(documents),
	}
	if total := after.total - before.total; total > 0 {
		sample.OtherShare = max(0, float64(after.busy-before.busy-server-client)/float64(total))
	}
	return sample, err
}

// bulkLoad sends documents in batches, over several connections.
func (i *instance) bulkLoad(ctx context.Context, docs []document) (client time.Duration, err error) {
	conns, closeAll, err := dialAll(ctx, i, bulkParallel)
	if err != nil {
		return 0, err
	}
	defer closeAll()
	before, _, err := processorTime(os.Getpid())
	if err != nil {
		return 0, err
	}
	batches := make(chan []document)
	go func() {
		for batch := range slices.Chunk(docs, bulkBatch) {
			batches <- batch
		}
		close(batches)
	}()
	errs := make([]error, len(conns))
	var workers sync.WaitGroup
	for n, conn := range conns {
		workers.Go(func() {
			for batch := range batches { // to its end, so that the sender ends
				if errs[n] == nil {
					errs[n] = conn.(bulkLoader).bulk(ctx, batch)
				}
			}
		})
	}
	workers.Wait()
	after, _, err := processorTime(os.Getpid())
	return after - before, errors.Join(append(errs, err)...)
}

// writeImport writes documents to a file that "atoll import" reads.
func (i *instance) writeImport(docs []document) (string, error) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for n := range docs {
		row := struct {
			Path     string  `json:"path"`
			Document *fields `json:"document"`
		}{collection + "/" + docs[n].ID, &docs[n].fields}
		if err := encoder.Encode(row); err != nil {
			return "", err
		}
	}
	file := filepath.Join(i.dir, "import.jsonl")
	return file, os.WriteFile(file, lines.Bytes(), 0o644)
}

// importFile runs "atoll import" on a file of documents with their paths.
func (i *instance) importFile(ctx context.Context, file string) (client time.Duration, err error) {
	cmd := exec.CommandContext(ctx, i.program, "import", "--addr", i.address, "--project", project, file)
	if output, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("atoll import: %w\n%s", err, output)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// readBack reads documents: what is not there was not loaded.
func (i *instance) readBack(ctx context.Context, ids []string) error {
	conn, err := i.dial(ctx, i.address)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := conn.get(ctx, id); err != nil {
			return errors.Join(fmt.Errorf("a document was acknowledged but cannot be read: %w", err), conn.Close())
		}
	}
	return conn.Close()
}

// sizeOf is what the files below a directory hold, in bytes.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreGone(err)
	})
	return size, err
}

// ignoreGone forgives files that a server has removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rate is how many documents a second a server took, over all parts; 0 if it
// was not measured.
func (r *BulkResult) rate(name string) float64 {
	documents, seconds := 0, 0.0
	for _, s := range r.Samples {
		if s.Server == name {
			documents, seconds = documents+s.Documents, seconds+s.Seconds
		}
	}
	if seconds == 0 {
		return 0
	}
	return float64(documents) / seconds
}

// print writes the run for a person to read.
func (r *BulkResult) print(out io.Writer) {
	fmt.Fprintf(out, "%d documents of ten fields for each server, in %d parts; batches of %d, %d under way\n\n",
		r.Config.Documents, r.Config.Parts, bulkBatch, bulkParallel)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "server\tdocuments/s (slowest–fastest part)\tserver µs/doc\tclient µs/doc\tothers' CPU\tRSS MB\tdisk bytes/doc\tatoll / it")
	if r.Disk > 0 {
		fmt.Fprintf(table, "%s\t%.0f\t\t\t\t\t\t%.2f\n", nameDisk, r.Disk, r.rate(nameAtoll)/r.Disk)
	}
	for _, name := range bulkNames {
		if r.rate(name) > 0 {
			r.printServer(table, name)
		}
	}
	_ = table.Flush()
	printVerdicts(out, r.Verdicts)
	printMissing(out, r.Missing)
}

// printServer writes the line of a server.
func (r *BulkResult) printServer(out io.Writer, name string) {
	over := func(figure func(BulkSample) float64) Spread {
		var figures []float64
		for _, s := range r.Samples {
			if s.Server == name {
				figures = append(figures, figure(s))
			}
		}
		return spread(figures)
	}
	parts := over(func(s BulkSample) float64 { return float64(s.Documents) / s.Seconds })
	fmt.Fprintf(out, "%s\t%.0f (%.0f–%.0f)\t%.0f\t%.0f\t%.0f %%\t%.0f\t%d\t%.2f\n",
		name, r.rate(name), parts.Min, parts.Max,
		over(func(s BulkSample) float64 { return microseconds(s.ServerPerDoc) }).Median,
		over(func(s BulkSample) float64 { return microseconds(s.ClientPerDoc) }).Median,
		over(func(s BulkSample) float64 { return s.OtherShare * 100 }).Median,
		over(func(s BulkSample) float64 { return float64(s.Resident) / 1e6 }).Max,
		r.Stored[name]/int64(r.Config.Documents), r.rate(nameAtoll)/r.rate(name))
}
