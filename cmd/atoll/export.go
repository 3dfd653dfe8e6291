package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/transfer"
	"atoll/value"
)

// exportPage is how many documents are asked for at once.
const exportPage = 1000

type exportFlags struct {
	target
	format, out, resume string
	fields              []string
	recursive, asJSON   bool
}

func exportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export [COLLECTION]",
		Short: "Write documents to a file: JSON Lines, JSON or CSV",
		Long: `export writes the documents of a collection, or of the whole database, as they
all are at one time, in the order of their paths. "atoll import" reads what it
wrote, as the same values.

With --recursive the collections below the documents are written too; of the
whole database they always are. CSV has a column for each field; without
--fields the documents are read twice, at the same time, to find them.

With --resume the export keeps its place in a file. The same command line goes
on there after an interruption, at the time of the first run. The node must
keep old versions for as long as an export takes: see --retention of "atoll dev".`,
		Example: `  atoll export cities --out cities.jsonl
  atoll export --out all.jsonl --resume all.place
  atoll export books --format csv --fields isbn,title > books.csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{"export takes the path of one collection, or none for the whole database"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, atoll.Path(strings.Trim(strings.Join(args, ""), "/")))
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "", "`format` of the output: jsonl, json or csv; by the name of --out, or jsonl")
	fl.StringVar(&f.out, "out", "", "`file` to write; standard output if not given")
	fl.StringSliceVar(&f.fields, "fields", nil, "`names` of the columns of CSV; a document with another field is an error")
	fl.BoolVar(&f.recursive, "recursive", false, "also the collections below the documents")
	fl.StringVar(&f.resume, "resume", "", "`file` that keeps the place: go on from what it holds; needs --out")
	fl.BoolVar(&f.asJSON, "json", false, "tell on standard error what was done, with JSON")
	return cmd
}

func (f *exportFlags) run(cmd *cobra.Command, from atoll.Path) error {
	if from != "" {
		if err := from.Check(); err != nil {
			return err
		}
		if !from.IsCollection() {
			return atoll.Errorf(atoll.Invalid, "%q is not the path of a collection; it has the form collection, or collection/id/collection", from)
		}
	}
	format, err := f.formatOf()
	if err != nil {
		return err
	}
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer c.close()
	e := &exporter{client: c, format: format, resume: f.resume, recursive: f.recursive || from == "", from: from, progress: newProgress(cmd, "documents")}
	start := time.Now()
	err = f.export(cmd, e)
	e.progress.end()
	if err != nil {
		return f.explain(err, e)
	}
	if f.asJSON {
		return writeLine(cmd.ErrOrStderr(), map[string]any{
			"documents": e.place.Count, "bytes": e.place.Bytes, "time": e.place.Time.String(), "seconds": time.Since(start).Seconds(),
		})
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d documents as of %s exported in %s\n", e.place.Count, e.place.Time, time.Since(start).Round(time.Millisecond))
	return err
}

func (f *exportFlags) formatOf() (transfer.Format, error) {
	var format transfer.Format
	var err error
	switch {
	case f.format != "":
		format, err = transfer.ParseFormat(f.format)
	case f.out != "":
		format, err = transfer.FormatOf(f.out)
	default:
		format = transfer.JSONL
	}
	switch {
	case err != nil:
		return "", usageError{atoll.AsError(err).Msg}
	case f.resume != "" && f.out == "":
		return "", usageError{"--resume needs --out: what was written to standard output cannot be looked at"}
	case len(f.fields) > 0 && format != transfer.CSV:
		return "", usageError{"--fields is for CSV alone"}
	}
	return format, nil
}

// explain says how to go on.
func (f *exportFlags) explain(err error, e *exporter) error {
	out := *atoll.AsError(err)
	if out.Kind == atoll.FailedPrecondition && strings.Contains(out.Msg, "too old") {
		out.Msg += "; the versions of that time are gone. Remove --resume's file to begin anew, and let the node keep more with --retention"
	} else if f.resume != "" && e.place != nil && e.place.Count > 0 {
		out.Msg += fmt.Sprintf(". %d documents are written; repeat the command to go on from there", e.place.Count)
	}
	return &out
}

// exporter writes the documents of one database, at one time.
type exporter struct {
	*client
	format    transfer.Format
	resume    string
	recursive bool
	from      atoll.Path // a collection, or empty for the whole database
	progress  *progress

	place   *transfer.ExportPlace
	resumed []transfer.Page // where the run before was
	file    *os.File        // nil: standard output
	out     *bufio.Writer
	writer  *transfer.Writer
	saved   time.Time
}

func (f *exportFlags) export(cmd *cobra.Command, e *exporter) error {
	ctx := cmd.Context()
	if err := e.begin(ctx, f); err != nil {
		return err
	}
	if e.place.Done {
		fmt.Fprintf(cmd.ErrOrStderr(), "atoll: %s says that this export is complete; remove the file to export again\n", f.resume)
		return nil
	}
	var to io.Writer = cmd.OutOrStdout()
	if f.out != "" {
		file, err := os.OpenFile(f.out, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return atoll.Errorf(atoll.PermissionDenied, "cannot write --out: %v", err)
		}
		defer file.Close()
		if err := cutTo(file, e.place.Bytes); err != nil {
			return err
		}
		e.file, to = file, file
	}
	e.out = bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) {
		n, err := to.Write(p)
		e.place.Bytes += int64(n)
		return n, err
	}), 256<<10)
	var err error
	if e.writer, err = transfer.NewWriter(e.format, e.out, e.place.Fields, e.place.Count); err != nil {
		return err
	}
	if err := e.walk(ctx, e.from, e.place.After, e.write); err != nil {
		if e.file != nil {
			e.save(true)
		}
		return err
	}
	if err := e.writer.End(); err != nil {
		return err
	}
	e.place.Done = true
	return e.save(true)
}

// cutTo removes what a crash left behind the place.
func cutTo(f *os.File, size int64) error {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		if info.Size() < size {
			return atoll.Errorf(atoll.DataLoss, "%s has %d bytes, and %d were written to it; remove --resume's file to begin anew", f.Name(), info.Size(), size)
		}
		if err = f.Truncate(size); err == nil {
			_, err = f.Seek(size, io.SeekStart)
		}
	}
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot write --out: %v", err)
	}
	return nil
}

// begin finds the time to read at, and the columns.
func (e *exporter) begin(ctx context.Context, f *exportFlags) error {
	h := sha256.New()
	fmt.Fprintf(h, "%q", []any{f.project, f.database, string(e.from), e.format, e.recursive, f.fields, f.out})
	settings := hex.EncodeToString(h.Sum(nil))
	if f.resume != "" {
		p, ok, err := transfer.LoadExport(f.resume, settings)
		if err != nil {
			return err
		}
		if ok {
			e.place, e.resumed = p, slices.Clone(p.Pages)
			return nil
		}
	}
	at, err := e.now(ctx)
	if err != nil {
		return err
	}
	e.place = &transfer.ExportPlace{Settings: settings, Time: at, Fields: f.fields}
	if e.format == transfer.CSV && len(f.fields) == 0 {
		var columns transfer.Columns
		var n int64
		err := e.walk(ctx, e.from, "", func(_ atoll.Path, doc value.Value) error {
			columns.Add(doc)
			n++
			e.progress.set(n, 0, 0)
			return nil
		})
		if err != nil {
			return err
		}
		e.place.Fields, e.place.Pages = columns.Names, nil
	}
	return nil
}

// now returns a time of the node's at which everything acknowledged so far is
// to be seen.
func (e *exporter) now(ctx context.Context) (at atoll.Time, err error) {
	err = transfer.Retry(ctx, retryTime, func() error {
		ctx, cancel := e.context(ctx)
		defer cancel()
		stream, err := e.BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{
			Database: e.db.String(), Documents: []string{e.name("atoll/export")},
		})
		if err != nil {
			return e.problem(err)
		}
		res, err := stream.Recv()
		if err != nil {
			return e.problem(err)
		}
		at = atoll.TimeOf(res.GetReadTime().AsTime())
		return nil
	})
	return at, err
}

// walk shows the documents of a collection, or of all, behind one of them, in
// the order of their paths: a document comes before those below it.
func (e *exporter) walk(ctx context.Context, collection, after atoll.Path, show func(atoll.Path, value.Value) error) error {
	if collection == "" {
		return e.below(ctx, "", after, show)
	}
	req := &firestorepb.ListDocumentsRequest{
		Parent: e.parent(collection.Parent()), CollectionId: collection.ID(), PageSize: exportPage,
		ShowMissing:         e.recursive,
		ConsistencySelector: &firestorepb.ListDocumentsRequest_ReadTime{ReadTime: timestamppb.New(e.place.Time.Std())},
	}
	depth := collection.Len() / 2
	if after != "" && depth < len(e.resumed) && e.resumed[depth].Collection == collection {
		req.PageToken = e.resumed[depth].Token
	}
	for {
		e.place.Pages = append(e.place.Pages[:min(depth, len(e.place.Pages))], transfer.Page{Collection: collection, Token: req.PageToken})
		var page *firestorepb.ListDocumentsResponse
		err := transfer.Retry(ctx, retryTime, func() (err error) {
			page, err = e.page(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range page.GetDocuments() {
			if err := e.document(ctx, d, after, show); err != nil {
				return err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

// document shows a document, if it is there, and what is below it.
func (e *exporter) document(ctx context.Context, d *firestorepb.Document, after atoll.Path, show func(atoll.Path, value.Value) error) error {
	p := e.path(d.GetName())
	order := 1 // of p, against after
	if after != "" {
		order = comparePaths(e.db, p, after)
	}
	if order > 0 && d.GetCreateTime() != nil {
		doc, err := firestore.FromFields(d.GetFields())
		if err != nil {
			return err
		}
		if err := show(p, doc); err != nil {
			return err
		}
	}
	if !e.recursive || order < 0 && !isBelow(after, p) {
		return nil
	}
	return e.below(ctx, p, after, show)
}

// below shows what lies below a document, or in the whole database.
func (e *exporter) below(ctx context.Context, p, after atoll.Path, show func(atoll.Path, value.Value) error) error {
	req := &firestorepb.ListCollectionIdsRequest{Parent: e.parent(p), PageSize: exportPage}
	req.ConsistencySelector = &firestorepb.ListCollectionIdsRequest_ReadTime{ReadTime: timestamppb.New(e.place.Time.Std())}
	for {
		var page *firestorepb.ListCollectionIdsResponse
		err := transfer.Retry(ctx, retryTime, func() error {
			ctx, cancel := e.context(ctx)
			defer cancel()
			var err error
			page, err = e.ListCollectionIds(ctx, req)
			return e.problem(err)
		})
		if err != nil {
			return err
		}
		for _, id := range page.GetCollectionIds() {
			if err := e.walk(ctx, p.Child(id), after, show); err != nil {
				return err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func (e *exporter) parent(p atoll.Path) string {
	if p == "" {
		return e.db.String() + "/documents"
	}
	return e.name(p)
}

// comparePaths orders documents as lists do: by their ids, numeric ones first.
func comparePaths(db atoll.Database, a, b atoll.Path) int {
	return value.Compare(value.ReferenceTo(db, a), value.ReferenceTo(db, b))
}

func isBelow(p, document atoll.Path) bool { return strings.HasPrefix(string(p), string(document)+"/") }

func (e *exporter) write(p atoll.Path, doc value.Value) error {
	if err := e.writer.Write(transfer.Document{Path: p, Fields: doc}); err != nil {
		return err
	}
	e.place.After = p
	e.place.Count++
	e.progress.set(e.place.Count, 0, 0)
	return e.save(false)
}

// save keeps the place, not too often unless it must, when what it speaks of is
// on disk.
func (e *exporter) save(must bool) error {
	if !must && (e.resume == "" || time.Since(e.saved) < placeEvery) {
		return nil
	}
	e.saved = time.Now()
	err := e.out.Flush()
	if err == nil && e.file != nil {
		if info, serr := e.file.Stat(); serr == nil && info.Mode().IsRegular() { // and no pipe
			err = e.file.Sync()
		}
	}
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot write the output: %v", err)
	}
	if e.resume == "" {
		return nil
	}
	return e.place.Save(e.resume)
}
