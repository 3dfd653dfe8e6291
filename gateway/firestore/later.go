package firestore

import "cloud.google.com/go/firestore/apiv1/firestorepb"

// releaseListen brings live updates and the stream of writes.
const releaseListen = "0.4"

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
