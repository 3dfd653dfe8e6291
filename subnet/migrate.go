package subnet

import (
	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// Migrator is a Program that kept the keys of its canisters in another way in
// an earlier format of the state.
type Migrator interface {
	// Migrate brings a part of a canister's keys from a format to the one
	// after it: what lies behind a cursor, nil at first, and weighs about limit
	// bytes, read and written. It returns where to go on, nil at the end, and
	// how many documents are done. It fails with Unimplemented on a format that
	// it does not know, and with DataLoss on keys that are none of its own.
	Migrate(state atoll.Reader, ranges atoll.State, from int, cursor []byte, limit int) (next []byte, documents int, err error)
}

// migrationKey holds the migrated of a state that is on its way.
var migrationKey = append([]byte{keys.SpaceMeta}, "migration"...)

// migrated is how far a migration has come. It is in the same batch as what was
// done so far.
type migrated struct {
	Canister  atoll.CanisterID `cbor:"1,keyasint"` // at hand; those before are done
	Cursor    []byte           `cbor:"2,keyasint,omitempty"`
	Documents int64            `cbor:"3,keyasint"`
}

// Migration brings a state from an earlier format to the one after it, in
// steps. A step is like a block without a record: its changes, the head that
// accounts for them (hashes of slices; and in the canisters' records, bytes)
// and how far the migration has come are one batch. So each batch leaves a
// state that an Audit agrees with, and a migration that was interrupted goes on
// behind the last batch that survived. Height, time and digest stay: nothing
// was executed.
type Migration struct {
	cfg   Config
	store atoll.Reader
	head  Head
	at    migrated
}

// OpenMigration returns the migration that a state needs before Open; nil if it
// needs none. A state that is several formats behind needs one after the other.
// It fails with FailedPrecondition on a state of a later format, or of another
// subnet, and with DataLoss.
func OpenMigration(cfg Config, store atoll.Reader) (*Migration, error) {
	m := &Migration{cfg: cfg, store: store}
	head, ok, err := readAnyHead(store)
	if err != nil || !ok || head.Format == HeadFormat && head.From == 0 {
		return nil, err
	}
	m.head = head
	switch {
	case head.Format > HeadFormat:
		return nil, laterFormat(head.Format)
	case head.Format < 1:
		return nil, atoll.Errorf(atoll.DataLoss, "the state has format %d, which there never was", head.Format)
	case head.Subnet != cfg.Subnet:
		return nil, atoll.Errorf(atoll.FailedPrecondition, "the state belongs to subnet %d, not to subnet %d", head.Subnet, cfg.Subnet)
	case head.From == 0:
		m.head.From, m.head.Format = head.Format, head.Format+1
		return m, nil
	}
	raw, ok, err := store.Get(migrationKey)
	if err != nil {
		return nil, err
	}
	if !ok || wire.Unmarshal(raw, &m.at) != nil {
		return nil, atoll.Errorf(atoll.DataLoss, "the state is on its way from format %d to %d, and how far it came cannot be read", head.From, head.Format)
	}
	return m, nil
}

// Head returns the head as the next batch has it. Format is where the migration
// leads, and From where it began.
func (m *Migration) Head() Head { return m.head }

// Documents returns how many are done, those of earlier processes included.
func (m *Migration) Documents() int64 { return m.at.Documents }

// Step returns the next batch, of about limit bytes read and written. The store
// must show it when Step is called again. The batch with done is the last one:
// with it the state has its new format, and the migration is over.
func (m *Migration) Step(limit int) (b *atoll.Batch, done bool, err error) {
	id, p, err := m.find()
	if err != nil {
		return nil, false, err
	}
	b = new(atoll.Batch)
	if p == nil {
		m.head.From = 0
		b.Delete(migrationKey)
		b.Set(headKey, wire.Marshal(m.head))
		return b, true, nil
	}
	if id != m.at.Canister {
		m.at.Canister, m.at.Cursor = id, nil
	}
	if err := m.migrate(b, p, limit); err != nil {
		return nil, false, err
	}
	b.Set(migrationKey, wire.Marshal(&m.at))
	b.Set(headKey, wire.Marshal(m.head))
	return b, false, nil
}

// find returns the canister that the next step is about: the one at hand, or
// the first behind it that runs a Migrator; p is nil if there is none.
func (m *Migration) find() (id atoll.CanisterID, p Migrator, err error) {
	lo := canisterKey(m.at.Canister)
	if m.at.Canister != "" && len(m.at.Cursor) == 0 {
		lo = append(lo, 0) // it is done
	}
	it := m.store.Iter(lo, prefixEnd(canisterKey("")[:2]))
	for ok := it.SeekGE(lo); ok && p == nil && err == nil; ok = it.Next() {
		id = atoll.CanisterID(it.Key()[3:])
		var e Entry
		if e, _, err = programOf(m.store, m.cfg.Programs, id); err == nil {
			p, _ = e.Program.(Migrator)
		}
	}
	if e := it.Close(); err == nil {
		err = e
	}
	return id, p, err
}

// migrate adds to a batch the next part of the canister at hand.
func (m *Migration) migrate(b *atoll.Batch, p Migrator, limit int) error {
	c, err := readCanister(m.store, m.cfg.Programs, m.at.Canister)
	if err != nil {
		return err
	}
	o, kernel := newOverlay(m.store, 1024), newOverlay(m.store, 1)
	state, ranges := window{r: o, prefix: ownPrefix(c.id)}, window{r: o, space: keys.SpaceRanges}
	next, documents, err := p.Migrate(state, ranges, m.head.From, m.at.Cursor, limit)
	if o.err != nil {
		return o.err
	}
	if err != nil {
		return err
	}
	m.at.Cursor = next
	m.at.Documents += int64(documents)
	for _, s := range o.all {
		// Versions of Atoll between two releases may have written some of the
		// keys: unlike in a block, what is there is looked at.
		if s.now != nil {
			s.now.again = true
		}
	}
	h := newHasher()
	var done, record changes
	if done.collect(o, h); done.err != nil {
		return done.err
	}
	c.Bytes += done.bytes
	kernel.Set(canisterKey(c.id), wire.Marshal(c))
	if record.collect(kernel, h); record.err != nil {
		return record.err
	}
	for _, all := range []*changes{&done, &record} {
		m.head.Slices.merge(&all.slices)
		for _, op := range all.ops {
			b.Ops = append(b.Ops, op)
			b.Bytes += len(op.Key) + len(op.Value)
		}
	}
	return nil
}
