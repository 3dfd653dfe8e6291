package firestore

import (
	"context"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// clearBatch is how many documents Clear deletes with one commit.
const clearBatch = 100

// Clear deletes all documents that db has when it begins, as Firebase's
// emulator does between tests. They are deleted batch by batch by ordinary
// commits: whoever looks meanwhile sees a part of them, and when Clear is cut
// short the rest is there. It fails with PermissionDenied unless the service
// runs for development, and as Auth.Caller does.
func (s *Service) Clear(ctx context.Context, authorization string, db atoll.Database) error {
	if !s.auth.Dev {
		return atoll.Errorf(atoll.PermissionDenied, "a database is cleared on a node for development alone; delete its documents instead")
	}
	who, err := s.auth.Caller(authorization)
	if err != nil {
		return err
	}
	q, err := query.Normalize(query.Query{}, db) // all documents
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, callerKey{}, who)
	batch := make([]shard.Write, 0, clearBatch)
	commit := func() error {
		_, err := s.commit(ctx, db, batch, route.NewRequestID())
		batch = batch[:0]
		return err
	}
	_, err = s.router.Query(ctx, db, q, route.QueryOptions{NamesOnly: true}, who, func(_ atoll.Time, f *shard.Found) error {
		batch = append(batch, shard.Write{Op: shard.OpDelete, Path: f.Path})
		if len(batch) < clearBatch {
			return nil
		}
		return commit()
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return commit()
}
