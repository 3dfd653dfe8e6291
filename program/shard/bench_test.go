package shard

import (
	"fmt"
	"testing"

	"atoll"
	"atoll/value"
	"atoll/wire"
)

// tenFields is a document as apps have it: about 400 bytes.
func tenFields() []byte {
	return doc(
		"active", value.Bool(true), "author", "u/9f8a7b6c5d4e", "body", "The quick brown fox jumps over the lazy dog, twice over.",
		"created", value.Timestamp(1_700_000_000_000_000), "likes", 12, "place", value.GeoPoint(52.5, 13.4),
		"price", value.Double(9.99), "size", fields("w", 10, "h", 20), "tags", value.Array(value.String("a"), value.String("b")),
		"title", "A title of some length",
	)
}

func commitPayload(i int, w Write) []byte {
	w.Path = atoll.Path(fmt.Sprintf("posts/p%08d", i))
	return wire.Marshal(CommitRequest{Targets: []Target{target1}, Writes: []Write{w}})
}

// run executes one message of shard A without the harness's rollback.
func (s *subnet) run(b *testing.B, id uint64, payload []byte) {
	s.now++
	_, err := s.program.Update(s.turn(shardA), atoll.Input{Caller: "user", ID: requestID(id), Method: MethodCommit, Payload: payload})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCommitCreate(b *testing.B) {
	s := newShard(b)
	s.seeks = true
	payloads := make([][]byte, 10_000)
	for i := range payloads {
		payloads[i] = commitPayload(i, ifExists(Write{Op: OpSet, Doc: tenFields()}, false))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i%len(payloads) == 0 {
			b.StopTimer()
			s = newShard(b)
			s.seeks = true
			b.StartTimer()
		}
		s.run(b, uint64(i+1), payloads[i%len(payloads)])
	}
}

func BenchmarkCommitIncrement(b *testing.B) {
	s := newShard(b)
	s.seeks = true
	const n = 1000
	for i := range n {
		s.run(b, uint64(i+1), commitPayload(i, Write{Op: OpSet, Doc: tenFields()}))
	}
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = commitPayload(i, with(Write{Op: OpSet, HasMask: true}, transformOf("likes", Increment, value.Int(1))))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.run(b, uint64(n+i+1), payloads[i%n])
	}
}

func BenchmarkGet(b *testing.B) {
	s := newShard(b)
	s.seeks = true
	const n = 10_000
	payloads := make([][]byte, n)
	for i := range n {
		s.run(b, uint64(i+1), commitPayload(i, Write{Op: OpSet, Doc: tenFields()}))
		payloads[i] = wire.Marshal(GetRequest{Target: target1, Paths: []atoll.Path{atoll.Path(fmt.Sprintf("posts/p%08d", i))}})
	}
	v := view{s.turn(shardA)}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.program.Query(v, atoll.Question{Method: MethodGet, Payload: payloads[i%n]}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList100(b *testing.B) {
	s := newShard(b)
	for i := range 1000 {
		s.run(b, uint64(i+1), commitPayload(i, Write{Op: OpSet, Doc: tenFields()}))
	}
	payload := wire.Marshal(ListRequest{Target: target1, Collection: "posts", Limit: 100})
	v := view{s.turn(shardA)}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := s.program.Query(v, atoll.Question{Method: MethodList, Payload: payload}); err != nil {
			b.Fatal(err)
		}
	}
}
