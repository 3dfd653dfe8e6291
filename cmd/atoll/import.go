package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"

	"atoll"
	"atoll/transfer"
)

const (
	// retryTime is for how long a batch, or a page, is asked for again.
	retryTime = time.Minute
	// placeEvery is how often the place of an import or export is kept.
	placeEvery = 200 * time.Millisecond
	stdinName  = "standard input"
)

// importFlags are the flags of "atoll import".
type importFlags struct {
	target
	into, format, id, pattern, ignore string
	types, add                        []string
	resume, onError, report           string
	parallel                          int
	create, asJSON                    bool
}

const importLong = `import writes the documents of files, many at once, and each of them durably.
- reads standard input.

With --into the rows are documents, and go into that collection. Without it the
files were written by "atoll export" or "atoll get --json": each row names its
document. A document that is there already is replaced; one that occurs several
times becomes what its last row says.

The ids of documents are the values of a field, or a template of fields:

  --id isbn                    the field isbn, a string or an integer
  --id '{country}-{city}'      also {$file}, {$line}, {$row} and {$hash}

Without --id they are hashes of the documents: a second import changes nothing.

A file of lines that are neither JSON nor CSV is taken apart by --map, a regular
expression (RE2): what a named group (?P<name>...) matches becomes that field,
a string unless --types says otherwise. --ignore leaves out lines. --add gives
every document a field, of a template.

With --resume the import keeps its place in a file. The same command line goes
on there after an interruption or a crash: nothing is left out, and nothing is
applied twice.

CSV begins with the names of the fields. An empty cell is a field that is not
there; a cell that is JSON is that value; anything else is a string. --types
tells columns what they are: auto, string, int, double, bool or timestamp.

`

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Write the documents of files: JSON Lines, JSON, CSV, or lines of text",
		Long:  importLong + valueHelp,
		Example: `  atoll import --into books --id isbn books.csv --types isbn=string
  atoll import --into events --resume events.place events.jsonl
  atoll export cities | atoll import --format jsonl --project copy -
  atoll import --into api --ignore '^#|^$' --add 'go={$file}' --types issue=int \
    --map '^pkg (?P<package>\S+)( \((?P<platform>\S+)\))?, (?P<kind>\w+) (\((?P<receiver>[^)]+)\) )?(?P<symbol>\w+) ?(?P<detail>.*?)( #(?P<issue>\d+))?$' \
    "$(go env GOROOT)"/api/go1*.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{"import takes the names of files, or - for standard input"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.into, "into", "", "`collection` of the documents, by its path")
	fl.StringVar(&f.format, "format", "", "`format` of the files: jsonl, json or csv; by their names if not given")
	fl.StringVar(&f.id, "id", "", "`field` or template of documents' ids")
	fl.StringArrayVar(&f.types, "types", nil, "`field=type` of a text; may be repeated")
	fl.StringVar(&f.pattern, "map", "", "regular `expression` that takes lines apart")
	fl.StringVar(&f.ignore, "ignore", "", "regular `expression` of lines to leave out, with --map")
	fl.StringArrayVar(&f.add, "add", nil, "`field=template` that every document gets; may be repeated")
	fl.StringVar(&f.resume, "resume", "", "`file` that keeps the place: go on from what it holds")
	fl.StringVar(&f.onError, "on-error", "stop", "`what` to do about a row with an error: stop or skip")
	fl.StringVar(&f.report, "report", "", "`file` for the rows that were skipped, as lines of JSON; standard error if not given")
	fl.IntVar(&f.parallel, "parallel", 8, "`number` of batches under way at once")
	fl.BoolVar(&f.create, "create", false, "a document that is there already is an error")
	fl.BoolVar(&f.asJSON, "json", false, "answer with JSON")
	return cmd
}

// idTemplate reads --id: the name of a field, or a template.
func idTemplate(text string) (transfer.Template, error) {
	switch {
	case text == "":
		return transfer.Template{}, nil
	case strings.Contains(text, "{"):
		return transfer.ParseTemplate(text)
	}
	return transfer.FieldTemplate(text), nil
}

// mapping reads the flags that say what rows become.
func (f *importFlags) mapping(db atoll.Database) (m transfer.Mapping, err error) {
	m = transfer.Mapping{Database: db, Into: atoll.Path(f.into)}
	if m.Types, err = transfer.ParseTypes(f.types); err != nil {
		return m, usageError{"--types: " + atoll.AsError(err).Msg}
	}
	if m.ID, err = idTemplate(f.id); err != nil {
		return m, usageError{"--id: " + atoll.AsError(err).Msg}
	}
	for _, e := range []struct {
		flag, text string
		to         **regexp.Regexp
	}{{"--map", f.pattern, &m.Pattern}, {"--ignore", f.ignore, &m.Ignore}} {
		if e.text == "" {
			continue
		}
		if *e.to, err = regexp.Compile(e.text); err != nil {
			return m, usageError{e.flag + ": " + err.Error()}
		}
	}
	for _, a := range f.add {
		field, text, ok := strings.Cut(a, "=")
		if !ok {
			return m, usageError{fmt.Sprintf("--add %q has not the form field=template", a)}
		}
		t, err := transfer.ParseTemplate(text)
		if err != nil {
			return m, usageError{"--add: " + atoll.AsError(err).Msg}
		}
		m.Add = append(m.Add, transfer.Addition{Field: field, Text: t})
	}
	if err := m.Check(); err != nil {
		return m, usageError{atoll.AsError(err).Msg}
	}
	return m, nil
}

func (f *importFlags) run(cmd *cobra.Command, names []string) error {
	if f.parallel < 1 || f.parallel > 64 {
		return usageError{fmt.Sprintf("--parallel %d is not from 1 to 64", f.parallel)}
	}
	if f.onError != "stop" && f.onError != "skip" {
		return usageError{fmt.Sprintf("--on-error %q is not stop or skip", f.onError)}
	}
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer c.close()
	m, err := f.mapping(c.db)
	if err != nil {
		return err
	}
	files, marks, err := f.open(names, cmd.InOrStdin())
	if err != nil {
		return err
	}
	place, err := f.place(marks)
	if err != nil {
		return err
	}
	im := &transfer.Import{Files: files, Mapping: m, Place: place, Parallel: f.parallel, Send: c.sender(f.create)}
	j := &importJob{importFlags: f, im: im, start: time.Now(), before: place.Summary.Rows, progress: newProgress(cmd, "rows")}
	if err := j.openReport(cmd.ErrOrStderr()); err != nil {
		return err
	}
	if place.Done {
		fmt.Fprintf(cmd.ErrOrStderr(), "atoll: %s says that this import is complete; remove the file to import again\n", f.resume)
	}
	for _, m := range marks {
		j.total += m.Size
	}
	im.Moved = j.moved
	err = im.Run(cmd.Context())
	return j.end(cmd.OutOrStdout(), err)
}

// open looks at the files, which are read one after the other later.
func (f *importFlags) open(names []string, stdin io.Reader) (files []transfer.File, marks []transfer.Mark, err error) {
	for _, name := range names {
		file := transfer.File{Name: name, Format: transfer.Format(f.format)}
		var mark transfer.Mark
		if name == "-" {
			if f.resume != "" {
				return nil, nil, usageError{"--resume needs files: standard input cannot be read again"}
			}
			file.Name = stdinName
			file.Open = func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }
		} else {
			info, err := os.Stat(name)
			if err != nil || info.IsDir() {
				return nil, nil, atoll.Errorf(atoll.NotFound, "there is no file %s that can be read", name)
			}
			mark = transfer.Mark{Name: name, Size: info.Size(), Modified: info.ModTime().UnixNano()}
			file.Open = func() (io.ReadCloser, error) {
				r, err := os.Open(name)
				if err != nil {
					return nil, atoll.Errorf(atoll.NotFound, "cannot read %s: %v", name, err)
				}
				return r, nil
			}
		}
		switch {
		case f.pattern != "":
		case f.format != "":
			file.Format, err = transfer.ParseFormat(f.format)
		default:
			file.Format, err = transfer.FormatOf(file.Name)
		}
		if err != nil {
			return nil, nil, usageError{atoll.AsError(err).Msg}
		}
		files, marks = append(files, file), append(marks, mark)
	}
	return files, marks, nil
}

// place begins, or goes on where --resume says.
func (f *importFlags) place(marks []transfer.Mark) (*transfer.Place, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", []any{f.project, f.database, f.into, f.format, f.id, f.pattern, f.ignore, f.types, f.add, f.create})
	settings := hex.EncodeToString(h.Sum(nil))
	if f.resume == "" {
		return transfer.NewPlace(settings, marks), nil
	}
	p, ok, err := transfer.LoadPlace(f.resume, settings, marks)
	if err != nil || ok {
		return p, err
	}
	p = transfer.NewPlace(settings, marks)
	return p, p.Save(f.resume) // before anything is sent, for the run's name
}

// sender returns a function that applies batches over BatchWrite.
func (c *client) sender(create bool) func(context.Context, transfer.Batch) ([]error, error) {
	return func(ctx context.Context, b transfer.Batch) (errs []error, err error) {
		return c.apply(ctx, b, create)
	}
}

// apply applies a batch. A node refuses a request as a whole, and does nothing,
// if it takes one of its writes for malformed; so one that it refuses is sent
// again in halves, each under a name that follows from the batch's, until it is
// known which documents are to blame.
func (c *client) apply(ctx context.Context, b transfer.Batch, create bool) (errs []error, err error) {
	req, done := c.batchRequest(b.Documents, create)
	err = transfer.Retry(ctx, retryTime, func() (err error) {
		errs, err = c.batch(ctx, req, b.ID)
		return err
	})
	done()
	n := len(b.Documents)
	switch {
	case atoll.KindOf(err) != atoll.Invalid:
		return errs, err
	case n == 1:
		return []error{err}, nil
	}
	errs = errs[:0]
	for i, half := range [][]transfer.Document{b.Documents[:n/2], b.Documents[n/2:]} {
		id := sha256.Sum256(append(b.ID[:], byte(i)))
		part, err := c.apply(ctx, transfer.Batch{ID: atoll.RequestID(id[:]), Documents: half}, create)
		if err != nil {
			return nil, err
		}
		errs = append(errs, part...)
	}
	return errs, nil
}

// batch sends a batch once. The error is that of the whole, or of a write that
// is worth another try.
func (c *client) batch(ctx context.Context, req *firestorepb.BatchWriteRequest, id atoll.RequestID) ([]error, error) {
	ctx, cancel := c.context(ctx)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "atoll-request-id", id.String())
	res, err := c.BatchWrite(ctx, req)
	if err != nil {
		return nil, c.problem(err)
	}
	errs := make([]error, len(res.GetStatus()))
	var again error
	for i, s := range res.GetStatus() {
		if s.GetCode() == 0 {
			continue
		}
		errs[i] = atoll.Errorf(atoll.Kind(s.GetCode()), "%s", s.GetMessage())
		if transfer.WorthRetry(errs[i]) {
			again = errs[i]
		}
	}
	return errs, again
}

// importJob is an import that runs.
type importJob struct {
	*importFlags
	im       *transfer.Import
	progress *progress
	start    time.Time
	before   int64 // rows of earlier runs
	total    int64 // bytes of all files
	passed   int64 // of the files that are done
	file     int
	saved    time.Time
	out      *os.File // of the report
	buf      *bufio.Writer
	written  int64
}

// openReport makes --report, or cuts what a crash left behind the place.
func (j *importJob) openReport(notes io.Writer) error {
	if j.onError != "skip" {
		return nil
	}
	if j.report == "" {
		j.im.Skip = func(e *transfer.RowError) error {
			_, err := fmt.Fprintf(notes, "atoll: skipped %v\n", e)
			return err
		}
		return nil
	}
	f, err := os.OpenFile(j.report, os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = f.Truncate(j.im.Place.Reported)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return atoll.Errorf(atoll.PermissionDenied, "cannot write --report: %v", err)
	}
	j.out, j.buf, j.written = f, bufio.NewWriter(f), j.im.Place.Reported
	count := writerFunc(func(p []byte) (int, error) {
		j.written += int64(len(p))
		return j.buf.Write(p)
	})
	j.im.Skip = func(e *transfer.RowError) error { return writeLine(count, e) }
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// moved tells how far the import has come, and keeps the place.
func (j *importJob) moved(offset int64) error {
	p := j.im.Place
	for ; j.file < p.File; j.file++ {
		j.passed += p.Files[j.file].Size
	}
	j.progress.set(p.Summary.Rows, j.passed+offset, j.total)
	if !p.Done && time.Since(j.saved) < placeEvery {
		return nil
	}
	return j.save()
}

func (j *importJob) save() error {
	j.saved = time.Now()
	if j.buf != nil {
		if err := j.buf.Flush(); err != nil {
			return atoll.Errorf(atoll.Unavailable, "cannot write --report: %v", err)
		}
		j.im.Place.Reported = j.written
	}
	if j.resume == "" {
		return nil
	}
	return j.im.Place.Save(j.resume)
}

// end keeps the place and tells what was done.
func (j *importJob) end(out io.Writer, err error) error {
	j.progress.end()
	if e := j.save(); err == nil {
		err = e
	}
	if j.out != nil {
		if e := j.out.Close(); err == nil && e != nil {
			err = atoll.Errorf(atoll.Unavailable, "cannot write --report: %v", e)
		}
	}
	s := j.im.Place.Summary
	took := time.Since(j.start)
	if err != nil {
		return j.explain(err, s)
	}
	if j.asJSON {
		return writeLine(out, struct {
			transfer.Summary
			Seconds float64 `json:"seconds"`
		}{s, took.Seconds()})
	}
	_, err = fmt.Fprintf(out, "%d documents of %d rows imported in %s (%.0f rows a second); %d rows skipped, %d ignored\n",
		s.Documents, s.Rows, took.Round(time.Millisecond), float64(s.Rows-j.before)/took.Seconds(), s.Skipped, s.Ignored)
	return err
}

// explain says how to go on.
func (j *importJob) explain(err error, s transfer.Summary) error {
	e := *atoll.AsError(err)
	if row := (*transfer.RowError)(nil); errors.As(err, &row) {
		e.Msg = row.Error()
	}
	e.Msg = fmt.Sprintf("%s. %d rows were imported before it", e.Msg, s.Rows)
	switch {
	case j.resume != "":
		e.Msg += "; repeat the command to go on from there"
	case j.onError == "stop":
		e.Msg += "; with --on-error skip rows with errors are left out"
	}
	return &e
}
