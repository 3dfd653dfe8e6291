package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/value"
)

const (
	maxTails   = 64
	tailPage   = 256
	tailBeat   = 5 * time.Second  // between lines that only move the cursor
	tailStalls = 30 * time.Second // until a reader that does not read is dropped
)

// TailLine is one line of /v1/tail. One with Path is a change; one with Closed
// alone says that all changes up to that time have been told; one with Error is
// the last. A reader that goes on behind Cursor misses nothing and gets nothing
// twice.
type TailLine struct {
	Cursor   string          `json:"cursor,omitempty"`
	Time     string          `json:"time,omitempty"` // of the commit
	Path     atoll.Path      `json:"path,omitempty"`
	Deleted  bool            `json:"deleted,omitempty"`
	Created  string          `json:"created,omitempty"`
	Revision uint64          `json:"revision,omitempty"`
	Document json.RawMessage `json:"document,omitempty"` // as package plain writes it
	Closed   string          `json:"closed,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// tail streams the changes of a database behind a place, for as long as the
// reader reads.
func (d *Door) tail(w http.ResponseWriter, r *http.Request) {
	if d.tails.Add(1) > maxTails {
		d.tails.Add(-1)
		fail(w, atoll.Errorf(atoll.ResourceExhausted, "%d streams of changes are open, and more are not allowed", maxTails))
		return
	}
	defer d.tails.Add(-1)
	t, err := d.newTail(w, r)
	if err == nil {
		// Without a first page that works, the answer is an error and no stream.
		err = t.read(r.Context())
	}
	if err != nil {
		fail(w, tooOld(err))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)()
	t.control.SetReadDeadline(time.Time{}) // the request has been read; the stream may last
	w.Header().Set("Content-Type", "application/x-ndjson")
	t.follow(ctx)
}

// tooOld says what to do about a place behind which changes are forgotten.
func tooOld(err error) error {
	if e := atoll.AsError(err); e.Kind == atoll.FailedPrecondition {
		return atoll.Errorf(e.Kind, "%s; or begin with \"oldest\", the earliest that is kept", e.Msg)
	}
	return err
}

// tailer is one stream.
type tailer struct {
	door       *Door
	db         atoll.Database
	place      cursor
	collection atoll.Path // empty: all
	subnets    map[atoll.SubnetID]atoll.Height

	page    shard.FeedReply // read and not yet sent
	beat    time.Time       // of the last line
	encoder *json.Encoder
	control *http.ResponseController
}

func (d *Door) newTail(w http.ResponseWriter, r *http.Request) (*tailer, error) {
	db, entry, err := d.databaseOf(r)
	if err != nil {
		return nil, err
	}
	only, err := pathOf(r, "collection", func(p atoll.Path) bool { return p == "" || p.IsCollection() }, "a collection")
	if err != nil {
		return nil, err
	}
	m, err := d.mapOf(r.Context(), entry)
	if err != nil {
		return nil, err
	}
	place, err := d.begin(r.Context(), db, m, r.FormValue("after"))
	if err != nil {
		return nil, err
	}
	t := &tailer{
		door: d, db: db, place: place, collection: only, subnets: subnetsOf(m),
		encoder: json.NewEncoder(w), control: http.NewResponseController(w),
	}
	t.encoder.SetEscapeHTML(false)
	return t, nil
}

func subnetsOf(m directory.Map) map[atoll.SubnetID]atoll.Height {
	subnets := map[atoll.SubnetID]atoll.Height{}
	for _, rng := range m.Ranges {
		subnets[rng.Subnet] = 0
	}
	return subnets
}

// read reads the next page. What becomes durable after it has begun is waited
// for by wait.
func (t *tailer) read(ctx context.Context) error {
	for s := range t.subnets {
		h, err := t.door.source.Durable(ctx, s, 0)
		if err != nil {
			return err
		}
		t.subnets[s] = h
	}
	page, err := t.door.router.Feed(ctx, t.db, t.place.At, tailPage, operator)
	if atoll.KindOf(err) == atoll.OutOfRange {
		// The place lies ahead of what is durable, for a moment after a
		// restart. There is nothing behind it yet.
		page, err = shard.FeedReply{Closed: t.place.At.Time, Next: t.place.At}, nil
	}
	t.page = page
	return err
}

// follow sends pages, and waits for more, until ctx ends, the reader is gone or
// a page cannot be read.
func (t *tailer) follow(ctx context.Context) {
	for {
		if err := t.send(); err != nil {
			return // the reader is gone
		}
		if !t.page.More {
			t.wait(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err := t.read(ctx); err != nil && ctx.Err() == nil {
			t.line(TailLine{Error: tooOld(err).Error()})
			t.control.Flush()
			return
		}
	}
}

// send writes the page, and once in a while how far the stream has come.
func (t *tailer) send() error {
	for i := range t.page.Changes {
		c := &t.page.Changes[i]
		t.place.At = c.Cursor
		if t.collection != "" && c.Doc.Path.Parent() != t.collection {
			continue
		}
		if err := t.line(t.change(c)); err != nil {
			return err
		}
	}
	t.place.At = t.page.Next
	if time.Since(t.beat) >= tailBeat {
		line := TailLine{Cursor: t.place.String()}
		if !t.page.More {
			line.Closed = t.page.Closed.String()
		}
		if err := t.line(line); err != nil {
			return err
		}
	}
	return t.control.Flush()
}

func (t *tailer) change(c *shard.Change) TailLine {
	line := TailLine{Cursor: t.place.String(), Time: c.Cursor.Time.String(), Path: c.Doc.Path}
	if c.Doc.Doc == nil {
		line.Deleted = true
		return line
	}
	line.Created, line.Revision = c.Doc.Created.String(), c.Doc.Revision
	doc, err := value.DecodeDocument(c.Doc.Doc)
	if err != nil {
		line.Error = "the document is damaged: " + err.Error()
		return line
	}
	line.Document = plain.Document(nil, doc)
	return line
}

func (t *tailer) line(l TailLine) error {
	if err := t.control.SetWriteDeadline(time.Now().Add(tailStalls)); err != nil {
		return err
	}
	t.beat = time.Now()
	return t.encoder.Encode(l)
}

// wait returns when one of the database's subnets has a newer durable block,
// when it is time for a beat, or when ctx ends.
func (t *tailer) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tailBeat)
	defer cancel()
	for s, h := range t.subnets {
		go func() {
			defer cancel()
			t.door.source.Durable(ctx, s, h)
		}()
	}
	<-ctx.Done()
}
