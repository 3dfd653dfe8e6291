package firestore

import (
	"context"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/program/shard"
)

// defaultPage is the size of a page if the client leaves it to the server.
const defaultPage = 300

// readTime reads the time that a client wants to read at; 0 is now. Whether a
// time is too early or too late is for those to say who keep the documents.
func readTime(t *timestamppb.Timestamp) (atoll.Time, error) {
	if t == nil {
		return 0, nil
	}
	at, err := toTime(t)
	if err != nil {
		return 0, atoll.Errorf(atoll.Invalid, "read_time holds %s", atoll.AsError(err).Msg)
	}
	if at <= 0 { // 0 would be taken for now
		return 0, atoll.Errorf(atoll.FailedPrecondition, "read_time %s is too old", at)
	}
	return at, nil
}

// GetDocument returns one document.
func (s *Service) GetDocument(ctx context.Context, req *firestorepb.GetDocumentRequest) (*firestorepb.Document, error) {
	db, path, err := parseDocument(req.GetName())
	if err != nil {
		return nil, err
	}
	view, err := newReading(db, req.GetMask())
	if err != nil {
		return nil, err
	}
	within, err := s.begin(ctx, db, req.GetTransaction(), nil, req.GetReadTime())
	if err != nil {
		return nil, err
	}
	defer within.end()
	reply, err := s.router.Get(ctx, db, []atoll.Path{path}, within.at, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	d := &reply.Documents[0]
	if err := within.recordDocument(d); err != nil {
		return nil, err
	}
	if d.Doc == nil {
		return nil, atoll.Errorf(atoll.NotFound, "Document %q not found.", req.GetName())
	}
	s.metrics.reads.Inc()
	return view.document(d)
}

// BatchGetDocuments returns documents at one time, found or missing, each name
// once.
func (s *Service) BatchGetDocuments(req *firestorepb.BatchGetDocumentsRequest, out firestorepb.Firestore_BatchGetDocumentsServer) error {
	ctx := out.Context()
	db, err := atoll.ParseDatabase(req.GetDatabase())
	if err != nil {
		return err
	}
	view, err := newReading(db, req.GetMask())
	if err != nil {
		return err
	}
	paths, err := s.batchPaths(db, req.GetDocuments())
	if err != nil {
		return err
	}
	within, err := s.begin(ctx, db, req.GetTransaction(), req.GetNewTransaction(), req.GetReadTime())
	if err != nil {
		return err
	}
	defer within.end()
	if len(within.newID) > 0 {
		if err := out.Send(&firestorepb.BatchGetDocumentsResponse{Transaction: within.newID}); err != nil {
			return err
		}
	}
	return s.router.Each(ctx, db, paths, within.at, callerOf(ctx), func(at atoll.Time, _ int, d *shard.Document) error {
		s.metrics.reads.Inc()
		if err := within.recordDocument(d); err != nil {
			return err
		}
		reply := &firestorepb.BatchGetDocumentsResponse{ReadTime: timestamp(at)}
		if d.Doc == nil {
			reply.Result = &firestorepb.BatchGetDocumentsResponse_Missing{Missing: view.names.of(d.Path)}
			return out.Send(reply)
		}
		doc, err := view.document(d)
		if err != nil {
			return err
		}
		reply.Result = &firestorepb.BatchGetDocumentsResponse_Found{Found: doc}
		return out.Send(reply)
	})
}

// batchPaths parses the names of a BatchGetDocuments, each once.
func (s *Service) batchPaths(db atoll.Database, names []string) ([]atoll.Path, error) {
	if len(names) > s.limits.Documents {
		return nil, s.refuse("documents", "the request asks for %d documents; %d are allowed", len(names), s.limits.Documents)
	}
	seen := make(map[atoll.Path]bool, len(names))
	paths := make([]atoll.Path, 0, len(names))
	for _, name := range names {
		p, err := within(db, name)
		if err != nil {
			return nil, err
		}
		if !seen[p] {
			seen[p] = true
			paths = append(paths, p)
		}
	}
	return paths, nil
}

// checkOrder accepts the one order in which documents can be listed.
func checkOrder(orderBy string) error {
	words := strings.Fields(orderBy)
	if len(words) == 2 && strings.EqualFold(words[1], "asc") {
		words = words[:1]
	}
	if len(words) == 0 || len(words) == 1 && words[0] == "__name__" {
		return nil
	}
	return unsupported("order_by other than __name__", releaseLists)
}

// ListDocuments returns a page of a collection's documents in the order of
// their names.
func (s *Service) ListDocuments(ctx context.Context, req *firestorepb.ListDocumentsRequest) (*firestorepb.ListDocumentsResponse, error) {
	db, parent, err := parseParent(req.GetParent())
	if err != nil {
		return nil, err
	}
	if len(req.GetTransaction()) > 0 {
		return nil, unsupported("a list in a transaction", releaseLists)
	}
	if req.GetCollectionId() == "" {
		return nil, unsupported("listing without collection_id", releaseLists)
	}
	list := shard.ListRequest{Missing: req.GetShowMissing()}
	if list.Collection, err = collection(parent, req.GetCollectionId()); err != nil {
		return nil, err
	}
	if err := checkOrder(req.GetOrderBy()); err != nil {
		return nil, err
	}
	if list.Missing && req.GetOrderBy() != "" {
		return nil, atoll.Errorf(atoll.Invalid, "show_missing cannot be combined with order_by")
	}
	if list.At, err = readTime(req.GetReadTime()); err != nil {
		return nil, err
	}
	if list.Limit, err = pageSize(req.GetPageSize(), defaultPage, shard.MaxPage); err != nil {
		return nil, err
	}
	shape := pageShape{"list", req.GetParent(), req.GetCollectionId(), list.Missing, list.At}
	if list.After, err = shape.after(req.GetPageToken()); err != nil {
		return nil, err
	}
	view, err := newReading(db, req.GetMask())
	if err != nil {
		return nil, err
	}
	page, err := s.router.List(ctx, db, list, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return s.listed(&page, &view, shape)
}

// listed converts a page of documents.
func (s *Service) listed(page *shard.ListReply, view *reading, shape pageShape) (*firestorepb.ListDocumentsResponse, error) {
	n := len(page.Documents)
	s.metrics.reads.Add(float64(n))
	out := &firestorepb.ListDocumentsResponse{Documents: make([]*firestorepb.Document, n)}
	for i := range page.Documents {
		d, err := view.document(&page.Documents[i])
		if err != nil {
			return nil, err
		}
		out.Documents[i] = d
	}
	if page.More && n > 0 {
		out.NextPageToken = shape.token(page.Documents[n-1].Path.ID())
	}
	return out, nil
}

// ListCollectionIds returns a page of the ids of the collections below a
// document, or below the root, in order.
func (s *Service) ListCollectionIds(ctx context.Context, req *firestorepb.ListCollectionIdsRequest) (*firestorepb.ListCollectionIdsResponse, error) {
	db, parent, err := parseParent(req.GetParent())
	if err != nil {
		return nil, err
	}
	list := shard.CollectionsRequest{Parent: parent}
	if list.At, err = readTime(req.GetReadTime()); err != nil {
		return nil, err
	}
	if list.Limit, err = pageSize(req.GetPageSize(), defaultPage, shard.MaxPage); err != nil {
		return nil, err
	}
	shape := pageShape{method: "collections", parent: req.GetParent(), readTime: list.At}
	if list.After, err = shape.after(req.GetPageToken()); err != nil {
		return nil, err
	}
	page, err := s.router.Collections(ctx, db, list, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &firestorepb.ListCollectionIdsResponse{CollectionIds: page.IDs}
	if n := len(page.IDs); page.More && n > 0 {
		out.NextPageToken = shape.token(page.IDs[n-1])
	}
	return out, nil
}
