package host

import (
	"fmt"
	"time"

	"atoll"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/subnet"
)

// Migrating is how far a subnet's state has come on its way from an earlier
// format.
type Migrating struct {
	Subnet    atoll.SubnetID
	From, To  int   // formats; see subnet.HeadFormat
	Documents int64 // done so far
	Done      bool  // the state has today's format
}

// Migration brings a subnet's state to today's format. Zero fields but Subnet are
// defaults.
type Migration struct {
	Subnet atoll.SubnetID
	// Step is how many bytes, about, a batch reads and writes; 8 MiB. A single
	// version of a document may have more.
	Step int
	Room func() error          // asked before each batch whether the disk has room for it
	Tell func(Migrating) error // told after each batch
}

// Run migrates the state that a store holds; one that has today's format, or
// none, is left alone, and then the result is zero. Nothing may be served from
// the store meanwhile. It ends with the first error of the store, of Room or of
// Tell, and may as well be killed: what is on disk then is taken up where it was.
// It fails with FailedPrecondition on a state of a later format, and with
// DataLoss on one that is damaged, which then is left as it is.
//
// The log behind the state is forgotten but for its last record, which leads to
// the state and which the next one follows: executed again, today, it would make
// other changes than those that its digests stand for.
func (g Migration) Run(st atoll.Store) (done Migrating, err error) {
	cfg := subnet.Config{Subnet: g.Subnet, Programs: Programs()}
	if g.Step == 0 {
		g.Step = 8 << 20
	}
	for {
		m, err := subnet.OpenMigration(cfg, st)
		if err != nil || m == nil {
			return done, err
		}
		head := m.Head()
		if err := local.Check(st, head); err != nil {
			return done, err
		}
		if done.From == 0 {
			done = Migrating{Subnet: g.Subnet, From: head.From}
		}
		done.To = head.Format
		for through := false; !through; {
			if g.Room != nil {
				if err := g.Room(); err != nil {
					return done, err
				}
			}
			if through, err = g.step(st, m); err != nil {
				return done, err
			}
			done.Documents, done.Done = m.Documents(), through && done.To == subnet.HeadFormat
			if g.Tell != nil {
				if err := g.Tell(done); err != nil {
					return done, err
				}
			}
		}
	}
}

// step makes the next batch durable. No two are under way at once, so that a
// crash costs one at most.
func (g Migration) step(st atoll.Store, m *subnet.Migration) (through bool, err error) {
	b, through, err := m.Step(g.Step)
	if err != nil {
		return false, err
	}
	if through {
		local.Truncate(b, m.Head().Chain.Position)
	}
	commit, err := st.Apply(b)
	if err != nil {
		return false, err
	}
	return through, commit.Wait()
}

// migrate is Migration.Run with what the options say. Its errors tell that
// nothing is lost.
func (o Options) migrate(st *pebble.Store, s atoll.SubnetID) error {
	begun := time.Now()
	room := func() error {
		if n, err := st.Free(); err == nil && n < o.MinFree {
			return atoll.Errorf(atoll.ResourceExhausted, "the disk has %d MiB left, and %d are to stay free: make room", n>>20, o.MinFree>>20)
		}
		return nil // a disk that cannot be asked is taken to have enough
	}
	done, err := Migration{Subnet: s, Room: room, Tell: o.Migrating}.Run(st)
	switch {
	case done.From == 0:
		return err
	case err != nil:
		e := *atoll.AsError(err)
		e.Msg += fmt.Sprintf(". Subnet %d is on its way from format %d to %d; nothing is lost, and the next start goes on with it", s, done.From, done.To)
		return &e
	}
	o.Log.Info("the state was brought to a new format", "subnet", s, "from", done.From, "to", done.To,
		"documents", done.Documents, "after", time.Since(begun).Round(time.Millisecond))
	return nil
}
