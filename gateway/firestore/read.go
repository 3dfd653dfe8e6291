package firestore

import (
	"context"

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
