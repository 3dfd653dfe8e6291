package sim

import (
	"context"
	"runtime"
	"sync"
)

// RunSeeds runs as many seeds as count says, from the first on, on all
// processors. It hands each result to got, one at a time and in no order, until
// got returns false, ctx ends, or all have run.
func RunSeeds(ctx context.Context, first, count uint64, opt Options, got func(Report, error) (more bool)) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex // guards next, and is held for each call of got
	next := uint64(0)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for next < count && ctx.Err() == nil {
				seed := first + next
				next++
				mu.Unlock()
				r, err := Run(seed, opt)
				mu.Lock()
				if ctx.Err() == nil && !got(r, err) {
					stop()
				}
			}
		})
	}
	wg.Wait()
}
