package node_test

import (
	"testing"

	"atoll/node"
)

// What was answered once can be read again, though the clock has stepped back
// behind it meanwhile.
func TestReadBehindAClockThatSteppedBack(t *testing.T) {
	b := newBench(t, 0)
	b.send("x")
	b.step()
	s, err := b.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	at := s.Head.Time
	s.Release()
	b.clock -= 2_000_000
	if s, err = b.CloseAt(at); s == nil || err != nil {
		t.Fatalf("the state at %s is durable, and was refused: %v", at, err)
	}
	s.Release()
}

// Two processes agree on the end of a lease though their clocks differ by half
// a second.
func TestTakeOverAllowsForClocksThatDiffer(t *testing.T) {
	b := newBench(t, 0)
	b.cfg.Exclusive = false
	b.Close()
	first, err := node.OpenReplica(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Replica = first
	b.step()
	last, err := b.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer last.Release()
	second, err := node.OpenReplica(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.clock = second.TakeOverAt() - 500_000 // the clock of the first, when the second takes over
	if s, err := b.Acquire(); err == nil {
		s.Release()
		t.Error("the first process answers strong reads when the second may append")
	}
}

// A process that takes over closes no time before it has appended: the one
// before it may still commit below that.
func TestNoTimeIsClosedWhileTakingOver(t *testing.T) {
	b := newBench(t, 0)
	b.cfg.Exclusive = false
	second, err := node.OpenReplica(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := b.clock + 100_000
	if s, _ := second.CloseAt(at); s != nil {
		t.Errorf("the second process closed %s up to %s", at, s.Head.Time)
		s.Release()
	}
	if s, err := b.CloseAt(at); s == nil {
		t.Errorf("the first process did not close %s: %v", at, err)
	} else {
		s.Release()
	}
}
