package sim

import (
	"sync"
	"testing"

	"atoll"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/subnet"
)

// TestReplayOnDisk executes the logs that worlds leave once more, on another
// kind of store and with all lanes of a block at once: the digest of every
// height is the same.
func TestReplayOnDisk(t *testing.T) {
	lanes := 0
	for seed := range uint64(3) {
		w := newWorld(seed, Options{Subnets: 1, Steps: 600})
		w.run()
		w.stop()
		if w.finding != nil {
			t.Fatal(w.finding)
		}
		s := w.sites[0]
		store, err := pebble.Open(pebble.Options{Dir: t.TempDir(), Split: keys.Split, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		cfg := w.config(s)
		cfg.Lanes = func(n int, lane func(int)) {
			lanes = max(lanes, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { lane(i) })
			}
			wg.Wait()
		}
		m, err := subnet.Open(cfg, store)
		if err != nil {
			t.Fatal(err)
		}
		var last atoll.Height
		if err := local.Replay(s.store, m, store, func(h atoll.Height) { last = h }); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if last != s.tip.Height || m.Head().Digest != s.tip.Digest {
			t.Errorf("seed %d: the replay ended at height %d with %s, and the world at %d with %s", seed, last, m.Head().Digest, s.tip.Height, s.tip.Digest)
		}
		if err := audit(store); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if lanes < 2 {
		t.Error("no block had lanes that could run at once")
	}
}
