package shard

import (
	"atoll"
	"atoll/query"
)

// MethodGroup is the method of grouped aggregations.
const MethodGroup = "group" // query: GroupRequest -> GroupReply

// maxPageGroups is how many groups one page may have. A page also ends when
// their values take MaxReplyBytes.
const maxPageGroups = 2000

// GroupRequest sums the documents of a query up in groups, and continues from
// page to page.
type GroupRequest struct {
	Target   Target         `cbor:"1,keyasint"`
	Query    query.Query    `cbor:"2,keyasint"` // normalised: query.Normalize
	Grouping query.Grouping `cbor:"3,keyasint"`
	At       atoll.Time     `cbor:"4,keyasint,omitempty"`
	After    []byte         `cbor:"5,keyasint,omitempty"` // GroupReply.Next of the page before
	Explain  bool           `cbor:"6,keyasint,omitempty"`
}

// GroupReply holds the groups of the page's documents, which
// query.Groups.Merge joins over pages and ranges. Without Next the result ends
// here; with it a page may have no groups.
type GroupReply struct {
	Time   atoll.Time           `cbor:"1,keyasint"`
	Groups []query.GroupPartial `cbor:"2,keyasint,omitempty"`
	Next   []byte               `cbor:"3,keyasint,omitempty"`
	Stats  QueryStats           `cbor:"4,keyasint"`
}

// group sums up the documents of a query in groups, as far as one page comes.
func (p Program) group(v atoll.View, req *GroupRequest) (*GroupReply, error) {
	groups, err := query.NewGroups(req.Grouping)
	if err != nil {
		return nil, err
	}
	s, r, token, err := p.prepare(v, req.Target, req.Query, req.After, req.At)
	if err != nil {
		return nil, err
	}
	if s.q.Nearest != nil {
		return nil, noNearest()
	}
	if token.Way != 0 {
		return nil, badToken()
	}
	var w way
	if fields := groups.Fields(); len(fields) == 1 {
		if f := canonical(fields[0]); s.free(f) && s.leads(f) {
			w.by = f
		}
	}
	reply := &GroupReply{Time: r.at}
	if reply.Next, err = s.run(r, &w, sorting{groups}, token, req.Explain); err != nil {
		return nil, err
	}
	reply.Groups, reply.Stats = groups.Partial(), r.stats
	return reply, nil
}

// sorting is groups as a summary.
type sorting struct{ *query.Groups }

func (g sorting) Full() (full, done bool) {
	return g.Len() >= maxPageGroups || g.Bytes() >= MaxReplyBytes, false
}
