package firestore

import (
	"context"
	"strconv"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// RunQuery streams the documents that a query finds, in its order, as fast as
// the client reads them. The first response carries the id of a new
// transaction. One without a document ends the stream if nothing was found,
// with the read time, or if documents were skipped. What explain_options ask
// for comes with the last response; if that is the plan alone, nothing was read
// and so there is no read time, by which Google's clients tell one from the
// other.
func (s *Service) RunQuery(req *firestorepb.RunQueryRequest, out firestorepb.Firestore_RunQueryServer) error {
	ctx, start := out.Context(), s.clock()
	db, q, err := toQuery(req.GetParent(), req.GetStructuredQuery())
	if err != nil {
		return err
	}
	view, err := s.begin(ctx, db, req.GetTransaction(), req.GetNewTransaction(), req.GetReadTime())
	if err != nil {
		return err
	}
	defer view.end()
	if len(view.newID) > 0 {
		if err := out.Send(&firestorepb.RunQueryResponse{Transaction: view.newID}); err != nil {
			return err
		}
	}
	r := queryReply{s: s, out: out, q: &q, reading: reading{names: namesOf(db), masked: q.Selects}, view: view}
	for _, text := range q.Select {
		path, _ := value.ParseFieldPath(text) // normalised
		r.paths = append(r.paths, path)
	}
	explain := req.GetExplainOptions()
	r.explained = explain != nil
	result, err := r.run(ctx, db, explain)
	if err != nil {
		return err
	}
	last := r.last
	if last == nil && (r.sent == 0 || result.Skipped > 0) {
		last = &firestorepb.RunQueryResponse{}
		if explain == nil || explain.GetAnalyze() {
			last.ReadTime = timestamp(result.Time)
		}
	}
	if last == nil {
		return nil
	}
	last.SkippedResults = int32(result.Skipped)
	if explain != nil {
		last.ExplainMetrics = metricsOf(&q.Query, explain, &result, r.sent, s.clock().Sub(start))
	}
	return out.Send(last)
}

// queryReply sends what a query finds.
type queryReply struct {
	reading
	s    *Service
	out  firestorepb.Firestore_RunQueryServer
	q    *asked
	view *view
	sent int
	// A query that is explained has its last response kept back, for the
	// figures that are known when all is read.
	explained bool
	last      *firestorepb.RunQueryResponse
}

// run runs the query. If it is only to be explained, it reads one document at
// most and sends none.
func (r *queryReply) run(ctx context.Context, db atoll.Database, explain *firestorepb.ExplainOptions) (route.QueryResult, error) {
	o := route.QueryOptions{At: r.view.at, Explain: explain != nil}
	switch {
	case explain != nil && !explain.GetAnalyze():
		q := r.q.Query
		q.Limit, q.Offset, o.NamesOnly = 1, 0, true
		return r.s.router.Query(ctx, db, q, o, callerOf(ctx), func(atoll.Time, *shard.Found) error { return nil })
	case r.q.nothing:
		at, err := r.s.timeOf(ctx, db, r.view.at)
		return route.QueryResult{Time: at}, err
	}
	record := r.view.recordQuery(&r.q.Query)
	result, err := r.s.router.Query(ctx, db, r.q.Query, o, callerOf(ctx), func(at atoll.Time, f *shard.Found) error {
		record.add(f)
		return r.send(at, f)
	})
	return result, record.done(err)
}

func (r *queryReply) send(at atoll.Time, f *shard.Found) error {
	r.s.metrics.reads.Inc()
	if n := r.q.Nearest; n != nil && n.Result != "" && f.Distance != nil {
		if err := setDistance(&f.Document, n.Result, *f.Distance); err != nil {
			return err
		}
	}
	doc, err := r.document(&f.Document)
	if err != nil {
		return err
	}
	r.sent++
	reply := &firestorepb.RunQueryResponse{Document: doc, ReadTime: timestamp(at)}
	if r.explained {
		reply, r.last = r.last, reply
	}
	if reply == nil {
		return nil
	}
	return r.out.Send(reply)
}

// setDistance puts the distance of a vector search into a document's field.
func setDistance(d *shard.Document, field string, distance float64) error {
	path, err := value.ParseFieldPath(field)
	if err != nil {
		return err
	}
	doc := value.Map()
	if d.Doc != nil {
		if doc, err = value.DecodeDocument(d.Doc); err != nil {
			return &atoll.Error{Kind: atoll.DataLoss, Msg: "the document " + string(d.Path) + " cannot be read", Detail: err.Error()}
		}
	}
	d.Doc = value.Encode(value.SetPath(doc, path, value.Double(distance)))
	return nil
}

// timeOf returns at, or a time behind all that was acknowledged if at is 0.
func (s *Service) timeOf(ctx context.Context, db atoll.Database, at atoll.Time) (atoll.Time, error) {
	if at != 0 {
		return at, nil
	}
	now, err := s.router.Get(ctx, db, nil, 0, callerOf(ctx))
	return now.Time, err
}

// metricsOf tells how a query was answered, or would be if analyze is not set.
func metricsOf(q *query.Query, explain *firestorepb.ExplainOptions, result *route.QueryResult, sent int, took time.Duration) *firestorepb.ExplainMetrics {
	scope := "Collection"
	if q.Descendants {
		scope = "Collection group"
	}
	m := &firestorepb.ExplainMetrics{PlanSummary: &firestorepb.PlanSummary{IndexesUsed: []*structpb.Struct{textStruct("query_scope", scope, "properties", result.Stats.Plan)}}}
	if !explain.GetAnalyze() {
		return m
	}
	st := &result.Stats
	m.ExecutionStats = &firestorepb.ExecutionStats{
		ResultsReturned:   int64(sent),
		ExecutionDuration: durationpb.New(took),
		ReadOperations:    int64(max(st.Documents, sent, 1)), // one that finds nothing costs one, as at Google's
		DebugStats: textStruct("index_entries_scanned", strconv.Itoa(st.Keys), "documents_scanned", strconv.Itoa(st.Documents),
			"index_seeks", strconv.Itoa(st.Seeks)),
	}
	return m
}

// textStruct makes a struct of names and texts, in turn.
func textStruct(pairs ...string) *structpb.Struct {
	fields := make(map[string]*structpb.Value, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	return &structpb.Struct{Fields: fields}
}
