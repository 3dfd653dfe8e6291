package shard

import (
	"atoll"
	"atoll/keys"
	"atoll/planted"
	"atoll/query"
	"atoll/value"
)

// aggregate sums up the documents of a query, as far as one page comes.
func (p Program) aggregate(v atoll.View, req *AggregateRequest) (*AggregateReply, error) {
	if err := query.CheckAggregates(req.Aggregates); err != nil {
		return nil, err
	}
	s, r, token, err := p.prepare(v, req.Target, req.Query, req.After, req.At)
	if err != nil {
		return nil, err
	}
	if s.q.Nearest != nil {
		return nil, noNearest()
	}
	ways := s.ways(req.Aggregates)
	if token.Way >= len(ways) {
		return nil, badToken()
	}
	reply := &AggregateReply{Time: r.at, Partial: make([]query.Partial, len(req.Aggregates))}
	for i := range ways {
		w := &ways[i]
		figures, err := query.NewAggregator(pick(req.Aggregates, w.figures))
		if err != nil {
			return nil, err
		}
		if i >= token.Way && reply.Next == nil {
			if reply.Next, err = s.run(r, w, tally{figures}, token, req.Explain); err != nil {
				return nil, err
			}
			token = pageToken{At: token.At, Way: i + 1}
			if reply.Next == nil && i+1 < len(ways) && r.stats.Keys >= r.scan {
				reply.Next = token.from(nil)
			}
		}
		for n, partial := range figures.Partial() {
			reply.Partial[w.figures[n]] = partial
		}
	}
	reply.Stats = r.stats
	if p.planted.Has(planted.AggregateCutShort) {
		reply.Next = nil
	}
	return reply, nil
}

func noNearest() error {
	return atoll.Errorf(atoll.Invalid, "a vector search cannot be aggregated")
}

// way is one way through the result of a query for some of the figures that
// are asked for.
type way struct {
	figures []int  // places in the request
	by      string // the field in whose order the documents come; empty: in the query's order
	desc    bool
	first   bool // the first document with a value decides
}

// ways says how a query's documents are gone through for some figures. Where
// all of these are of one field, its index tells what documents need not be
// read for, and the least and greatest values stand at its ends.
func (s *search) ways(figures []query.Aggregate) []way {
	whole := way{}
	var least, greatest []int
	for i, a := range figures {
		whole.figures = append(whole.figures, i)
		switch a.Op {
		case query.Min:
			least = append(least, i)
		case query.Max:
			greatest = append(greatest, i)
		}
	}
	field := theField(figures)
	ends := len(least) + len(greatest)
	if field == "" || !s.free(field) || ends < len(figures) && !s.leads(field) {
		return []way{whole}
	}
	var out []way
	if ends < len(figures) {
		all := way{by: field}
		for i, a := range figures {
			if a.Op != query.Max { // the least stands where this way begins
				all.figures = append(all.figures, i)
			}
		}
		out = append(out, all)
	} else if len(least) > 0 {
		out = append(out, way{figures: least, by: field, first: true})
	}
	if len(greatest) > 0 {
		out = append(out, way{figures: greatest, by: field, desc: true, first: true})
	}
	return out
}

// theField returns the one field that all figures but counts are of; empty if
// there are several, or none.
func theField(figures []query.Aggregate) (field string) {
	for _, a := range figures {
		switch {
		case a.Op == query.Count:
		case field != "" && field != a.Field:
			return ""
		default:
			field = a.Field
		}
	}
	return canonical(field)
}

// canonical returns the canonical text of a field path, empty for none.
func canonical(field string) string {
	path, err := value.ParseFieldPath(field)
	if err != nil {
		return ""
	}
	return path.String()
}

func pick(figures []query.Aggregate, places []int) (out []query.Aggregate) {
	for _, i := range places {
		out = append(out, figures[i])
	}
	return out
}

// free reports whether the documents may come in the order of a field's index,
// those that lack it left out: the query wants all of them, in no order but
// this one, and nothing but their fields' values limits where they are found.
func (s *search) free(field string) bool {
	if s.q.Start != nil || s.q.End != nil || s.q.Limit > 0 || s.q.Offset > 0 || s.q.Descendants {
		return false
	}
	for _, k := range s.order.keys {
		if k.field != field {
			return false
		}
	}
	path, err := value.ParseFieldPath(field)
	return err == nil && s.indexed(path) && !s.custom.exempt(path) && !names(s.q.Where)
}

// names reports whether a filter is on documents' names.
func names(f *query.Filter) bool {
	if f == nil {
		return false
	}
	for i := range f.Parts {
		if names(&f.Parts[i]) {
			return true
		}
	}
	return f.Field == value.NameField
}

// leads reports whether an index has the documents in a field's order and no
// others, so that nothing has to be looked up beside it: that may cost more than
// to read the documents in which the other values meet.
func (s *search) leads(field string) bool {
	order := s.order
	defer func() { s.order = order }()
	if s.orderBy(&way{by: field}) != nil {
		return false
	}
	for i := range s.terms {
		x := s.shapeOf(&s.terms[i])
		composite, _ := s.compose(&s.terms[i], &x)
		if beside, _ := s.lookupsBeside(&s.terms[i], composite); len(beside) > 0 {
			return false
		}
	}
	return true
}

