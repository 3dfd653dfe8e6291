package firestore

import (
	"context"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Releases that bring what is not there yet.
const (
	releaseQueries = "0.2" // queries, aggregations, transactions
	releaseListen  = "0.4" // live updates and the stream of writes
)

// BeginTransaction is refused for now.
func (s *Service) BeginTransaction(context.Context, *firestorepb.BeginTransactionRequest) (*firestorepb.BeginTransactionResponse, error) {
	return nil, unsupported("BeginTransaction", releaseQueries)
}

// Rollback is refused for now.
func (s *Service) Rollback(context.Context, *firestorepb.RollbackRequest) (*emptypb.Empty, error) {
	return nil, unsupported("Rollback", releaseQueries)
}

// RunQuery is refused for now.
func (s *Service) RunQuery(*firestorepb.RunQueryRequest, firestorepb.Firestore_RunQueryServer) error {
	return unsupported("RunQuery", releaseQueries)
}

// RunAggregationQuery is refused for now.
func (s *Service) RunAggregationQuery(*firestorepb.RunAggregationQueryRequest, firestorepb.Firestore_RunAggregationQueryServer) error {
	return unsupported("RunAggregationQuery", releaseQueries)
}

// PartitionQuery is refused for now.
func (s *Service) PartitionQuery(context.Context, *firestorepb.PartitionQueryRequest) (*firestorepb.PartitionQueryResponse, error) {
	return nil, unsupported("PartitionQuery", releaseQueries)
}

// Write is refused for now.
func (s *Service) Write(firestorepb.Firestore_WriteServer) error {
	return unsupported("the stream of writes", releaseListen)
}

// Listen is refused for now.
func (s *Service) Listen(firestorepb.Firestore_ListenServer) error {
	return unsupported("Listen", releaseListen)
}

// ExecutePipeline is refused: pipelines belong to another edition of Firestore.
func (s *Service) ExecutePipeline(*firestorepb.ExecutePipelineRequest, firestorepb.Firestore_ExecutePipelineServer) error {
	return unsupported("a pipeline", "1.0 at the earliest")
}
