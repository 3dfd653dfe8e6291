package node

import (
	"atoll"
)

// Limits of a mailbox.
const (
	MaxMailMessages = 20_000
	MaxMailBytes    = 128 << 20
	// A caller alone may fill this part of a mailbox, so that there is
	// always room for another.
	callerShareNum, callerShareDen = 3, 4
	// A block takes at most this much.
	MaxBlockMessages = 2_048
	MaxBlockBytes    = 8 << 20
)

// mailbox holds messages that wait for a block, in turns per caller. It is
// guarded by its replica's lock.
type mailbox struct {
	callers map[atoll.Principal]*caller
	ring    []*caller // those with messages, in the order of their turns
	count   int
	bytes   int
}

type caller struct {
	who   atoll.Principal
	mail  []*mail
	bytes int
}

// mail is a message with those who wait for its outcome.
type mail struct {
	m       atoll.Message
	size    int
	waiters []*waiter
	taken   bool // in a block
	dropped bool // nobody waits any more
}

// waiter is told one outcome, or the error with which the message was lost.
type waiter struct {
	tell func(atoll.Outcome, error)
	mail *mail
	gone bool
}

func newMailbox() mailbox { return mailbox{callers: map[atoll.Principal]*caller{}} }

// put adds a message. It fails with ResourceExhausted.
func (b *mailbox) put(m *mail) error {
	c := b.callers[m.m.From]
	if c == nil {
		c = &caller{who: m.m.From}
	}
	switch {
	case b.count >= MaxMailMessages || b.bytes+m.size > MaxMailBytes:
		return atoll.Errorf(atoll.ResourceExhausted, "the subnet's queue is full: %d messages of %d bytes wait; try again", b.count, b.bytes)
	case len(c.mail) >= MaxMailMessages*callerShareNum/callerShareDen || c.bytes+m.size > MaxMailBytes*callerShareNum/callerShareDen:
		return atoll.Errorf(atoll.ResourceExhausted, "you have %d messages of %d bytes waiting, which is your share of the subnet's queue; try again", len(c.mail), c.bytes)
	}
	if len(c.mail) == 0 {
		b.callers[m.m.From] = c
		b.ring = append(b.ring, c)
	}
	c.mail = append(c.mail, m)
	c.bytes += m.size
	b.count++
	b.bytes += m.size
	return nil
}

// take returns messages for a block: one of each caller in turn, until the
// block or the mailbox has no more.
func (b *mailbox) take() []*mail {
	var out []*mail
	bytes := 0
	for len(b.ring) > 0 && len(out) < MaxBlockMessages && bytes < MaxBlockBytes {
		c := b.ring[0]
		m := c.mail[0]
		if len(out) > 0 && bytes+m.size > MaxBlockBytes {
			break
		}
		b.ring, c.mail = b.ring[1:], c.mail[1:]
		c.bytes -= m.size
		b.count--
		b.bytes -= m.size
		if len(c.mail) > 0 {
			b.ring = append(b.ring, c)
		} else {
			delete(b.callers, c.who)
		}
		if m.dropped {
			continue
		}
		m.taken = true
		bytes += m.size
		out = append(out, m)
	}
	return out
}
