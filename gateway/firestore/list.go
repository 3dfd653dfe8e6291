package firestore

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// ListDocuments returns a page of a collection's documents in the order of
// their names, or in the one that order_by asks for; without a collection_id, of
// all documents below the parent, at any depth. Pages that are in another order,
// or of several collections, are all read at the time of the first: their tokens
// are good for as long as the past can be read.
func (s *Service) ListDocuments(ctx context.Context, req *firestorepb.ListDocumentsRequest) (*firestorepb.ListDocumentsResponse, error) {
	db, q, err := toList(req)
	if err != nil {
		return nil, err
	}
	size, err := pageSize(req.GetPageSize(), defaultPage, shard.MaxPage)
	if err != nil {
		return nil, err
	}
	mask, err := newReading(db, req.GetMask())
	if err != nil {
		return nil, err
	}
	asked, err := readTime(req.GetReadTime())
	if err != nil {
		return nil, err
	}
	shape := pageShape{"list", req.GetParent(), req.GetCollectionId(), req.GetShowMissing(), asked}
	view, err := s.begin(ctx, db, req.GetTransaction(), nil, req.GetReadTime())
	if err != nil {
		return nil, err
	}
	defer view.end()
	l := listing{s: s, db: db, who: callerOf(ctx), reading: mask, view: view, q: q, size: size}
	if q.Collection != "" && len(q.Order) == 1 && !q.Order[0].Desc && !view.notes() {
		return l.byName(ctx, shape, req.GetShowMissing(), req.GetPageToken())
	}
	if req.GetShowMissing() {
		return nil, atoll.Errorf(atoll.Invalid, "show_missing needs a collection_id, the order by __name__, and no transaction that writes: documents that do not exist can be listed by their names alone")
	}
	shape.method = "list by " + req.GetOrderBy()
	return l.inOrder(ctx, shape, req.GetPageToken())
}

// toList converts what is listed into a query without bounds.
func toList(req *firestorepb.ListDocumentsRequest) (atoll.Database, query.Query, error) {
	db, parent, err := parseParent(req.GetParent())
	if err != nil {
		return db, query.Query{}, err
	}
	q := query.Query{Parent: parent, Collection: req.GetCollectionId()}
	if q.Order, err = toOrder(req.GetOrderBy()); err != nil {
		return db, q, err
	}
	if req.GetShowMissing() && req.GetOrderBy() != "" {
		return db, q, atoll.Errorf(atoll.Invalid, "show_missing cannot be combined with order_by")
	}
	q, err = query.Normalize(q, db)
	return db, q, err
}

// toOrder reads an order_by such as "priority desc, __name__ desc".
func toOrder(text string) (out []query.Order, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for _, part := range splitOrder(text) {
		o := query.Order{Field: strings.TrimSpace(part)}
		if i := strings.LastIndexAny(o.Field, " \t"); i >= 0 && !strings.HasSuffix(o.Field, "`") {
			field, direction := strings.TrimSpace(o.Field[:i]), o.Field[i+1:]
			switch {
			case strings.EqualFold(direction, "asc"):
			case strings.EqualFold(direction, "desc"):
				o.Desc = true
			default:
				return nil, atoll.Errorf(atoll.Invalid, "order_by has %.100q where asc or desc is expected", direction)
			}
			o.Field = field
		}
		if len(out) == query.MaxFilters {
			return nil, atoll.Errorf(atoll.Invalid, "order_by has more than %d fields", query.MaxFilters)
		}
		out = append(out, o)
	}
	return out, nil
}

// splitOrder cuts at the commas that are in no quoted name. Within quotes a
// backslash keeps the next character from ending them.
func splitOrder(text string) (parts []string) {
	quoted, begin := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '`':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}

// listing is a list of documents on its way.
type listing struct {
	s   *Service
	db  atoll.Database
	who route.Caller
	reading
	view *view
	q    query.Query // without bounds
	size int         // documents of a page
}

