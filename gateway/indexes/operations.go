package indexes

import (
	"context"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
)

// operations implements google.longrunning.Operations: GetOperation and
// ListOperations. The others are answered with UNIMPLEMENTED; what was begun is
// ended by deleting the index.
type operations struct {
	longrunningpb.UnimplementedOperationsServer
	s *Service
}

// GetOperation implements longrunningpb.OperationsServer.
func (o operations) GetOperation(ctx context.Context, req *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	op, err := parseOperation(req.GetName())
	if err != nil {
		return nil, err
	}
	return o.s.operation(ctx, op)
}

// ListOperations implements longrunningpb.OperationsServer: one operation for
// each composite index and each field for which something is set.
func (o operations) ListOperations(ctx context.Context, req *longrunningpb.ListOperationsRequest) (*longrunningpb.ListOperationsResponse, error) {
	db, err := atoll.ParseDatabase(req.GetName())
	if err != nil {
		return nil, err
	}
	if req.GetFilter() != "" {
		return nil, atoll.Errorf(atoll.Unimplemented, "operations cannot be filtered; leave the filter out")
	}
	set, err := o.s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []operation
	for _, c := range set.Composites {
		if c.State != shard.IndexDeleting {
			all = append(all, operation{db: db, index: c.Index.ID})
		}
	}
	for _, f := range set.Fields {
		all = append(all, operation{db: db, collection: f.Collection, field: f.Field})
	}
	page, next, err := paged(all, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	reply := &longrunningpb.ListOperationsResponse{NextPageToken: next}
	for _, op := range page {
		m, err := writeOperation(op, set)
		if err != nil {
			return nil, err
		}
		reply.Operations = append(reply.Operations, m)
	}
	return reply, nil
}

// operation returns how what an operation is about is now.
func (s *Service) operation(ctx context.Context, op operation) (*longrunningpb.Operation, error) {
	set, err := s.status(ctx, op.db)
	if err != nil {
		return nil, err
	}
	return writeOperation(op, set)
}

// writeOperation returns an operation as Google's clients know it.
func writeOperation(op operation, set route.IndexSet) (*longrunningpb.Operation, error) {
	if op.index == 0 {
		p := fieldProgress(set, op.collection, op.field)
		return writeProgress(fieldOperationName(op.db, op.collection, op.field), p, &adminpb.FieldOperationMetadata{
			Field: fieldName(op.db, op.collection, op.field), State: operationState(p.State), ProgressDocuments: progress(p),
		}, writeField(op.db, set, op.collection, op.field))
	}
	c, ok := findComposite(set, op.index)
	name := indexOperationName(op.db, op.index)
	if !ok {
		return nil, noOperation(name)
	}
	return writeProgress(name, c.IndexProgress, &adminpb.IndexOperationMetadata{
		Index: indexName(op.db, c.Index.Collection, op.index), State: operationState(c.State), ProgressDocuments: progress(c.IndexProgress),
	}, writeComposite(op.db, c))
}

// writeProgress returns an operation with its result, if it has one.
func writeProgress(name string, p shard.IndexProgress, metadata, result proto.Message) (*longrunningpb.Operation, error) {
	m := &longrunningpb.Operation{Name: name, Done: p.State == shard.IndexReady || p.State == shard.IndexFailed}
	var err error
	if m.Metadata, err = anypb.New(metadata); err != nil {
		return nil, err
	}
	switch p.State {
	case shard.IndexReady:
		response, err := anypb.New(result)
		if err != nil {
			return nil, err
		}
		m.Result = &longrunningpb.Operation_Response{Response: response}
	case shard.IndexFailed:
		m.Result = &longrunningpb.Operation_Error{Error: &status.Status{Code: int32(codes.FailedPrecondition), Message: p.Reason}}
	}
	return m, nil
}

func operationState(s shard.IndexState) adminpb.OperationState {
	switch s {
	case shard.IndexReady:
		return adminpb.OperationState_SUCCESSFUL
	case shard.IndexFailed:
		return adminpb.OperationState_FAILED
	}
	return adminpb.OperationState_PROCESSING
}

// progress returns how many documents were looked at, of how many.
func progress(p shard.IndexProgress) *adminpb.Progress {
	return &adminpb.Progress{EstimatedWork: int64(p.Estimate), CompletedWork: int64(p.Documents)}
}
