package backup

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"atoll"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/subnet"
)

// Source is a running installation.
type Source interface {
	// Subnets returns how many there are, numbered from 0.
	Subnets() int
	// Checkpoint writes a durable copy of a subnet's store into a new directory.
	Checkpoint(s atoll.SubnetID, dir string) error
	// State returns a durable state that has everything acknowledged before the
	// call. No block comes at or below at after it; 0 closes nothing.
	State(ctx context.Context, s atoll.SubnetID, at atoll.Time) (State, error)
	// Staging is a directory that need not be there, on the disk of the
	// stores, whose files a checkpoint there shares. One backup uses it at a
	// time, and removes what another has left.
	Staging() string
}

// State is one durable state of a subnet.
type State struct {
	atoll.Reader
	Release func()
}

// Progress says how far a backup or a restore has come. Zero fields say nothing.
type Progress struct {
	Step   string       `json:"step"`
	Subnet int          `json:"subnet"`
	Bytes  int64        `json:"bytes,omitempty"`
	Height atoll.Height `json:"height,omitempty"`
	// Documents is how many have been counted.
	Documents int64 `json:"documents,omitempty"`
}

const (
	// cutTries and cutPause bound the search for a moment in which no letter
	// is on its way between subnets.
	cutTries = 200
	cutPause = 20 * time.Millisecond
)

// Create adds a backup to those at a location, a folder, which is made if it is
// not there, or a bucket (see IsBucket): a full one if asked for or if it is the
// first, otherwise what came since the last. What a backup that failed has stored
// already is not stored again.
func Create(ctx context.Context, src Source, location string, full bool, tell func(Progress)) (Manifest, error) {
	v, err := openVault(location)
	if err != nil {
		return Manifest{}, err
	}
	before, err := list(ctx, v)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: manifestFormat, Number: len(before) + 1, Kind: Full, Subnets: make([]Part, src.Subnets())}
	var floor atoll.Time
	if len(before) > 0 {
		floor = before[len(before)-1].Time
	}
	if len(before) > 0 && !full {
		prev := &before[len(before)-1]
		if len(prev.Subnets) != len(m.Subnets) {
			return m, atoll.Errorf(atoll.FailedPrecondition, "the backup before has %d subnets, the node %d. Make a full backup", len(prev.Subnets), len(m.Subnets))
		}
		m.Kind, m.Base = Incremental, prev.Sum
		for s := range m.Subnets {
			m.Subnets[s].Start = prev.Subnets[s].End
		}
	} else {
		floor = 0
		if err := m.checkpoints(ctx, src, v, tell); err != nil {
			return m, err
		}
	}
	if err := m.logs(ctx, src, v, floor, tell); err != nil {
		return m, err
	}
	return m, m.write(ctx, v)
}

// checkpoints stores a checkpoint of each subnet.
func (m *Manifest) checkpoints(ctx context.Context, src Source, v vault, tell func(Progress)) error {
	stage, err := v.staging(src.Staging())
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for s := range m.Subnets {
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		tell(Progress{Step: "checkpoint", Subnet: s})
		at := filepath.Join(stage, strconv.Itoa(s))
		if err := src.Checkpoint(atoll.SubnetID(s), at); err != nil {
			return err
		}
		if err := m.Subnets[s].store(ctx, v, at, func(n int64) { tell(Progress{Step: "copy", Subnet: s, Bytes: n}) }); err != nil {
			return err
		}
		head, err := headOf(at)
		if err != nil {
			return err
		}
		m.Subnets[s].Start = pointOf(head)
		os.RemoveAll(at)
	}
	return nil
}

func interrupted(ctx context.Context) error {
	return atoll.Errorf(atoll.Canceled, "the backup was interrupted: %v", context.Cause(ctx))
}

// store copies the files of a checkpoint.
func (p *Part) store(ctx context.Context, v vault, from string, tell func(int64)) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot read the checkpoint: %v", err)
	}
	var total int64
	for _, f := range files {
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if !f.Type().IsRegular() {
			return atoll.Errorf(atoll.Internal, "the checkpoint has %s, which is no file", f.Name())
		}
		o, err := storeFile(ctx, v, filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		o.Name = f.Name()
		p.Checkpoint = append(p.Checkpoint, o)
		total += o.Size
		tell(total)
	}
	return nil
}

