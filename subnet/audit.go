package subnet

import (
	"bytes"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// Audit recomputes, from all keys of one state, what its head says about them:
// the multiset hash of every slice, and the account of cycles. It is done in
// steps so that a scrub can take its time.
type Audit struct {
	r      atoll.Reader
	head   Head
	next   []byte
	slices Slices
	held   uint64
	queued uint64
	hasher *hasher
	// Keys and Bytes are what was read so far.
	Keys, Bytes int64
}

// NewAudit begins an audit of one state. r must stay at that state until the
// audit is done.
func NewAudit(r atoll.Reader) (*Audit, error) {
	head, _, err := ReadHead(r)
	return &Audit{r: r, head: head, next: []byte{keys.SpaceMeta}, hasher: newHasher()}, err
}

// Step reads up to n more keys. Done is true when all are read; then err tells,
// as DataLoss, what does not agree.
func (a *Audit) Step(n int) (done bool, err error) {
	it := a.r.Iter(a.next, nil)
	ok := it.SeekGE(a.next)
	for ; ok && n > 0; n-- {
		k, v := it.Key(), it.Value()
		a.Keys++
		a.Bytes += int64(len(k) + len(v))
		if hashed(k) {
			a.slices[sliceOf(k)].add(a.hasher.entry(atoll.OpSet, k, v))
			if err := a.count(k, v); err != nil {
				it.Close()
				return true, err
			}
		}
		if n == 1 {
			a.next = append(bytes.Clone(k), 0)
		}
		ok = it.Next()
	}
	if err := it.Close(); err != nil || ok {
		return err != nil, err
	}
	return true, a.verdict()
}

// count adds the cycles that an entry holds.
func (a *Audit) count(k, v []byte) error {
	switch {
	case k[0] == keys.SpaceCanisters && k[1] == 0:
		var c canister
		if err := wire.Unmarshal(v, &c); err != nil {
			return atoll.Errorf(atoll.DataLoss, "the canister record %x is damaged: %v", k, err)
		}
		a.held += c.Cycles
	case k[0] == keys.SpaceQueues:
		var l atoll.Letter
		if err := wire.Unmarshal(v, &l); err != nil {
			return atoll.Errorf(atoll.DataLoss, "the queued letter %x is damaged: %v", k, err)
		}
		a.queued += l.Cycles
	}
	return nil
}

func (a *Audit) verdict() error {
	for i := range a.slices {
		if a.slices[i] != a.head.Slices[i] {
			return atoll.Errorf(atoll.DataLoss, "the state at height %d is not what was written: slice %d holds %d entries with hash %x, and should hold %d with %x",
				a.head.Height, i, a.slices[i].Count, a.slices[i].Sum, a.head.Slices[i].Count, a.head.Slices[i].Sum)
		}
	}
	h := a.head
	if h.Minted+h.Received != a.held+a.queued+h.Burned+h.Sent {
		return atoll.Errorf(atoll.DataLoss, "cycles do not add up at height %d: minted %d + received %d, but held %d + queued %d + burned %d + sent %d",
			h.Height, h.Minted, h.Received, a.held, a.queued, h.Burned, h.Sent)
	}
	return nil
}
