package mem_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"atoll"
	"atoll/kv/mem"
)

func mustOpen(t *testing.T, d *mem.Disk) *mem.Store {
	t.Helper()
	s, err := mem.Open(d)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// put sets a key to a value and returns the commit.
func put(t *testing.T, s *mem.Store, key, value string) *mem.Commit {
	t.Helper()
	var b atoll.Batch
	b.Set([]byte(key), []byte(value))
	c, err := s.Apply(&b)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return c.(*mem.Commit)
}

func has(t *testing.T, s *mem.Store, key string) bool {
	t.Helper()
	_, ok, err := s.Get([]byte(key))
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return ok
}

// keepAll and dropAll are the two extreme crashes.
func keepAll(n int) int { return n - 1 }
func dropAll(int) int   { return 0 }

func TestManualDisk(t *testing.T) {
	d := mem.NewManualDisk()
	s := mustOpen(t, d)
	a, b := put(t, s, "a", "1"), put(t, s, "b", "2")
	if a.Done() || b.Done() {
		t.Error("a batch is done before the sync")
	}
	if got := d.Stats(); got.Frames != 2 || got.SyncedFrames != 0 || got.Bytes == 0 || got.SyncedBytes != 0 {
		t.Errorf("before the sync: %+v", got)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if !a.Done() || !b.Done() || a.Wait() != nil {
		t.Error("a batch is not done after the sync")
	}
	if got := d.Stats(); got.SyncedFrames != 2 || got.SyncedBytes != got.Bytes || got.Syncs != 1 {
		t.Errorf("after the sync: %+v", got)
	}
	c := put(t, s, "c", "3")
	d.Crash(dropAll)
	if !c.Done() || atoll.KindOf(c.Wait()) != atoll.Unavailable || b.Wait() != nil {
		t.Error("a crash changed what was durable, or did not tell what was not")
	}
	if _, _, err := s.Get([]byte("a")); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("a store lives on after a crash: %v", err)
	}
	s = mustOpen(t, d)
	if !has(t, s, "a") || !has(t, s, "b") || has(t, s, "c") {
		t.Error("the wrong batches survived")
	}
}

// TestManualWait waits on goroutines while another calls Sync.
func TestManualWait(t *testing.T) {
	d := mem.NewManualDisk()
	s := mustOpen(t, d)
	var wg sync.WaitGroup
	for i := range 10 {
		c := put(t, s, fmt.Sprint(i), "")
		wg.Go(func() {
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	c := put(t, s, "last", "")
	wg.Go(func() {
		if err := c.Wait(); atoll.KindOf(err) != atoll.Unavailable {
			t.Errorf("Wait over a crash: %v", err)
		}
	})
	d.Crash(keepAll)
	wg.Wait()
}

func TestCrashKeepsInOrder(t *testing.T) {
	for keep := range 4 {
		d := mem.NewManualDisk()
		s := mustOpen(t, d)
		put(t, s, "synced", "")
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			put(t, s, fmt.Sprint(i), "value")
		}
		first := true
		d.Crash(func(n int) int {
			if first {
				first = false
				return keep
			}
			return n - 1
		})
		s = mustOpen(t, d)
		for i := range 3 {
			if got := has(t, s, fmt.Sprint(i)); got != (i < keep) {
				t.Errorf("of %d that were kept, batch %d is there: %v", keep, i, got)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	full := atoll.Errorf(atoll.ResourceExhausted, "full")
	for _, c := range []struct {
		name string
		hurt func(d *mem.Disk)
		heal func(d *mem.Disk)
		want atoll.Kind
	}{
		{"full", func(d *mem.Disk) { d.FailWrites(full) }, func(d *mem.Disk) { d.FailWrites(nil) }, atoll.ResourceExhausted},
		{"read only", func(d *mem.Disk) { d.FailWrites(errors.New("read only")) }, func(d *mem.Disk) { d.FailWrites(nil) }, atoll.Unavailable},
		{"sync", func(d *mem.Disk) { d.FailNextSync(errors.New("bad")) }, func(*mem.Disk) {}, atoll.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := mem.NewDisk()
			s := mustOpen(t, d)
			if err := put(t, s, "before", "").Wait(); err != nil {
				t.Fatal(err)
			}
			c.hurt(d)
			var b atoll.Batch
			b.Set([]byte("during"), nil)
			commit, err := s.Apply(&b)
			if err == nil {
				err = commit.Wait()
			}
			if atoll.KindOf(err) != c.want {
				t.Fatalf("the error is %v; want %v", err, c.want)
			}
			c.heal(d)
			if _, err := s.Apply(&b); atoll.KindOf(err) != c.want {
				t.Errorf("the store went on after a failure: %v", err)
			}
			if _, _, err := s.Get([]byte("before")); atoll.KindOf(err) != c.want {
				t.Errorf("the store is read after a failure: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, d)
			if !has(t, s, "before") {
				t.Error("an acknowledged batch is gone")
			}
			if err := put(t, s, "after", "").Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	d := mem.NewManualDisk()
	s := mustOpen(t, d)
	put(t, s, "a", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.FailNextSync(errors.New("bad"))
	if _, err := mem.Open(d); atoll.KindOf(err) != atoll.Unavailable {
		t.Errorf("Open shows what it could not make durable: %v", err)
	}
	if s = mustOpen(t, d); !has(t, s, "a") {
		t.Error("a batch is gone without a crash")
	}
}

// TestFlipBit flips every bit of a journal with a synced part and a part that
// is not. What was synced is there or the disk says that it is damaged; of the
// rest, at most the end may be missing.
func TestFlipBit(t *testing.T) {
	d := mem.NewManualDisk()
	s := mustOpen(t, d)
	for i := range 6 {
		put(t, s, fmt.Sprint(i), "value")
		if i == 2 {
			if err := d.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused, short := 0, 0
	for bit := range 8 * d.Stats().Bytes {
		c := d.Clone()
		c.FlipBit(bit)
		s, err := mem.Open(c)
		if err != nil {
			if atoll.KindOf(err) != atoll.DataLoss {
				t.Fatalf("bit %d: %v", bit, err)
			}
			refused++
			continue
		}
		short++
		for i := range 6 {
			v, ok, err := s.Get([]byte(fmt.Sprint(i)))
			if err != nil || ok != (i < 5) || ok && string(v) != "value" {
				t.Fatalf("bit %d: batch %d reads %q, %v, %v", bit, i, v, ok, err)
			}
		}
	}
	if refused < 5*short || short == 0 {
		t.Errorf("%d flips were refused, %d taken for a torn end; the last of six frames is one", refused, short)
	}
}

func TestCompact(t *testing.T) {
	d := mem.NewManualDisk()
	s := mustOpen(t, d)
	for i := range 100 {
		put(t, s, fmt.Sprint(i%10), fmt.Sprint(i))
	}
	before := d.Stats()
	c := put(t, s, "last", "")
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	if !c.Done() {
		t.Error("Compact did not make durable what was applied")
	}
	if after := d.Stats(); after.Bytes > before.Bytes/5 || after.SyncedBytes != after.Bytes || after.Frames != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if err := func() error { c := put(t, s, "more", ""); d.Sync(); return c.Wait() }(); err != nil {
		t.Fatal(err)
	}
	d.Crash(dropAll)
	s = mustOpen(t, d)
	v, _, _ := s.Get([]byte("7"))
	if string(v) != "97" || !has(t, s, "last") || !has(t, s, "more") {
		t.Error("the state is not what it was")
	}
}

// TestMark crashes with a mark that was not synced: it or the one before is
// found, and it is never ahead of a sync.
func TestMark(t *testing.T) {
	found := map[atoll.Height]bool{}
	for seed := range uint64(20) {
		d := mem.NewDisk()
		s := mustOpen(t, d)
		for h := range atoll.Height(3) {
			if err := put(t, s, "a", "").Wait(); err != nil {
				t.Fatal(err)
			}
			if err := s.MarkDurable(h, atoll.Hash{byte(h)}); err != nil {
				t.Fatal(err)
			}
		}
		d.Crash(rand.New(rand.NewPCG(seed, 0)).IntN)
		h, digest, ok := mustOpen(t, d).Durable()
		if !ok || digest != (atoll.Hash{byte(h)}) {
			t.Fatalf("found the mark %d, %s, %v", h, digest, ok)
		}
		found[h] = true
	}
	if !reflect.DeepEqual(found, map[atoll.Height]bool{1: true, 2: true}) {
		t.Errorf("found the marks %v", found)
	}
}
