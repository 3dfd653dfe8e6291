package subnet

import "atoll"

// Cycles pay for execution and storage, as on the Internet Computer. The table
// is part of the semantics.
const (
	costMessage   = 1_000 // each message
	costByte      = 1     // each byte of its payload
	costRead      = 20    // each key read
	costWrite     = 100   // each key written
	costWriteByte = 2     // each byte written
	costCanister  = 100_000

	// minute is for how long, in microseconds, a cycle keeps a kibibyte.
	minute = 60_000_000
)

// messageCost is what a message costs before it is run.
func messageCost(payload int) uint64 { return costMessage + costByte*uint64(payload) }

// cost is what a message's work costs.
func (u usage) cost() uint64 {
	return costRead*uint64(u.reads) + costWrite*uint64(u.writes) + costWriteByte*uint64(u.bytes)
}

// pay takes cycles from a canister, at most what it has, and returns them.
func (c *canister) pay(cycles uint64) uint64 {
	cycles = min(cycles, c.Cycles)
	c.Cycles -= cycles
	return cycles
}

// payStorage bills what the canister stores up to now. Time that is not yet
// worth a cycle stays on the bill.
func (c *canister) payStorage(now atoll.Time) uint64 {
	elapsed := now - c.Billed
	if elapsed <= 0 || c.Bytes <= 0 {
		c.Billed = max(c.Billed, now)
		return 0
	}
	kib := uint64(c.Bytes) / 1024
	cycles := kib*(uint64(elapsed)/minute) + kib*(uint64(elapsed)%minute)/minute
	if cycles == 0 {
		return 0
	}
	c.Billed = now
	return c.pay(cycles)
}
