package firestore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"atoll"
	"atoll/program/shard"
)

// commit sends writes and counts them.
func (s *Service) commit(ctx context.Context, db atoll.Database, writes []shard.Write, id atoll.RequestID) (shard.CommitReply, error) {
	reply, err := s.router.Commit(ctx, db, writes, id, callerOf(ctx))
	if err == nil {
		s.metrics.writes.Add(float64(len(writes)))
	}
	return reply, err
}

// Commit applies writes, all or none.
func (s *Service) Commit(ctx context.Context, req *firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
	db, err := atoll.ParseDatabase(req.GetDatabase())
	if err != nil {
		return nil, err
	}
	if err := s.checkWrites(req, len(req.GetWrites())); err != nil {
		return nil, err
	}
	id, err := requestID(ctx)
	if err != nil {
		return nil, err
	}
	if len(req.GetWrites()) == 0 && len(req.GetTransaction()) == 0 { // which Firestore accepts
		now, err := s.router.Get(ctx, db, nil, 0, callerOf(ctx))
		return &firestorepb.CommitResponse{CommitTime: fromTime(now.Time)}, err
	}
	writes := make([]shard.Write, len(req.GetWrites()))
	for i, w := range req.GetWrites() {
		if writes[i], err = toWrite(db, w); err != nil {
			return nil, err
		}
	}
	var reply shard.CommitReply
	if tx := req.GetTransaction(); len(tx) > 0 {
		reply, err = s.commitIn(ctx, db, tx, writes, id)
	} else {
		reply, err = s.commit(ctx, db, writes, id)
	}
	if err != nil {
		return nil, err
	}
	out := &firestorepb.CommitResponse{CommitTime: timestamp(reply.Time), WriteResults: make([]*firestorepb.WriteResult, len(writes))}
	for i := range reply.Results {
		if out.WriteResults[i], err = fromResult(&reply.Results[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CreateDocument adds a document, under an id of its own if none is given.
func (s *Service) CreateDocument(ctx context.Context, req *firestorepb.CreateDocumentRequest) (*firestorepb.Document, error) {
	db, parent, err := parseParent(req.GetParent())
	if err != nil {
		return nil, err
	}
	if err := s.checkWrites(req, 1); err != nil {
		return nil, err
	}
	id, err := requestID(ctx)
	if err != nil {
		return nil, err
	}
	in, err := collection(parent, req.GetCollectionId())
	if err != nil {
		return nil, err
	}
	docID := req.GetDocumentId()
	if docID == "" {
		docID = autoID(id)
	}
	view, err := newReading(db, req.GetMask())
	if err != nil {
		return nil, err
	}
	name := view.names.of(in.Child(docID))
	if given := req.GetDocument().GetName(); given != "" && given != name {
		return nil, atoll.Errorf(atoll.Invalid, "document.name must not be set; the name follows from parent, collection_id and document_id")
	}
	w, same, err := toUpdate(db, &firestorepb.Document{Name: name, Fields: req.GetDocument().GetFields()}, nil)
	if err != nil {
		return nil, err
	}
	no := false
	w.Exists = &no
	reply, err := s.commit(ctx, db, []shard.Write{w}, id)
	if err != nil {
		return nil, err
	}
	d := shard.Document{Path: w.Path, Doc: w.Doc, Created: reply.Time, Updated: reply.Time}
	if same && !view.masked { // the fields need no conversion: they are what was sent
		d.Doc = nil
	}
	out, err := view.document(&d)
	if err == nil && d.Doc == nil {
		out.Fields = req.GetDocument().GetFields()
	}
	return out, err
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// autoIDLen is the length of an id that the server chooses, as in Firestore.
const autoIDLen = 20

// autoID derives a document's id from the id of the request that creates it,
// so that the request creates one document however often it is sent.
func autoID(id atoll.RequestID) string {
	h := sha256.Sum256(append([]byte("atoll document id\x00"), id[:]...))
	var out [autoIDLen]byte
	for i := range out {
		out[i] = idAlphabet[int(h[i])%len(idAlphabet)]
	}
	return string(out[:])
}

// UpdateDocument sets a document, or the masked fields of it, and returns it.
func (s *Service) UpdateDocument(ctx context.Context, req *firestorepb.UpdateDocumentRequest) (*firestorepb.Document, error) {
	db, path, err := parseDocument(req.GetDocument().GetName())
	if err != nil {
		return nil, err
	}
	if err := s.checkWrites(req, 1); err != nil {
		return nil, err
	}
	id, err := requestID(ctx)
	if err != nil {
		return nil, err
	}
	view, err := newReading(db, req.GetMask())
	if err != nil {
		return nil, err
	}
	w, _, err := toUpdate(db, req.GetDocument(), req.GetUpdateMask())
	if err != nil {
		return nil, err
	}
	if err := toPrecondition(&w, req.GetCurrentDocument()); err != nil {
		return nil, err
	}
	reply, err := s.commit(ctx, db, []shard.Write{w}, id)
	if err != nil {
		return nil, err
	}
	now, err := s.router.Get(ctx, db, []atoll.Path{path}, reply.Time, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return view.document(&now.Documents[0])
}

// DeleteDocument removes a document; one that does not exist is no error
// unless current_document says so.
func (s *Service) DeleteDocument(ctx context.Context, req *firestorepb.DeleteDocumentRequest) (*emptypb.Empty, error) {
	db, path, err := parseDocument(req.GetName())
	if err != nil {
		return nil, err
	}
	id, err := requestID(ctx)
	if err != nil {
		return nil, err
	}
	w := shard.Write{Op: shard.OpDelete, Path: path}
	if err := toPrecondition(&w, req.GetCurrentDocument()); err != nil {
		return nil, err
	}
	if _, err := s.commit(ctx, db, []shard.Write{w}, id); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// BatchWrite applies each write by itself, in no order, and tells what became
// of each. Labels are ignored. A write that is malformed fails the whole
// request: what a client can write by mistake is not what the documents forbid,
// and Google's server refuses it so.
func (s *Service) BatchWrite(ctx context.Context, req *firestorepb.BatchWriteRequest) (*firestorepb.BatchWriteResponse, error) {
	db, err := atoll.ParseDatabase(req.GetDatabase())
	if err != nil {
		return nil, err
	}
	n := len(req.GetWrites())
	if err := s.checkWrites(req, n); err != nil {
		return nil, err
	}
	id, err := requestID(ctx)
	if err != nil {
		return nil, err
	}
	writes := make([]shard.Write, n)
	seen := make(map[atoll.Path]bool, n)
	for i, w := range req.GetWrites() {
		if writes[i], err = toWrite(db, w); err != nil {
			return nil, atoll.Errorf(atoll.KindOf(err), "write %d: %s", i+1, atoll.AsError(err).Msg)
		}
		if p := writes[i].Path; seen[p] {
			return nil, atoll.Errorf(atoll.Invalid, "a batch may write each document once; %q is there twice", p)
		}
		seen[writes[i].Path] = true
	}
	out := &firestorepb.BatchWriteResponse{
		WriteResults: make([]*firestorepb.WriteResult, n),
		Status:       make([]*rpcstatus.Status, n),
	}
	ids := make([]atoll.RequestID, n)
	for i := range ids {
		ids[i] = idOf(id, i)
	}
	for i, r := range s.apply(ctx, db, writes, ids) {
		var err error
		if r.Err != nil {
			err = r.Err
		} else {
			out.WriteResults[i], err = fromResult(&r.WriteResult)
		}
		if err != nil {
			out.WriteResults[i] = &firestorepb.WriteResult{}
		}
		out.Status[i] = statusOf(err).Proto()
	}
	return out, nil
}

// apply does each of several writes by itself.
func (s *Service) apply(ctx context.Context, db atoll.Database, writes []shard.Write, ids []atoll.RequestID) []shard.Applied {
	if len(writes) == 0 {
		return nil
	}
	results, err := s.router.Apply(ctx, db, writes, ids, callerOf(ctx))
	if atoll.KindOf(err) == atoll.Unimplemented {
		results = make([]shard.Applied, len(writes))
		s.each(len(writes), func(i int) {
			results[i].Err = atoll.AsError(s.recovered("BatchWrite", func() error {
				reply, err := s.router.Commit(ctx, db, writes[i:i+1], ids[i], callerOf(ctx))
				if err == nil {
					results[i].WriteResult = reply.Results[0]
				}
				return err
			}))
		})
	} else if err != nil {
		results = make([]shard.Applied, len(writes))
		for i := range results {
			results[i].Err = atoll.AsError(err)
		}
	}
	for i := range results {
		if results[i].Err == nil {
			s.metrics.writes.Inc()
		}
	}
	return results
}

// idOf gives each write of a batch an id of its own, the same whenever the
// batch is sent again.
func idOf(batch atoll.RequestID, i int) (id atoll.RequestID) {
	h := sha256.Sum256(binary.BigEndian.AppendUint32(batch[:], uint32(i)))
	copy(id[:], h[:])
	return id
}

// each calls do, which must not panic, for 0 to n-1, a limited number at once,
// and returns when all are done.
func (s *Service) each(n int, do func(i int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(n, s.limits.Parallel) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	running.Wait()
}