// forgetOrder lets go of the order where only the set of documents matters, so
// that nothing is sorted for it: the first field's index still leads.
func (s *search) forgetOrder() {
	if s.q.Start != nil || s.q.End != nil || s.q.Limit > 0 || s.q.Offset > 0 {
		return
	}
	keep := min(1, len(s.order.keys))
	if s.q.Descendants {
		keep = 0
	}
	if keep == len(s.order.keys) && (keep == 0 || s.order.nameDesc == s.order.keys[0].desc) {
		return
	}
	s.lacking = len(s.order.keys) > keep
	s.order.keys = s.order.keys[:keep]
	s.order.nameDesc = keep == 1 && s.order.keys[0].desc
}

// run adds the documents of a page to what is summed up, and returns where the
// next page of the same way begins, nil if there is none.
func (s *search) run(r *reading, w *way, to summary, token pageToken, explain bool) (next []byte, err error) {
	if w.by == "" {
		s.forgetOrder()
	} else if err := s.orderBy(w); err != nil {
		return nil, err
	}
	all, err := newResults(s, r, span{lo: token.Floor})
	if err != nil {
		return nil, err
	}
	if explain && r.stats.Plan == "" {
		r.stats.Plan = all.explain()
	}
	sums := summing{all, to, s.carried(to.Fields())}
	if w.first {
		next, err = sums.upToFirst(token)
	} else {
		next, err = sums.all(token)
	}
	return next, all.close(err)
}

// orderBy has the documents come by one field.
func (s *search) orderBy(w *way) error {
	path, err := value.ParseFieldPath(w.by)
	if err != nil {
		return err
	}
	s.order = ordering{[]sortKey{{w.by, path, w.desc}}, w.desc}
	if !w.first {
		return nil
	}
	terms := s.terms
	s.terms = nil
	for _, t := range terms { // null is neither least nor greatest
		t.fields = append([]fieldValues(nil), t.fields...)
		t.narrow(w.by, path, []span{{lo: keys.After(encodedNull)}})
		if !t.never() {
			s.terms = append(s.terms, t)
		}
	}
	return nil
}

// carried says where positions hold what is needed of a document: no value at
// all, the one field of an order, or else the document must be read.
type carried struct {
	nothing bool
	field   bool
	keys    []sortKey // up to that of the field
}

func (s *search) carried(fields []string) carried {
	if len(fields) == 0 {
		return carried{nothing: true}
	}
	for i, k := range s.order.keys {
		if len(fields) == 1 && k.field == canonical(fields[0]) {
			return carried{field: true, keys: s.order.keys[:i+1]}
		}
	}
	return carried{}
}

// value returns what a position tells of the field: a value that is Equal to
// the document's own.
func (c *carried) value(pos []byte) (v value.Value, ok bool) {
	if c.nothing {
		return value.Null(), true
	}
	for _, k := range c.keys {
		parse := keys.ParseValue
		if k.desc {
			parse = keys.ParseValueDesc
		}
		var err error
		if v, pos, err = parse(pos); err != nil {
			return v, false
		}
	}
	return v, c.field
}

// summary is what documents are summed up in.
type summary interface {
	// Fields are those that matter, each once.
	Fields() []string
	// AddTold adds a document by its only field that matters, unless ok is
	// false: then Add it.
	AddTold(v value.Value) (ok bool, err error)
	Add(d query.Document) error
	// Full reports whether more documents cannot change it, or have no room on
	// the page; done tells the first.
	Full() (full, done bool)
}

// tally is an aggregator as a summary.
type tally struct{ *query.Aggregator }

func (t tally) AddTold(v value.Value) (bool, error) { return t.Aggregator.AddTold(v), nil }

func (t tally) Full() (full, done bool) {
	full = t.Aggregator.Full()
	return full, full
}

// summing adds documents to a summary.
type summing struct {
	*results
	to      summary
	carried carried
}

// add adds a document, by what its position tells of it if that is enough.
// told reports whether it was.
func (a *summing) add(c *candidate) (told bool, err error) {
	a.stats.Results++
	if v, ok := a.carried.value(c.pos); ok {
		if told, err := a.to.AddTold(v); told || err != nil {
			return told, err
		}
	}
	if err := c.load(a.reading); err != nil {
		return false, err
	}
	return false, a.to.Add(query.Document{Path: c.doc.path, Doc: c.doc.doc})
}

// all adds documents until the result or the page ends, and returns where the
// next page begins, nil if there is none.
func (a *summing) all(token pageToken) (next []byte, err error) {
	limited := token.Limit > 0
	for {
		if full, done := a.to.Full(); done {
			return nil, nil
		} else if full {
			return token.from(a.last), nil
		}
		c, ok, err := a.next()
		if err == errBudget {
			return token.from(a.floor()), nil
		}
		if err != nil || !ok {
			return nil, err
		}
		if token.Offset > 0 {
			token.Offset--
			a.stats.Needed++
			continue
		}
		if _, err := a.add(&c); err != nil {
			return nil, err
		}
		if limited {
			if token.Limit--; token.Limit == 0 {
				return nil, nil
			}
		}
	}
}

// upToFirst adds the documents with the value that comes first and is not null,
// until it is certain which of the values that are Equal to it stands for them.
func (a *summing) upToFirst(token pageToken) (next []byte, err error) {
	var first value.Value
	for found := false; ; {
		c, ok, err := a.next()
		if err == errBudget {
			return token.from(a.floor()), nil
		}
		if err != nil || !ok {
			return nil, err
		}
		v, ok := a.carried.value(c.pos)
		if !ok {
			return nil, damaged("position", c.pos)
		}
		if found && !value.Equal(v, first) {
			a.stats.Needed++
			return nil, nil
		}
		told, err := a.add(&c)
		if err != nil {
			return nil, err
		}
		if v.Kind() == value.KindNull {
			continue
		}
		if found, first = true, v; told {
			return nil, nil
		}
	}
}
