package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

// BenchmarkCommit creates documents of ten fields and about 400 bytes, durably,
// with 128 callers, below the door: the cost of the node alone.
func BenchmarkCommit(b *testing.B) {
	for _, disk := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "disk"}[disk], func(b *testing.B) {
			opt := host.Options{Log: slog.New(slog.DiscardHandler)}
			if disk {
				opt.Dir = b.TempDir()
			}
			h := start(b, opt)
			body := tenFields()
			who := route.Caller{Principal: atoll.Anonymous}
			var n atomic.Int64
			b.SetParallelism(64)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					var id atoll.RequestID
					for j := range id {
						id[j] = byte(rand.Uint32())
					}
					exists := false
					w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%020d", i)), Doc: body, Exists: &exists}
					if _, err := h.Router.Commit(context.Background(), db, []shard.Write{w}, id, who); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
			c, _, _ := h.Counters(0)
			b.ReportMetric(float64(c.Messages)/float64(c.Blocks), "messages/block")
		})
	}
}

// BenchmarkGet reads documents by id, below the door.
func BenchmarkGet(b *testing.B) {
	h := start(b, host.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	who := route.Caller{Principal: atoll.Anonymous}
	const docs = 2000
	for i := range docs {
		w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: tenFields()}
		if _, err := h.Router.Commit(context.Background(), db, []shard.Write{w}, atoll.RequestID{1, byte(i), byte(i >> 8)}, who); err != nil {
			b.Fatal(err)
		}
	}
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := atoll.Path(fmt.Sprintf("c/%d", rand.IntN(docs)))
			if _, err := h.Router.Get(context.Background(), db, []atoll.Path{p}, 0, who); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func tenFields() []byte {
	var fields []value.Field
	for i := range 10 {
		v := value.String(fmt.Sprintf("the value of field %d, thirty bytes", i))
		if i%2 == 0 {
			v = value.Int(int64(i) * 1_000_003)
		}
		fields = append(fields, value.Field{Name: fmt.Sprintf("field%d", i), Value: v})
	}
	return value.AppendDocument(nil, value.Map(fields...))
}
