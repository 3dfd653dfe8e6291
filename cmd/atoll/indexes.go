package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/indexes"
)

// indexPoll is how often a node is asked how far its indexes are.
const indexPoll = 200 * time.Millisecond

func indexesCommand() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "indexes",
		Short: "Show, change and export how documents are indexed",
		Long: `indexes shows the composite indexes of a database, the fields that are indexed
otherwise than by default or make documents expire, and how far each is.

By default every field is indexed by itself, ascending, descending and by array
element, for queries over one collection. Queries that need more work too, up to a
bound; "atoll explain" tells which index would help. A composite index serves
queries over several fields; an override takes a field out, or indexes it for
collection groups as well; a time-to-live field makes documents expire: one whose
field holds a timestamp that has passed is deleted, within a minute or so.

New indexes are built while the database serves, and used when they are ready.`,
		Example: `  atoll indexes
  atoll indexes apply firestore.indexes.json --wait
  atoll indexes export > firestore.indexes.json`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withIndexes(cmd.Context(), &t, func(ctx context.Context, c indexes.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return showIndexesJSON(cmd.OutOrStdout(), s)
				}
				return showIndexes(cmd.OutOrStdout(), s)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.AddCommand(indexesApplyCommand(), indexesExportCommand())
	return cmd
}

func indexesApplyCommand() *cobra.Command {
	var t target
	var wait, keep bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make the indexes of a database those of a file",
		Long: `apply makes the indexes of a database those of a file firestore.indexes.json, as
firebase-tools has it; - means standard input. Comments are allowed.

  {
    "indexes": [
      {"collectionGroup": "shops", "queryScope": "COLLECTION", "fields": [
        {"fieldPath": "city", "order": "ASCENDING"},
        {"fieldPath": "opened", "order": "DESCENDING"}]}
    ],
    "fieldOverrides": [
      {"collectionGroup": "shops", "fieldPath": "notes", "indexes": []},
      {"collectionGroup": "sessions", "fieldPath": "expires", "ttl": true, "indexes": [
        {"order": "ASCENDING", "queryScope": "COLLECTION"}]}
    ]
  }

What is as it should be is left alone. What the file does not name is deleted, and
fields are set back to the default, unless --keep is given. A field without "ttl"
makes no documents expire. New indexes are made before old ones go.

When apply ends the node maintains the new indexes, and builds them; --wait waits
until queries use them, and fails if one cannot be built. Applying a file again
after an interruption does the rest.`,
		Example: `  atoll indexes apply firestore.indexes.json
  atoll indexes apply firestore.indexes.json --project shop --wait`,
		Args: arguments(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readIndexFile(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			return withIndexes(cmd.Context(), &t, func(ctx context.Context, c indexes.Client) error {
				changes := 0
				err := c.Apply(ctx, f, keep, func(ch indexes.Change) {
					changes++
					fmt.Fprintln(out, describeChange(ch))
				})
				if err == nil && changes == 0 {
					fmt.Fprintln(out, "all is as the file has it")
				}
				if err != nil || !wait {
					return err
				}
				return waitForIndexes(ctx, c, newProgress(cmd, "documents indexed"))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the indexes are ready")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep indexes and overrides that the file does not name")
	return cmd
}

func indexesExportCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the indexes of a database as firestore.indexes.json",
		Long: `export prints the indexes of a database in the form of firestore.indexes.json,
sorted, for "atoll indexes apply" and for firebase-tools.

An override lists all ways in which the field is indexed: a field is indexed in all
ways of a scope or in none, and one that makes documents expire is indexed for its
collection group as well, unless it is not indexed at all.`,
		Example: `  atoll indexes export > firestore.indexes.json`,
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withIndexes(cmd.Context(), &t, func(ctx context.Context, c indexes.Client) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(s.File().Text())
				return err
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// withIndexes has do talk to a node, and says what to do about its errors.
func withIndexes(ctx context.Context, t *target, do func(context.Context, indexes.Client) error) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	defer c.close()
	// Building takes as long as it takes; each request is bounded by the node.
	return c.problem(do(c.stream(ctx), indexes.NewClient(c.cc, c.db)))
}

// readIndexFile reads a file; - means standard input.
func readIndexFile(name string, stdin io.Reader) (indexes.File, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return indexes.File{}, atoll.Errorf(atoll.NotFound, "there is no file %s", name)
		}
		if err != nil {
			return indexes.File{}, atoll.Errorf(atoll.PermissionDenied, "cannot read the indexes: %v", err)
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, indexes.MaxFile+1))
	if err != nil {
		return indexes.File{}, atoll.Errorf(atoll.Invalid, "cannot read the indexes: %v", err)
	}
	f, err := indexes.Parse(text)
	if err != nil {
		return f, atoll.Errorf(atoll.KindOf(err), "%s: %s", name, atoll.AsError(err).Msg)
	}
	return f, nil
}

func describeChange(c indexes.Change) string {
	if c.Index != nil {
		return c.Done + " " + c.Index.String()
	}
	if c.Done == indexes.Unset {
		return c.Done + " " + c.Override.Collection + "." + c.Override.Field + ": as by default"
	}
	return c.Done + " " + c.Override.String()
}

// waitForIndexes returns when nothing is being built any more.
func waitForIndexes(ctx context.Context, c indexes.Client, p *progress) error {
	defer p.end()
	for {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		var done, total int64
		for _, x := range s.Indexes {
			done, total = done+x.Documents, total+x.Estimate
		}
		for _, o := range s.Overrides {
			done, total = done+o.Documents, total+o.Estimate
		}
		p.set(done, min(done, total), total)
		if s.Done() {
			return firstBroken(s)
		}
		select {
		case <-ctx.Done():
			return atoll.Errorf(atoll.Canceled, "interrupted; the node goes on building, and \"atoll indexes\" shows how far it is")
		case <-time.After(indexPoll):
		}
	}
}

// firstBroken fails if an index could not be built.
func firstBroken(s indexes.Status) error {
	broken := func(what string, p indexes.Progress) error {
		if p.State != indexes.NeedsRepair {
			return nil
		}
		return atoll.Errorf(atoll.FailedPrecondition, "%s could not be built: %s; mend the cause and apply the file again", what, p.Problem)
	}
	for _, x := range s.Indexes {
		if err := broken("the index "+x.Index.String(), x.Progress); err != nil {
			return err
		}
	}
	for _, o := range s.Overrides {
		if err := broken("the indexes of the fields of "+o.Collection, o.Progress); err != nil {
			return err
		}
	}
	return nil
}

// showIndexes prints tables for people.
func showIndexes(w io.Writer, s indexes.Status) error {
	if len(s.Indexes)+len(s.Overrides) == 0 {
		_, err := fmt.Fprintln(w, "every field is indexed by itself, and there are no composite indexes")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(s.Indexes) > 0 {
		fmt.Fprintln(t, "INDEX\tCOLLECTION\tSCOPE\tFIELDS\tSTATE")
		for _, x := range s.Indexes {
			scope := "collection"
			if x.Group {
				scope = "group"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", path.Base(x.Name), x.Collection, scope, x.FieldText(), describeProgress(x.Progress))
		}
	}
	if len(s.Overrides) > 0 {
		if len(s.Indexes) > 0 {
			fmt.Fprintln(t)
		}
		fmt.Fprintln(t, "COLLECTION\tFIELD\tEFFECT\tSTATE")
		for _, o := range s.Overrides {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", o.Collection, o.Field, o.Effect(), describeProgress(o.Progress))
		}
	}
	return t.Flush()
}

func describeProgress(p indexes.Progress) string {
	switch {
	case p.Problem != "":
		return p.State + ": " + p.Problem
	case p.State == indexes.Building && p.Estimate > 0:
		return fmt.Sprintf("%s, %d of about %d documents", p.State, p.Documents, p.Estimate)
	case p.State == indexes.Building:
		return fmt.Sprintf("%s, %d documents", p.State, p.Documents)
	}
	return p.State
}

// Types of what --json prints.
type (
	progressOut struct {
		State     string `json:"state"`
		Documents int64  `json:"documents,omitempty"`
		Estimate  int64  `json:"estimate,omitempty"`
		Problem   string `json:"problem,omitempty"`
	}
	indexOut struct {
		ID         string `json:"id"`
		Collection string `json:"collection"`
		Group      bool   `json:"group"`
		Fields     string `json:"fields"`
		progressOut
	}
	overrideOut struct {
		Collection string `json:"collection"`
		Field      string `json:"field"`
		Indexed    bool   `json:"indexed"`
		Group      bool   `json:"group"`
		TTL        bool   `json:"ttl"`
		progressOut
	}
)

// showIndexesJSON prints one object for programs.
func showIndexesJSON(w io.Writer, s indexes.Status) error {
	out := struct {
		Indexes   []indexOut    `json:"indexes"`
		Overrides []overrideOut `json:"overrides"`
	}{[]indexOut{}, []overrideOut{}}
	for _, x := range s.Indexes {
		out.Indexes = append(out.Indexes, indexOut{path.Base(x.Name), x.Collection, x.Group, x.FieldText(), progressOut(x.Progress)})
	}
	for _, o := range s.Overrides {
		out.Overrides = append(out.Overrides, overrideOut{o.Collection, o.Field, len(o.Modes) > 0, o.ForGroup(), o.TTL, progressOut(o.Progress)})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
