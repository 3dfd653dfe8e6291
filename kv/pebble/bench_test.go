package pebble

import (
	"encoding/binary"
	"fmt"
	"testing"

	"atoll"
	"atoll/kv/kvtest"
)

// benchStore returns a store on disk with n documents of 200 bytes in three
// versions each, in tables.
func benchStore(b *testing.B, n int) *Store {
	b.Helper()
	s, err := Open(Options{Dir: b.TempDir(), Split: kvtest.Split})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	value := make([]byte, 200)
	for i := 0; i < n; i += 1000 {
		var batch atoll.Batch
		for j := i; j < i+1000; j++ {
			for v := range 3 {
				batch.Set(docKey(j, uint64(v)), value)
			}
		}
		if _, err := s.Apply(&batch); err != nil {
			b.Fatal(err)
		}
	}
	if n > 0 {
		if err := s.db.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func docKey(doc int, version uint64) []byte {
	return binary.BigEndian.AppendUint64(fmt.Appendf(nil, "users/%09d\x00", doc), version)
}

const benchDocs = 20_000 // 12 MB: they fit into the cache

func BenchmarkGet(b *testing.B) {
	s := benchStore(b, benchDocs)
	for i := 0; b.Loop(); i++ {
		if _, ok, err := s.Get(docKey(i*7919%benchDocs, 1)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkSeekPrefixGE(b *testing.B) {
	s := benchStore(b, benchDocs)
	for _, c := range []struct {
		name    string
		doc     int
		present bool
	}{{"present", 0, true}, {"absent", benchDocs, false}} {
		b.Run(c.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := docKey(c.doc+i*7919%benchDocs, 0)
				if _, _, ok, err := s.SeekPrefixGE(key); ok != c.present || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkIter20(b *testing.B) {
	s := benchStore(b, benchDocs)
	for i := 0; b.Loop(); i++ {
		it := s.Iter(docKey(i*7919%(benchDocs-20), 0), nil)
		for range 20 {
			it.Next()
		}
		if err := it.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, ops := range []int{1, 32, 256} {
		for _, wait := range []bool{true, false} {
			b.Run(fmt.Sprintf("ops=%d/wait=%v", ops, wait), func(b *testing.B) {
				s := benchStore(b, 0)
				value := make([]byte, 200)
				var last atoll.Commit
				for i := 0; b.Loop(); i++ {
					var batch atoll.Batch
					for j := range ops {
						batch.Set(docKey(i*ops+j, 0), value)
					}
					c, err := s.Apply(&batch)
					if err == nil && wait {
						err = c.Wait()
					}
					if err != nil {
						b.Fatal(err)
					}
					last = c
				}
				if err := last.Wait(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkMarkDurable(b *testing.B) {
	s := benchStore(b, 0)
	for i := 0; b.Loop(); i++ {
		if err := s.MarkDurable(atoll.Height(i), atoll.Hash{}); err != nil {
			b.Fatal(err)
		}
	}
}
