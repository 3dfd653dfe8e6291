// Package node runs replicas of subnets: it takes messages in, cuts blocks,
// has them executed and made durable, and lets nothing out before. It owns the
// goroutines, the clock and the retries that the machines below must not have.
//
// A Replica is the part without goroutines: whoever drives it calls Propose,
// waits for the sync, and calls Settle. Node drives replicas with two
// goroutines each, so that a block executes while the one before syncs; the
// simulator drives them one step at a time.
package node
