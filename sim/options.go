package sim

import (
	"fmt"
	"io"
	"reflect"

	"atoll"
	"atoll/planted"
)

// DefaultSteps is how many steps a run has before it is healed and checked.
const DefaultSteps = 1500

// MaxSubnets is the most subnets of a world.
const MaxSubnets = 3

// Options size a run. What is zero is drawn from the seed, or a default.
type Options struct {
	Steps   int // of the scheduler, before everything is healed; DefaultSteps
	Subnets int // 1 to MaxSubnets; drawn
	Clients int // that write and read documents; drawn
	// Planted are the defects to plant, for tests of the simulator.
	Planted planted.Set
	// Trace gets every event as a line of text; may be nil.
	Trace io.Writer
}

// Counts tell what happened in a run, so that a test can make sure that it did.
type Counts struct {
	Steps      int // of the scheduler, those after the healing included
	PowerCuts  int // crashes of a disk
	TornBlocks int // of those, blocks lost or torn
	Kills      int // ends of a process whose disk went on
	FailedSync int // syncs that were made to fail
	FullDisks  int // times at which a disk took no writes
	ReadOnly   int // times at which writes were refused for want of room
	Pauses     int // of processes
	TakeOvers  int // processes that were started beside another
	Fenced     int // processes that found that another one had taken over
	Opened     int // replicas opened
	ClockSteps int // clocks set while their process ran
	BackSteps  int // of those, and of starts, back behind what was shown before
	Blocks     int // settled
	Acked      int // commits acknowledged
	Refused    int // commits that were told that nothing was done
	Failed     int // commits that failed by a rule
	Open       int // commits whose outcome their client never learned
	Resent     int // commits sent again under their id
	LostAcks   int // answers lost on the way to the client
	Reads      int // documents read now
	PastReads  int // documents read at a time
	Lists      int
	Queries    int // answered
	Aggregates int
	Kept       int // transactions whose reads still held
	Conflicts  int // transactions whose reads did not hold any more
	Changes    int // read from feeds
	Resyncs    int // readers of a feed that had fallen behind
	Collected  int // collections of old versions, executed
	Switches   int // changes of the semantics version
	Parcels    int // slices of letters delivered
	LostSlices int // slices that never arrived
	Repeated   int // slices delivered again
	Letters    int // executed by the couriers
	Joint      int // messages that two couriers executed as one
	Audits     int // of whole states, along the way
	BitFlips   int // bits turned over, and noticed
}

// Report tells what a run did.
type Report struct {
	Seed  uint64
	Trace atoll.Hash // of all events: equal for equal runs
	Tips  []Tip      // of each subnet, at the end
	Counts
}

// Tip is where a subnet stands.
type Tip struct {
	Height atoll.Height
	Digest atoll.Hash
}

// Finding is a broken promise: the error of a run.
type Finding struct {
	Seed uint64
	Step int
	What string
}

// Error returns the promise, and how to see it broken again.
func (f *Finding) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s", f.Seed, f.Step, f.What)
}

// Add adds another run's counts.
func (c *Counts) Add(o Counts) {
	sum, other := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + other.Field(i).Int())
	}
}
