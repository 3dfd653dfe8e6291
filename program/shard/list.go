package shard

import (
	"bytes"
	"strings"

	"atoll"
	"atoll/keys"
)

// list reads one page of a collection, in the order of the documents' names.
// What lies below a document is skipped with one seek.
func list(v atoll.View, req *ListRequest) (*ListReply, error) {
	if err := checkPage(req.Limit); err != nil {
		return nil, err
	}
	if err := req.Collection.Check(); err != nil {
		return nil, err
	}
	if !req.Collection.IsCollection() {
		return nil, atoll.Errorf(atoll.Invalid, "%q names no collection: it has %d ids, and a collection an odd number", req.Collection, req.Collection.Len())
	}
	at, err := readTime(v, req.At)
	if err != nil {
		return nil, err
	}
	d, err := resolve(v.State(), req.Target, req.Collection)
	if err != nil {
		return nil, err
	}
	lo, hi := keys.CollectionSpan(placement, req.Collection)
	if req.After != "" {
		if err := checkID(req.After); err != nil {
			return nil, err
		}
		after, err := documentKey(req.Collection.Child(req.After))
		if err != nil {
			return nil, err
		}
		lo = keys.SubtreeEnd(after)
	}
	p := page{
		walk:       newWalk(v.Ranges(), d, lo, hi, at),
		collection: req.Collection,
		missing:    req.Missing,
		limit:      req.Limit,
		reply:      &ListReply{Time: at},
	}
	for err == nil && p.ok && !p.reply.More {
		err = p.step()
	}
	return p.reply, p.close(err)
}

// page is a ListReply on its way.
type page struct {
	*walk
	collection atoll.Path
	missing    bool
	limit      int
	size       int // bytes in the reply
	reply      *ListReply
}

// step handles the child of the collection that the walk stands on or below,
// and passes it with all below it.
func (p *page) step() error {
	path, err := readPath(p.key)
	if err != nil {
		return err
	}
	child := firstIDs(path, p.collection.Len()+1)
	end := keys.SubtreeEnd(keys.DocKey(placement, child))
	if child == path {
		v, ok, err := p.live()
		if err != nil {
			return err
		}
		if ok {
			v.doc = bytes.Clone(v.doc)
			p.add(v.document(child))
			p.pass(end)
			return nil
		}
		p.pass(behind(p.key))
	}
	if p.missing {
		below, err := p.findLive(end)
		if err != nil {
			return err
		}
		if below {
			p.add(Document{Path: child})
		}
	}
	p.pass(end)
	return nil
}

// add puts a document on the page, or notes that there was no room for it.
func (p *page) add(doc Document) {
	n := len(p.reply.Documents)
	p.size += len(doc.Path) + len(doc.Doc)
	if n == p.limit || n > 0 && p.size > MaxReplyBytes {
		p.reply.More = true
		return
	}
	p.reply.Documents = append(p.reply.Documents, doc)
}

// collections reads one page of the ids of the collections below a document or
// the root that hold a document, at any depth. It looks at one document of
// each, but at more where documents do not exist any longer.
func collections(v atoll.View, req *CollectionsRequest) (*CollectionsReply, error) {
	if err := checkPage(req.Limit); err != nil {
		return nil, err
	}
	if err := req.Parent.Check(); err != nil {
		return nil, err
	}
	if req.Parent.IsCollection() {
		return nil, atoll.Errorf(atoll.Invalid, "%q names a collection; collections are below a document or the root", req.Parent)
	}
	lo, hi := keys.CollectionSpan(placement, req.Parent)
	if req.After != "" {
		if err := checkID(req.After); err != nil {
			return nil, err
		}
		after := req.Parent.Child(req.After)
		if err := after.Check(); err != nil {
			return nil, err
		}
		_, lo = keys.CollectionSpan(placement, after)
	}
	at, err := readTime(v, req.At)
	if err != nil {
		return nil, err
	}
	d, err := resolve(v.State(), req.Target, req.Parent)
	if err != nil {
		return nil, err
	}
	reply := &CollectionsReply{Time: at}
	w := newWalk(v.Ranges(), d, lo, hi, at)
	for err == nil && w.ok && !reply.More {
		err = reply.step(w, req)
	}
	return reply, w.close(err)
}

// step handles the collection that the walk stands in, and passes it.
func (r *CollectionsReply) step(w *walk, req *CollectionsRequest) error {
	path, err := readPath(w.key)
	if err != nil {
		return err
	}
	collection := firstIDs(path, req.Parent.Len()+1)
	_, end := keys.CollectionSpan(placement, collection)
	live, err := w.findLive(end)
	if err != nil {
		return err
	}
	switch {
	case live && len(r.IDs) == req.Limit:
		r.More = true
	case live:
		r.IDs = append(r.IDs, collection.ID())
	}
	w.pass(end)
	return nil
}

// checkPage fails with Invalid on a page size that is out of bounds.
func checkPage(limit int) error {
	if limit < 1 || limit > MaxPage {
		return atoll.Errorf(atoll.Invalid, "the limit %d is not between 1 and %d", limit, MaxPage)
	}
	return nil
}

// checkID fails with Invalid on what is more than one id. The path that it
// becomes a part of is checked for the rest.
func checkID(id string) error {
	if strings.Contains(id, "/") {
		return atoll.Errorf(atoll.Invalid, "%.100q is not an id: it has a slash", id)
	}
	return nil
}
