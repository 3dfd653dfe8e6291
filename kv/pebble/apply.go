package pebble

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"atoll"
	"atoll/kv"
)

// Apply implements atoll.Store: one batch of Pebble's, whose sync has begun when
// it returns. It fails with Invalid for a batch that no store executes and with
// ResourceExhausted below Options.MinFree, and then nothing has happened; any
// other error is the store's failure.
func (s *Store) Apply(b *atoll.Batch) (c atoll.Commit, err error) {
	if err := kv.Check(b); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave(&err)
	if err := s.space.reserve(b.Bytes); err != nil {
		return nil, err
	}
	pb, err := s.translate(b)
	if err != nil {
		return nil, s.fault.latch(err)
	}
	// Pebble lets a writer wait for a flush or a compaction, which may never
	// come to an end.
	if _, err := detached(s.fault, func() (struct{}, error) {
		err := s.db.ApplyNoSyncWait(pb, pebble.Sync)
		if cerr := s.seekers.changed(false); err == nil {
			err = cerr
		}
		return struct{}{}, err
	}, nil); err != nil {
		return nil, s.fault.latch(err)
	}
	if err := s.fault.get(); err != nil {
		return nil, err // Pebble does not know: see fencedFS
	}
	return &commit{store: s, batch: pb}, nil
}

// translate copies a batch into one of Pebble's.
func (s *Store) translate(b *atoll.Batch) (*pebble.Batch, error) {
	pb := s.db.NewBatchWithSize(b.Bytes + 12*len(b.Ops) + 64)
	for _, op := range b.Ops {
		var err error
		switch op.Kind {
		case atoll.OpSet:
			err = pb.Set(op.Key, op.Value, nil)
		case atoll.OpDelete:
			err = pb.Delete(op.Key, nil)
		case atoll.OpDeleteRange:
			if bytes.Compare(lowest(op.Key), op.Value) < 0 {
				err = pb.DeleteRange(lowest(op.Key), op.Value, nil)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if pb.Empty() {
		// Pebble drops an empty batch, and with it the promise that all
		// earlier ones are durable.
		if err := pb.LogData(nil, nil); err != nil {
			return nil, err
		}
	}
	return pb, nil
}

// commit is the promise of one batch.
type commit struct {
	store *Store
	once  sync.Once // guards what follows
	batch *pebble.Batch
	err   error
}

// Wait implements atoll.Commit.
func (c *commit) Wait() error {
	c.once.Do(func() {
		err := c.batch.SyncWait()
		if err == nil {
			err = c.batch.Close()
		}
		c.batch = nil
		if err == nil {
			err = c.store.fault.get() // Pebble does not know: see fencedFS
		}
		if err != nil {
			c.err = c.store.fault.latch(err)
		}
	})
	return c.err
}

func spaceDetail(dir string, free, min uint64) string {
	return fmt.Sprintf("%s: %d bytes are free, %d are wanted", dir, free, min)
}
