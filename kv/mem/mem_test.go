package mem_test

import (
	"testing"

	"atoll"
	"atoll/kv/kvtest"
	"atoll/kv/mem"
)

var split = mem.WithSplit(kvtest.Split)

// volatile is the machine of a store that is nowhere.
type volatile struct{}

func (volatile) Open() (atoll.Store, error) { return mem.New(split), nil }

func (volatile) Checkpoint(s atoll.Store, name string) (atoll.Store, error) {
	return checkpoint(s.(*mem.Store), name)
}

func checkpoint(s *mem.Store, name string) (atoll.Store, error) {
	if err := s.Checkpoint(name); err != nil {
		return nil, err
	}
	d, _ := s.Disk().Checkpoint(name)
	return mem.Open(d, split)
}

// machine is a simulated disk.
type machine struct{ *mem.Disk }

func (m machine) Open() (atoll.Store, error) { return mem.Open(m.Disk, split) }

func (m machine) Checkpoint(s atoll.Store, name string) (atoll.Store, error) {
	return checkpoint(s.(*mem.Store), name)
}

func newMachine(*testing.T) kvtest.Machine { return machine{mem.NewDisk()} }

func TestVolatile(t *testing.T) {
	start := func(*testing.T) kvtest.Machine { return volatile{} }
	kvtest.Run(t, start)
	kvtest.RunModel(t, start, false)
}

func TestDisk(t *testing.T) {
	kvtest.Run(t, newMachine)
	kvtest.RunDurable(t, newMachine)
	kvtest.RunModel(t, newMachine, true)
}