// byName lists as shards do by themselves.
func (l *listing) byName(ctx context.Context, shape pageShape, missing bool, token string) (*firestorepb.ListDocumentsResponse, error) {
	list := shard.ListRequest{Collection: l.q.Parent.Child(l.q.Collection), Missing: missing, Limit: l.size, At: l.view.at}
	var err error
	if list.After, err = shape.after(token); err != nil {
		return nil, err
	}
	page, err := l.s.router.List(ctx, l.db, list, l.who)
	if err != nil {
		return nil, err
	}
	more := ""
	if n := len(page.Documents); page.More && n > 0 {
		more = shape.token(page.Documents[n-1].Path.ID())
	}
	return l.answer(page.Documents, more)
}

// errPageFull ends a query when a page is full.
var errPageFull = errors.New("the page is full")

// inOrder lists by a query, which begins behind the last document of the page
// before.
func (l *listing) inOrder(ctx context.Context, shape pageShape, token string) (*firestorepb.ListDocumentsResponse, error) {
	at, last, err := listPlace(&shape, token)
	if err != nil {
		return nil, err
	}
	q, o := l.q, route.QueryOptions{At: l.view.at}
	if last != "" {
		if q.Start, err = l.behind(ctx, at, last); err != nil {
			return nil, err
		}
		if o.At == 0 {
			o.At = at
		}
	}
	q.Limit = l.size + 1 // one more tells whether there are more
	record := l.view.recordQuery(&q)
	var documents []shard.Document
	bytes := 0
	result, err := l.s.router.Query(ctx, l.db, q, o, l.who, func(_ atoll.Time, f *shard.Found) error {
		if n := len(documents); n == l.size || n > 0 && bytes+len(f.Doc) > shard.MaxReplyBytes {
			return errPageFull
		}
		record.add(f)
		documents, bytes = append(documents, f.Document), bytes+len(f.Doc)
		return nil
	})
	full := err == errPageFull
	if full { // the client has seen no further
		q.Limit, err = len(documents), nil
	}
	if err := record.done(err); err != nil {
		return nil, err
	}
	more := ""
	if full {
		more = shape.token(strconv.FormatInt(int64(result.Time), 10) + " " + string(documents[len(documents)-1].Path))
	}
	return l.answer(documents, more)
}

// listPlace reads the place that inOrder puts into a token: the time at which
// the page before was read, and its last document.
func listPlace(shape *pageShape, token string) (at atoll.Time, last atoll.Path, err error) {
	place, err := shape.after(token)
	if err != nil || place == "" {
		return 0, "", err
	}
	digits, path, _ := strings.Cut(place, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || !atoll.Path(path).IsDocument() || atoll.Path(path).Check() != nil {
		return 0, "", atoll.Errorf(atoll.Invalid, "the page_token does not belong to this request")
	}
	return atoll.Time(n), atoll.Path(path), nil
}

// behind returns the cursor behind a document, which is where it was at the time
// that it was listed. A token holds no values: they may be as large as documents.
func (l *listing) behind(ctx context.Context, at atoll.Time, last atoll.Path) (*query.Cursor, error) {
	name := value.EncodeValue(value.ReferenceTo(l.db, last))
	if len(l.q.Order) == 1 {
		return &query.Cursor{Values: [][]byte{name}}, nil
	}
	p, err := query.Prepare(&l.q)
	if err != nil {
		return nil, err
	}
	reply, err := l.s.router.Get(ctx, l.db, []atoll.Path{last}, at, l.who)
	if err != nil {
		return nil, err
	}
	d := &reply.Documents[0]
	place, ok, err := p.Position(query.Document{Path: d.Path, Doc: d.Doc})
	if err != nil {
		return nil, err
	}
	if d.Doc == nil || !ok {
		return nil, atoll.Errorf(atoll.Invalid, "the page_token does not belong to this request")
	}
	out := &query.Cursor{}
	for _, v := range place {
		out.Values = append(out.Values, value.EncodeValue(v))
	}
	return out, nil
}

// answer converts a page; more is the token of the next one.
func (l *listing) answer(documents []shard.Document, more string) (*firestorepb.ListDocumentsResponse, error) {
	l.s.metrics.reads.Add(float64(len(documents)))
	out := &firestorepb.ListDocumentsResponse{Documents: make([]*firestorepb.Document, len(documents)), NextPageToken: more}
	for i := range documents {
		d, err := l.document(&documents[i])
		if err != nil {
			return nil, err
		}
		out.Documents[i] = d
	}
	return out, nil
}
