package atoll

import "time"

// Time is a point in hybrid logical time: microseconds since the Unix epoch,
// never equal for two messages of one subnet (Kulkarni et al., "Logical
// Physical Clocks", 2014). It is also Firestore's timestamp, which has the
// same resolution.
type Time int64

const (
	// MinTime and MaxTime bound the timestamps that Firestore accepts:
	// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
	MinTime Time = -62135596800 * 1000000
	MaxTime Time = 253402300799999999
	// MaxAhead is how far a timestamp from outside may lie ahead of a node's
	// clock, in microseconds, before it is refused.
	MaxAhead Time = 500_000
)

// TimeOf cuts t to microseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// Std returns t as a standard time in UTC.
func (t Time) Std() time.Time { return time.UnixMicro(int64(t)).UTC() }

// String returns t in RFC 3339 with microseconds.
func (t Time) String() string { return t.Std().Format("2006-01-02T15:04:05.000000Z") }

// Height counts the blocks of a subnet; the first block has height 1.
type Height uint64

// Position is a place in a log; the first record has position 1. A record that
// the chain ignores takes a position and no height.
type Position uint64

// Epoch counts the terms of office of those who append to a log. It grows each
// time that a node opens the log to append.
type Epoch uint64

// Semantics is the version of the rules under which a block is executed.
type Semantics uint32
