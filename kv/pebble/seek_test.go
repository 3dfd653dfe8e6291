package pebble

import (
	"encoding/binary"
	"sync"
	"testing"

	"atoll"
	"atoll/kv/kvtest"
)

// TestLookUpsSeeTheNewestBatch looks keys up from several goroutines while
// batches change them: what was applied before a look-up began is found, though
// iterators are kept from one look-up to the next, and a snapshot stays as it
// was made.
func TestLookUpsSeeTheNewestBatch(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), Split: kvtest.Split})
	if err != nil {
		t.Fatal(err)
	}
	const rounds, readers = 300, 8
	key := docKey(7, 1)
	number := func(v []byte) uint64 { return binary.BigEndian.Uint64(v) }
	var mu sync.Mutex // orders what is applied and what a reader may expect
	applied := uint64(0)
	apply := func(n uint64) {
		var b atoll.Batch
		b.Set(key, binary.BigEndian.AppendUint64(nil, n))
		c, err := s.Apply(&b)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		applied = n
		mu.Unlock()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	apply(1)
	old := s.Snapshot()
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for range rounds {
				mu.Lock()
				least := applied
				mu.Unlock()
				v, ok, err := s.Get(key)
				if err != nil || !ok || number(v) < least {
					t.Errorf("found %x, %v, %v; %d was applied before", v, ok, err, least)
					return
				}
				k, v, ok, err := s.SeekPrefixGE(docKey(7, 0))
				if err != nil || !ok || string(k) != string(key) || number(v) < least {
					t.Errorf("found %x = %x, %v, %v; %d was applied before", k, v, ok, err, least)
					return
				}
				if v, ok, err := old.Get(key); err != nil || !ok || number(v) != 1 {
					t.Errorf("the snapshot has %x, %v, %v", v, ok, err)
					return
				}
			}
		})
	}
	for n := uint64(2); n < rounds; n++ {
		apply(n)
	}
	wg.Wait()
	if n := len(s.seekers.idle); n > maxSeekers {
		t.Errorf("%d iterators are kept; %d are allowed", n, maxSeekers)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := old.Get(key); atoll.KindOf(err) != atoll.FailedPrecondition {
		t.Errorf("a closed snapshot says %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
