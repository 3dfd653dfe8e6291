package shard

import (
	"atoll"
	"atoll/planted"
	"atoll/query"
	"atoll/value"
	"atoll/wire"
)

// MaxToken is the most bytes that the place of a page may have.
const MaxToken = 64 << 10

// pageToken is where a page begins: QueryReply.Next of the page before.
type pageToken struct {
	At     atoll.Time `cbor:"1,keyasint"` // of all pages
	Floor  []byte     `cbor:"2,keyasint,omitempty"`
	Offset int        `cbor:"3,keyasint,omitempty"` // documents still to skip
	Limit  int        `cbor:"4,keyasint,omitempty"` // documents still to return, if the query has a limit
	Way    int        `cbor:"5,keyasint,omitempty"` // of an aggregation that goes through the documents in several ways
}

// begin reads the place at which a page begins.
func beginPage(after []byte, q *query.Query, at atoll.Time) (pageToken, error) {
	if len(after) == 0 {
		return pageToken{At: at, Offset: q.Offset, Limit: q.Limit}, nil
	}
	var t pageToken
	if len(after) > MaxToken {
		return t, badToken()
	}
	if err := wire.Unmarshal(after, &t); err != nil || t.Offset < 0 || t.Limit < 0 || t.Way < 0 || (t.Limit == 0) != (q.Limit == 0) {
		return t, badToken()
	}
	if at != 0 && at != t.At {
		return t, atoll.Errorf(atoll.Invalid, "the page before was read at %s, and this one is asked for at %s; leave the time out, or keep it", t.At, at)
	}
	return t, nil
}

func badToken() error {
	return atoll.Errorf(atoll.Invalid, "the place to go on from is none that a page of this query has ended with; begin with the first page")
}

// prepare reads what all questions about a query begin with.
func (p Program) prepare(v atoll.View, target Target, q query.Query, after []byte, at atoll.Time) (*search, *reading, pageToken, error) {
	var token pageToken
	d, err := resolve(v.State(), target, q.Parent)
	if err != nil {
		return nil, nil, token, err
	}
	s, err := newSearch(d, q)
	if err != nil {
		return nil, nil, token, err
	}
	if token, err = beginPage(after, &s.q, at); err != nil {
		return nil, nil, token, err
	}
	if token.At, err = readTime(v, token.At); err != nil {
		return nil, nil, token, err
	}
	if err := s.customize(v.State(), token.At); err != nil {
		return nil, nil, token, err
	}
	r := &reading{ranges: v.Ranges(), d: d, at: token.At, past: token.At < v.Turn().Now, limits: p.limits}
	return s, r, token, nil
}

// find answers one page of a query.
func (p Program) find(v atoll.View, req *QueryRequest) (*QueryReply, error) {
	if req.Page < 1 || req.Page > MaxPage {
		return nil, atoll.Errorf(atoll.Invalid, "the page size %d is not between 1 and %d", req.Page, MaxPage)
	}
	s, r, token, err := p.prepare(v, req.Target, req.Query, req.After, req.At)
	if err != nil {
		return nil, err
	}
	page := &queryPage{req: req, s: s, token: token, reply: &QueryReply{Time: r.at}}
	if p.planted.Has(planted.QueryWrongTime) {
		r.at, r.past = v.Turn().Now, false
	}
	if page.fields, err = selected(&s.q); err != nil {
		return nil, err
	}
	if page.results, err = newResults(s, r, span{lo: token.Floor}); err != nil {
		return nil, err
	}
	if req.Explain {
		page.reply.Stats.Plan = page.explain()
	}
	if s.q.Nearest != nil {
		err = page.nearest()
	} else {
		err = page.fill()
	}
	if err := page.close(err); err != nil {
		return nil, err
	}
	r.stats.Plan = page.reply.Stats.Plan
	page.reply.Stats = r.stats
	page.reply.Stats.Results = len(page.reply.Found)
	return page.reply, nil
}

// selected returns the fields that are returned; nil means all.
func selected(q *query.Query) ([]value.FieldPath, error) {
	if !q.Selects {
		return nil, nil
	}
	fields := make([]value.FieldPath, len(q.Select))
	for i, text := range q.Select {
		var err error
		if fields[i], err = value.ParseFieldPath(text); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// queryPage is a QueryReply on its way.
type queryPage struct {
	*results
	req    *QueryRequest
	s      *search
	token  pageToken // of what is still to come
	fields []value.FieldPath
	size   int // bytes in the reply
	reply  *QueryReply
}

// fill adds documents until the page or the result ends.
func (p *queryPage) fill() error {
	for {
		if p.s.q.Limit > 0 && p.token.Limit == 0 {
			return nil
		}
		if len(p.reply.Found) == p.req.Page {
			p.stop(p.last)
			return nil
		}
		c, ok, err := p.next()
		if err == errBudget {
			p.stop(p.floor())
			return nil
		}
		if err != nil || !ok {
			return err
		}
		if p.token.Offset > 0 {
			p.token.Offset--
			p.reply.Skipped++
			p.stats.Needed++
			continue
		}
		full, err := p.add(&c)
		if err != nil {
			return err
		}
		if full {
			p.stop(c.pos)
			return nil
		}
		p.token.Limit = max(0, p.token.Limit-1)
	}
}

// stop ends the page: the next one begins at a position.
func (p *queryPage) stop(floor []byte) { p.reply.Next = p.token.from(floor) }

// from returns the place of a page that begins at a position.
func (t pageToken) from(floor []byte) []byte {
	t.Floor = floor
	return wire.Marshal(&t)
}

// add puts a document on the page; full is true if there was no room for it.
func (p *queryPage) add(c *candidate) (full bool, err error) {
	f := Found{Key: c.pos}
	if p.req.NamesOnly {
		if f.Path, err = readPath(c.key); err != nil {
			return false, err
		}
	} else if err := c.load(p.reading); err != nil {
		return false, err
	} else {
		f.Document = c.doc.document(c.doc.path)
		if f.Doc, err = project(f.Doc, p.fields); err != nil {
			return false, err
		}
	}
	p.size += len(f.Path) + len(f.Doc) + len(f.Key)
	if p.size > MaxReplyBytes && len(p.reply.Found) > 0 {
		return true, nil
	}
	p.reply.Found = append(p.reply.Found, f)
	return false, nil
}

// project returns a document with nothing but some fields; nil means all.
func project(doc []byte, fields []value.FieldPath) ([]byte, error) {
	if fields == nil {
		return doc, nil
	}
	whole, err := value.DecodeDocument(doc)
	if err != nil {
		return nil, damaged("document", doc)
	}
	return value.Encode(value.Project(whole, fields)), nil
}

// explain describes for people how the documents are found.
func (a *results) explain() string {
	if len(a.streams) == 0 {
		return "nothing can match"
	}
	plan := a.streams[0].plan
	for _, st := range a.streams[1:] {
		plan += "\nor " + st.plan
	}
	return plan
}
