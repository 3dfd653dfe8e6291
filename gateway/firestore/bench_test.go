package firestore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll/host"
)

// connections is how many clients the benchmarks of the door have, each with a
// connection of its own and one request under way.
const connections = 128

// benchClients serves from a disk and calls do until b.N calls were made.
func benchClients(b *testing.B, do func(c firestorepb.FirestoreClient, i int) error) {
	b.Helper()
	h, err := host.Start(host.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	addr, _ := listen(b, Options{Router: h.Router, Auth: Auth{Dev: true}})
	clients := make([]firestorepb.FirestoreClient, connections)
	for i := range clients {
		clients[i] = firestorepb.NewFirestoreClient(dial(b, addr))
		if err := do(clients[i], -1-i); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for _, c := range clients {
		all.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				if err := do(c, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpuTime is what this process, clients and server together, has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCreate makes durable documents of ten fields, through gRPC.
func BenchmarkCreate(b *testing.B) {
	fields := tenFields()
	benchClients(b, func(c firestorepb.FirestoreClient, i int) error {
		_, err := c.CreateDocument(context.Background(), &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "c",
			DocumentId: fmt.Sprintf("d%d", i), Document: &firestorepb.Document{Fields: fields}})
		return err
	})
}

// BenchmarkGet reads documents of ten fields by id, through gRPC.
func BenchmarkGet(b *testing.B) {
	fields := tenFields()
	benchClients(b, func(c firestorepb.FirestoreClient, i int) error {
		if i < 0 {
			_, err := c.CreateDocument(context.Background(), &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "c",
				DocumentId: fmt.Sprintf("d%d", -i), Document: &firestorepb.Document{Fields: fields}})
			return err
		}
		_, err := c.GetDocument(context.Background(), &firestorepb.GetDocumentRequest{Name: fmt.Sprintf("%s/c/d%d", devRoot, 1+i%connections)})
		return err
	})
}
