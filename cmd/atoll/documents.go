package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/gateway/firestore"
	"atoll/value"
)

const valueHelp = `Documents are written as JSON. A number without point and exponent is an integer.
Values that JSON does not have are objects with one name:

  {"$timestamp": "2026-10-05T12:00:00Z"}   a time, in microseconds
  {"$bytes": "aGk="}                       base64
  {"$reference": "cities/lisbon"}          a document of the same database
  {"$geopoint": [38.72, -9.14]}            latitude and longitude in degrees
  {"$vector": [1, 0.5]}                    doubles
  {"$double": "NaN"}                       also 5, "Infinity", "-Infinity"
  {"$map": {"$bytes": 1}}                  a map that looks like one of these`

// stored is a document with what the node knows about it, as JSON.
type stored struct {
	Path     atoll.Path      `json:"path"`
	Created  string          `json:"created,omitempty"`
	Updated  string          `json:"updated,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
}

func getCommand() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get PATH",
		Short: "Show a document, or the documents of a collection",
		Long: `get shows the document at a path such as cities/lisbon, or, one line each, the
documents of a collection such as cities.

` + valueHelp + `

Exit code 3 says that there is no such document.`,
		Example: `  atoll get cities/lisbon
  atoll get cities --json | jq .path`,
		Args: arguments(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.dial()
			if err != nil {
				return err
			}
			defer c.close()
			p := atoll.Path(strings.Trim(args[0], "/"))
			if err := p.Check(); err != nil {
				return err
			}
			if p.IsCollection() {
				return c.list(cmd.Context(), cmd.OutOrStdout(), p, asJSON)
			}
			return c.get(cmd.Context(), cmd.OutOrStdout(), p, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with one line of JSON per document, with its path and times")
	return cmd
}

func (c *client) get(ctx context.Context, out io.Writer, p atoll.Path, asJSON bool) error {
	if _, err := documentPath(string(p)); err != nil {
		return err
	}
	ctx, cancel := c.context(ctx)
	defer cancel()
	doc, err := c.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: c.name(p)})
	if err = c.problem(err); atoll.KindOf(err) == atoll.NotFound {
		return atoll.Errorf(atoll.NotFound, "there is no document %s in %s", p, c.db)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return c.line(out, doc)
	}
	v, err := firestore.FromFields(doc.GetFields())
	if err != nil {
		return err
	}
	return writeIndented(out, plain.Document(nil, v))
}

// list shows a collection, page by page.
func (c *client) list(ctx context.Context, out io.Writer, p atoll.Path, asJSON bool) error {
	parent := c.db.String() + "/documents"
	if up := p.Parent(); up != "" {
		parent = c.name(up)
	}
	req := &firestorepb.ListDocumentsRequest{Parent: parent, CollectionId: p.ID()}
	for {
		page, err := c.page(ctx, req)
		if err != nil {
			return err
		}
		for _, doc := range page.GetDocuments() {
			show := c.short
			if asJSON {
				show = c.line
			}
			if err := show(out, doc); err != nil {
				return err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func (c *client) page(ctx context.Context, req *firestorepb.ListDocumentsRequest) (*firestorepb.ListDocumentsResponse, error) {
	ctx, cancel := c.context(ctx)
	defer cancel()
	page, err := c.ListDocuments(ctx, req)
	return page, c.problem(err)
}

// short writes a document as its path and fields.
func (c *client) short(out io.Writer, doc *firestorepb.Document) error {
	v, err := firestore.FromFields(doc.GetFields())
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\t%s\n", c.path(doc.GetName()), plain.Document(nil, v))
	}
	return err
}

// line writes a document as one line of JSON.
func (c *client) line(out io.Writer, doc *firestorepb.Document) error {
	v, err := firestore.FromFields(doc.GetFields())
	if err != nil {
		return err
	}
	return writeLine(out, stored{
		Path:     c.path(doc.GetName()),
		Created:  atoll.TimeOf(doc.GetCreateTime().AsTime()).String(),
		Updated:  atoll.TimeOf(doc.GetUpdateTime().AsTime()).String(),
		Document: plain.Document(nil, v),
	})
}

func writeLine(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func writeIndented(out io.Writer, text []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(out)
	return err
}

func setCommand() *cobra.Command {
	var t target
	var merge, create, asJSON bool
	cmd := &cobra.Command{
		Use:   "set PATH JSON",
		Short: "Write a document",
		Long: `set writes a document and returns when it is on disk. The document becomes what
was given; with --merge only the fields that were given change. - instead of
JSON reads it from standard input.

` + valueHelp,
		Example: `  atoll set cities/lisbon '{"name": "Lisbon", "at": {"$geopoint": [38.72, -9.14]}}'
  atoll set cities/lisbon '{"visits": 2}' --merge
  atoll get cities/lisbon | atoll set cities/copy -`,
		Args: arguments(2, "PATH", "JSON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := documentPath(args[0])
			if err != nil {
				return err
			}
			c, err := t.dial()
			if err != nil {
				return err
			}
			defer c.close()
			doc, err := readDocument(c.db, p, args[1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			w := &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: c.name(p), Fields: firestore.ToFields(doc)}}}
			if merge {
				w.UpdateMask = &firestorepb.DocumentMask{FieldPaths: leaves(nil, nil, doc)}
			}
			if create {
				w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
			}
			at, err := c.commit(cmd.Context(), w)
			return done(cmd.OutOrStdout(), "written", p, at, err, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&merge, "merge", false, "change only the fields that are given")
	cmd.Flags().BoolVar(&create, "create", false, "fail if the document is there already")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with JSON")
	return cmd
}

// leaves appends the paths of the fields that hold no map, or an empty one.
func leaves(paths []string, at value.FieldPath, v value.Value) []string {
	for i := range v.Len() {
		f := v.Field(i)
		here := append(at[:len(at):len(at)], f.Name)
		if f.Value.Kind() == value.KindMap && f.Value.Len() > 0 {
			paths = leaves(paths, here, f.Value)
			continue
		}
		paths = append(paths, here.String())
	}
	return paths
}

func deleteCommand() *cobra.Command {
	var t target
	var exists, asJSON bool
	cmd := &cobra.Command{
		Use:   "delete PATH",
		Short: "Delete a document",
		Long: `delete deletes a document and returns when that is on disk. What lies in
collections below the document stays. A document that is not there is no error,
unless --exists is given.`,
		Example: `  atoll delete cities/lisbon`,
		Args:    arguments(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := documentPath(args[0])
			if err != nil {
				return err
			}
			c, err := t.dial()
			if err != nil {
				return err
			}
			defer c.close()
			w := &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: c.name(p)}}
			if exists {
				w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: true}}
			}
			at, err := c.commit(cmd.Context(), w)
			return done(cmd.OutOrStdout(), "deleted", p, at, err, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&exists, "exists", false, "fail if the document is not there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with JSON")
	return cmd
}

// done tells the outcome of a write.
func done(out io.Writer, what string, p atoll.Path, at atoll.Time, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	if asJSON {
		return writeLine(out, map[string]string{"path": string(p), what: at.String()})
	}
	_, err = fmt.Fprintf(out, "%s %s at %s\n", p, what, at)
	return err
}
