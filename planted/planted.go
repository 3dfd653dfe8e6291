// Package planted names the defects that the simulator plants in the
// production code to prove that it would find them. They are off unless a
// configuration turns one on, and nothing but the simulator's own tests does.
package planted

// Set is a set of planted defects.
type Set uint32

// The defects. Each breaks one promise; the simulator must find each within
// 1,000 seeds.
const (
	AckBeforeSync        Set = 1 << iota // a reply leaves before its block is durable
	VisibleBeforeDurable                 // a query sees a block that is not durable
	SkipFeedEntry                        // a change is left out of the change feed
	LetterTwice                          // a letter from another subnet is executed twice
	ReplyLost                            // the reply to a call between canisters is dropped
	ReadWrongTime                        // a read in the past sees a later version
	LeaseIgnored                         // a node answers strong reads after its lease ran out
	TornAccepted                         // a block torn by a crash is taken as whole
	CommitBelowRead                      // a commit gets a time at or below a served read
	RequestForgotten                     // a repeated request is executed again
	ClockTrusted                         // after a restart the clock is believed, though it stepped back
	StaleAppender                        // a record of an older epoch is accepted
	PartialRollback                      // a failed message leaves some of its writes
	RefundTwice                          // cycles of a failed call are given back twice
	LettersReordered                     // letters of one pair overtake each other
	HistoryTooShort                      // collection removes versions that reads may still need
	EntryNotEnded                        // an index entry stays when its value is replaced
	QueryWrongTime                       // a query in the past reads past its time
	QueryCheckSkipped                    // a commit does not repeat the queries of its transaction
	AggregateCutShort                    // an aggregation of several pages ends with the first
)

// All lists every defect with its name.
var All = []struct {
	Name string
	Set  Set
}{
	{"ack-before-sync", AckBeforeSync},
	{"visible-before-durable", VisibleBeforeDurable},
	{"skip-feed-entry", SkipFeedEntry},
	{"letter-twice", LetterTwice},
	{"reply-lost", ReplyLost},
	{"read-wrong-time", ReadWrongTime},
	{"lease-ignored", LeaseIgnored},
	{"torn-accepted", TornAccepted},
	{"commit-below-read", CommitBelowRead},
	{"request-forgotten", RequestForgotten},
	{"clock-trusted", ClockTrusted},
	{"stale-appender", StaleAppender},
	{"partial-rollback", PartialRollback},
	{"refund-twice", RefundTwice},
	{"letters-reordered", LettersReordered},
	{"history-too-short", HistoryTooShort},
	{"entry-not-ended", EntryNotEnded},
	{"query-wrong-time", QueryWrongTime},
	{"query-check-skipped", QueryCheckSkipped},
	{"aggregate-cut-short", AggregateCutShort},
}

// Has reports whether the defect is planted.
func (s Set) Has(d Set) bool { return s&d != 0 }
