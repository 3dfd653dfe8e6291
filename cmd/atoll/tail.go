package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/admin"
)

const (
	// saveEvery is how often the place is written to --cursor-file.
	saveEvery = 200 * time.Millisecond
	// againAfter and againMost bound the pause before a broken stream is
	// opened again.
	againAfter = 200 * time.Millisecond
	againMost  = 5 * time.Second
)

// tailer follows the feed of one database.
type tailer struct {
	operator
	db         atoll.Database
	after      string
	collection string
	count      int
	cursorFile string
	asJSON     bool
	out, notes io.Writer

	seen   int
	cursor string // behind the last line
	saved  time.Time
}

func tailCommand() *cobra.Command {
	var tg target
	var t tailer
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow the changes of a database",
		Long: `tail shows the changes of a database as they become durable, in the order of
their commits, and goes on until it is interrupted. When the node restarts it
goes on where it was.

Each change has a cursor. A reader that begins behind a cursor (--after) misses
nothing and gets nothing twice. Changes are kept for as long as the node is told
to; a cursor from before that is refused. A document that changed several times
long ago may appear with its last change alone.

` + connectionHelp + `
On the machine of the node the operator's door (--addr) and the token in the data
directory (--data) do as well.`,
		Example: `  atoll tail --after oldest
  atoll tail --collection cities --json
  atoll tail --cursor-file ./place --after oldest`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if t.db, err = tg.db(); err != nil {
				return err
			}
			t.connection, t.out, t.notes = tg.connection, cmd.OutOrStdout(), cmd.ErrOrStderr()
			return t.run(cmd.Context())
		},
	}
	tg.flags(cmd)
	t.dataFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&t.after, "after", "now", "`place` to begin behind: a cursor, a time in RFC 3339, \"oldest\" or \"now\"")
	fl.StringVar(&t.collection, "collection", "", "show only the documents of this collection, by its `path`")
	fl.IntVar(&t.count, "count", 0, "end after this `number` of changes; 0: never")
	fl.StringVar(&t.cursorFile, "cursor-file", "", "`file` that keeps the place: begin behind what it holds, and write to it what was shown")
	fl.BoolVar(&t.asJSON, "json", false, "write each change as a line of JSON, with its cursor")
	return cmd
}

// run follows the feed until ctx ends, enough was seen, or the node refuses.
func (t *tailer) run(ctx context.Context) error {
	t.cursor = t.after
	if err := t.load(); err != nil {
		return err
	}
	pause, opened := againAfter, false
	for {
		err := t.stream(ctx, func() { opened, pause = true, againAfter })
		switch {
		case ctx.Err() != nil || err == nil:
			return t.end(ctx)
		case !opened || atoll.KindOf(err) != atoll.Unavailable:
			return err
		}
		if pause == againAfter {
			fmt.Fprintf(t.notes, "atoll: the stream broke; waiting for the node (%v)\n", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, againMost)
	}
}

// stream reads one answer of the node. It returns nil when enough was seen, and
// Unavailable when the stream broke.
func (t *tailer) stream(ctx context.Context, opened func()) error {
	res, err := t.open(ctx, http.MethodGet, "/v1/tail", url.Values{
		"database": {t.db.String()}, "after": {t.cursor}, "collection": {t.collection},
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	opened()
	dec := json.NewDecoder(res.Body)
	for {
		var line admin.TailLine
		if err := dec.Decode(&line); err != nil {
			return &atoll.Error{Kind: atoll.Unavailable, Msg: "the node ended the stream", Detail: err.Error()}
		}
		if line.Path == "" && line.Error != "" {
			return atoll.Errorf(atoll.Internal, "%s", line.Error)
		}
		if err := t.show(&line); err != nil {
			return err
		}
		t.cursor = line.Cursor
		if err := t.save(false); err != nil {
			return err
		}
		if t.count > 0 && t.seen >= t.count {
			return nil
		}
	}
}

// show writes a change; other lines only move the cursor.
func (t *tailer) show(line *admin.TailLine) error {
	if line.Path == "" {
		return nil
	}
	t.seen++
	if t.asJSON {
		return writeLine(t.out, line)
	}
	what, text := "set   ", string(line.Document)
	if line.Deleted {
		what = "delete"
	}
	if line.Error != "" {
		text = line.Error
	}
	_, err := fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("%s  %s  %s  %s", line.Time, what, line.Path, text), " "))
	return err
}

// end keeps the place, and tells it to a person who stopped the stream.
func (t *tailer) end(ctx context.Context) error {
	if ctx.Err() != nil && t.cursorFile == "" && t.seen > 0 {
		fmt.Fprintf(t.notes, "atoll: to go on from here: atoll tail --after %s\n", t.cursor)
	}
	return t.save(true)
}

// load begins where --cursor-file says, if it is there.
func (t *tailer) load() error {
	if t.cursorFile == "" {
		return nil
	}
	b, err := os.ReadFile(t.cursorFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return atoll.Errorf(atoll.Invalid, "cannot read --cursor-file: %v", err)
	}
	if text := strings.TrimSpace(string(b)); text != "" {
		t.cursor = text
	}
	return nil
}

// save writes the place to --cursor-file, not too often unless it must.
func (t *tailer) save(must bool) error {
	if t.cursorFile == "" || !must && time.Since(t.saved) < saveEvery {
		return nil
	}
	t.saved = time.Now()
	temp := t.cursorFile + ".tmp"
	err := os.WriteFile(temp, []byte(t.cursor+"\n"), 0o600)
	if err == nil {
		err = os.Rename(temp, t.cursorFile)
	}
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot write --cursor-file: %v", err)
	}
	return nil
}
