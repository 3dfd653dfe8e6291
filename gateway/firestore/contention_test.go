package firestore

import (
	"context"
	"sync"
	"testing"

	gofirestore "cloud.google.com/go/firestore"
)

// TestCounterUnderContention lets Google's client increment one number from
// many sides: with the reads checked, every increment counts.
func TestCounterUnderContention(t *testing.T) {
	addr, _ := start(t)
	c := google(t, addr, "tx", "(default)")
	ref := c.Doc("c/counter")
	must(t)(ref.Create(t.Context(), map[string]any{"n": 0}))
	const clients, each = 4, 5
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				err := c.RunTransaction(t.Context(), func(_ context.Context, tx *gofirestore.Transaction) error {
					d, err := tx.Get(ref)
					if err != nil {
						return err
					}
					n, err := d.DataAt("n")
					if err != nil {
						return err
					}
					return tx.Set(ref, map[string]any{"n": n.(int64) + 1})
				}, gofirestore.MaxAttempts(100))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := data(t, ref)["n"]; got != int64(clients*each) {
		t.Errorf("counted %v; want %d", got, clients*each)
	}
}
