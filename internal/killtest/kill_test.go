package killtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// kills is how often TestKill kills the process.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("ATOLL_KILLS")); err == nil && n > 0 {
		return n
	}
	return 3
}

// TestKill runs the command, has clients work on it, and kills it at random
// moments: under load, while it starts and while it opens what a kill left.
// Each time it must open again and hold what it promised.
func TestKill(t *testing.T) {
	if _, err := command(); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	k := &killing{
		load: newLoad(seed, 16+rng.IntN(17)), rng: rng,
		dir: t.TempDir(), addr: freeAddress(t),
	}
	t.Logf("seed %d, %d writers", seed, len(k.load.writers))
	for k.kills < kills() {
		if err := k.once(t); err != nil {
			t.Fatalf("kill %d: %v", k.kills, err)
		}
	}
	p, err := k.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.load.finish(t.Context(), p.connection); err != nil {
		t.Error(err)
	}
	if err := p.interrupt(within(t, 30*time.Second)); err != nil {
		t.Errorf("ending it in peace: %v\n%s", err, p.log)
	}
	slices.Sort(k.opened)
	t.Logf("%d kills, %d of them while it opened: %s", k.kills, k.whileOpening, k.load.stats)
	t.Logf("it served again after %s in the median, %s at most", k.opened[len(k.opened)/2], k.opened[len(k.opened)-1])
}

// killing is one installation that is killed again and again.
type killing struct {
	load         *load
	rng          *rand.Rand
	dir, addr    string
	kills        int
	whileOpening int
	opened       []time.Duration
	checked      int // cells, from the first, that were compared since the last full comparison
}

func (k *killing) open(t *testing.T) (*process, error) {
	began := time.Now()
	p, err := start(within(t, 30*time.Second), t, k.dir, k.addr)
	if err == nil {
		k.opened = append(k.opened, time.Since(began).Round(time.Millisecond))
	}
	return p, err
}

// once opens the installation, compares, has the clients work, and kills it.
func (k *killing) once(t *testing.T) error {
	if k.rng.IntN(4) == 0 {
		p := launch(t, k.dir, k.addr)
		time.Sleep(time.Duration(k.rng.IntN(200)) * time.Millisecond)
		p.kill()
		k.kills++
		k.whileOpening++
	}
	p, err := k.open(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := k.load.check(ctx, p.connection, k.due()); err != nil {
		return fmt.Errorf("after it was opened: %w\n%s", err, p.log)
	}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- k.load.run(working, p.connection) }()
	time.Sleep(time.Duration(20+k.rng.IntN(380)) * time.Millisecond)
	p.kill()
	stop()
	k.kills++
	if err := <-done; err != nil {
		return fmt.Errorf("under load: %w\n%s", err, p.log)
	}
	return nil
}

// due returns what is compared after an opening: what was written in the last
// two rounds, and everything after each twenty kills.
func (k *killing) due() []cell {
	cells := k.load.all()
	long := len(databases)*countersIn + 2*len(k.load.writers) // those that live from the first round on
	if k.kills%20 == 0 {
		k.checked = long
	}
	from := max(min(k.checked, len(cells)), long)
	k.checked = max(long, len(cells)-500)
	return append(slices.Clone(cells[:long]), cells[from:]...)
}
