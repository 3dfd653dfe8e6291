package node

import (
	"context"
	"time"

	"atoll"
	"atoll/subnet"
)

// housekeep watches the disk and sends the messages that keep the state small.
func (r *runner) housekeep(ctx context.Context) {
	disk := time.NewTicker(200 * time.Millisecond)
	defer disk.Stop()
	every := r.n.opt.HousekeepEvery
	if every <= 0 {
		every = 10 * time.Second
	}
	due := time.Now().Add(every)
	for {
		select {
		case <-ctx.Done():
			return
		case <-disk.C:
		}
		r.watchDisk()
		if r.n.opt.Housekeep != nil && time.Now().After(due) {
			r.n.opt.Housekeep(ctx, r.n, r.id)
			due = time.Now().Add(every)
		}
	}
}

// watchDisk refuses writes before the disk is full, and takes them again when
// there is room: a disk that is really full may not even let a store close.
func (r *runner) watchDisk() {
	rep := r.on.Load()
	if r.n.opt.MinFree == 0 || rep.disk.Free == nil || rep.Err() != nil {
		return
	}
	free, err := rep.disk.Free()
	if err != nil {
		return
	}
	r.freeBytes.Store(free)
	if free >= r.n.opt.MinFree {
		rep.SetReadOnly(nil)
		return
	}
	rep.SetReadOnly(atoll.Errorf(atoll.ResourceExhausted, "the disk has %d MiB left; writes are refused below %d MiB. Reads go on; writes do as soon as there is room", free>>20, r.n.opt.MinFree>>20))
}

// scrubStep is how many keys the scrub reads at once.
const scrubStep = 2_000

// scrub reads the whole state over and over, slowly, and stops the replica if
// it is not what was written.
func (r *runner) scrub(ctx context.Context) {
	if r.n.opt.ScrubBytes <= 0 {
		return
	}
	pause := r.n.opt.ScrubPause
	if pause <= 0 {
		pause = time.Minute
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		rep := r.replica()
		if err := r.scrubOnce(ctx, rep); err != nil && ctx.Err() == nil {
			r.n.opt.Log.Error("the scrub found damage; the subnet stops", "subnet", r.id, "error", err)
			rep.Fail(err)
			r.nudge()
		}
	}
}

func (r *runner) scrubOnce(ctx context.Context, rep *Replica) error {
	s, err := rep.Acquire()
	if err != nil {
		return nil
	}
	defer s.Release()
	a, err := subnet.NewAudit(s)
	if err != nil {
		return err
	}
	start := time.Now()
	for {
		done, err := a.Step(scrubStep)
		if err != nil {
			return err
		}
		if done {
			r.scrubs.Add(1)
			r.scrubbed.Store(time.Now().Unix())
			return nil
		}
		ahead := time.Duration(a.Bytes)*time.Second/time.Duration(r.n.opt.ScrubBytes) - time.Since(start)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(ahead, 0)):
		}
		if rep.Err() != nil {
			return nil
		}
	}
}
