package mem_test

import (
	"math/rand/v2"
	"testing"

	"atoll"
	"atoll/kv/kvtest"
	"atoll/kv/mem"
)

// crashMachine is a simulated disk whose power fails between two calls: a Disk
// does everything at once, so that there is no middle.
type crashMachine struct {
	machine
	during *hook
}

type hook struct {
	left int // calls until f; below 0 there is none
	f    func()
}

func (h *hook) step() {
	if h.left--; h.left == -1 {
		h.f()
	}
}

func newCrashMachine(d *mem.Disk) crashMachine { return crashMachine{machine{d}, &hook{left: -1}} }

func (m crashMachine) Open() (atoll.Store, error) {
	m.during.step()
	s, err := mem.Open(m.Disk, split)
	return hooked{s, m.during}, err
}

func (m crashMachine) Crash(rng *rand.Rand) kvtest.CrashMachine {
	d := m.Disk.Clone()
	d.Crash(rng.IntN)
	return newCrashMachine(d)
}

func (m crashMachine) During(k int, f func()) { m.during.left, m.during.f = k, f }

// hooked is a store that announces what it does to its disk.
type hooked struct {
	*mem.Store
	during *hook
}

func (s hooked) Apply(b *atoll.Batch) (atoll.Commit, error) {
	s.during.step()
	c, err := s.Store.Apply(b)
	return hookedCommit{c, s.during}, err
}

func (s hooked) Close() error {
	s.during.step()
	return s.Store.Close()
}

type hookedCommit struct {
	atoll.Commit
	during *hook
}

func (c hookedCommit) Wait() error {
	c.during.step()
	return c.Commit.Wait()
}

func TestCrash(t *testing.T) {
	kvtest.RunCrash(t, func(*testing.T) kvtest.CrashMachine { return newCrashMachine(mem.NewDisk()) })
}