// headOf opens a checkpoint, whose files are stored already, for its head.
func headOf(dir string) (subnet.Head, error) {
	st, err := pebble.Open(pebble.Options{Dir: dir, Split: keys.Split})
	if err != nil {
		return subnet.Head{}, err
	}
	defer st.Close()
	h, _, err := subnet.ReadHead(st)
	return h, err
}

// logs stores the log of each subnet up to a cut at or above floor.
func (m *Manifest) logs(ctx context.Context, src Source, v vault, floor atoll.Time, tell func(Progress)) error {
	states, at, err := m.cut(ctx, src, floor)
	if err != nil {
		return err
	}
	defer release(states)
	m.Time, m.UTC = at, at.String()
	for s := range m.Subnets {
		p := &m.Subnets[s]
		if p.Logs, p.End, err = writeSegments(ctx, v, states[s], p.Start, at); err != nil {
			return err
		}
		// An acknowledged block that the log does not have was replaced by
		// another history.
		if err := p.present(states[s]); err != nil {
			return err
		}
		tell(Progress{Step: "log", Subnet: s, Height: p.End.Height})
		documents, err := documentsAt(ctx, states[s], at, func(n int64) { tell(Progress{Step: "count", Subnet: s, Documents: n}) })
		if err != nil {
			return err
		}
		p.Documents = &documents
	}
	return nil
}

// present makes sure that a state's own history goes through the part's end.
func (p *Part) present(r atoll.Reader) error {
	e, err := entry(r, p.End.Position)
	if err != nil {
		return tooOld(err)
	}
	if hash := sumOf(e); hash != p.End.Record {
		return anotherHistory()
	}
	return nil
}

func anotherHistory() error {
	return atoll.Errorf(atoll.FailedPrecondition, "the node has another history than the backup before: it was restored, or is another one. Make a full backup")
}

func release(states []State) {
	for _, s := range states {
		if s.Release != nil {
			s.Release()
		}
	}
}

// cut finds a time at which no letter was between two subnets in a way that the
// backup could not hold, and returns a state of each subnet behind it.
func (m *Manifest) cut(ctx context.Context, src Source, floor atoll.Time) ([]State, atoll.Time, error) {
	for range cutTries {
		states, at, ok, err := m.tryCut(ctx, src, floor)
		if err != nil || ok {
			return states, at, err
		}
		select {
		case <-ctx.Done():
			return nil, 0, interrupted(ctx)
		case <-time.After(cutPause):
		}
	}
	return nil, 0, atoll.Errorf(atoll.Unavailable, "subnets sent each other letters all the time, for %s; try again", cutTries*cutPause)
}

func (m *Manifest) tryCut(ctx context.Context, src Source, at atoll.Time) (states []State, cut atoll.Time, ok bool, err error) {
	n := len(m.Subnets)
	early, late := make([]ends, n), make([]ends, n)
	for s := range n {
		st, err := src.State(ctx, atoll.SubnetID(s), 0)
		if err != nil {
			return nil, 0, false, err
		}
		head, _, err := subnet.ReadHead(st)
		if err == nil {
			early[s], err = endsOf(st)
		}
		st.Release()
		if err != nil {
			return nil, 0, false, err
		}
		switch {
		case head.Height >= m.Subnets[s].Start.Height:
		case m.Kind == Incremental: // which begins with blocks that were visible
			return nil, 0, false, anotherHistory()
		default:
			return nil, 0, false, nil // the checkpoint has blocks that are not visible yet
		}
		at = max(at, head.Time)
	}
	states = make([]State, n)
	defer func() {
		if !ok {
			release(states)
			states = nil
		}
	}()
	for s := range n {
		if states[s], err = src.State(ctx, atoll.SubnetID(s), at); err != nil {
			return states, 0, false, err
		}
		if late[s], err = endsOf(states[s]); err != nil {
			return states, 0, false, err
		}
	}
	return states, at, consistent(early, late), nil
}

// ends are the streams of a subnet, by the subnet at their other end.
type ends map[atoll.SubnetID]subnet.Stream

func endsOf(r atoll.Reader) (ends, error) {
	streams, err := subnet.Streams(r)
	out := ends{}
	for s, st := range streams { // order does not matter
		out[s] = *st
	}
	return out, err
}

// consistent reports whether every cut between two states of each subnet has
// acked <= in <= out for every stream.
func consistent(early, late []ends) bool {
	for a := range early {
		for b := range early {
			from, to := atoll.SubnetID(a), atoll.SubnetID(b)
			if a != b && (late[a][to].Acked > early[b][from].In || late[b][from].In > early[a][to].Out) {
				return false
			}
		}
	}
	return true
}
