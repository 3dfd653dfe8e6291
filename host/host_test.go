package host_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

func start(t testing.TB, opt host.Options) *host.Host {
	t.Helper()
	h, err := host.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

var db = atoll.Database{Project: "p", ID: atoll.DefaultDatabase}

func doc(t testing.TB, n int64) []byte {
	t.Helper()
	return value.AppendDocument(nil, value.Map(value.Field{Name: "n", Value: value.Int(n)}))
}

func TestWriteReadReopen(t *testing.T) {
	for _, subnets := range []int{1, 3} {
		t.Run(fmt.Sprint(subnets), func(t *testing.T) {
			dir := t.TempDir()
			ctx := context.Background()
			var last atoll.Time
			for round := range 3 {
				h := start(t, host.Options{Dir: dir, Subnets: subnets})
				var wg sync.WaitGroup
				for i := range 20 {
					wg.Go(func() {
						d := atoll.Database{Project: "p", ID: fmt.Sprint("db", i%5)}
						w := shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d", i)), Doc: doc(t, int64(round))}
						reply, err := h.Router.Commit(ctx, d, []shard.Write{w}, atoll.RequestID{byte(round), byte(i)}, route.Caller{Principal: atoll.Anonymous})
						if err != nil || reply.Time <= last {
							t.Errorf("commit: %v, %v", reply.Time, err)
						}
					})
				}
				wg.Wait()
				got, err := h.Router.Get(ctx, db, []atoll.Path{"c/1"}, 0, route.Caller{Principal: atoll.Anonymous})
				if err != nil || len(got.Documents) != 1 || got.Documents[0].Doc != nil {
					t.Errorf("a document that was never written: %+v, %v", got, err)
				}
				last = atoll.TimeOf(time.Now()) - 1000
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
