package backup

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"atoll"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/subnet"
	"atoll/wire"
)

func entry(r atoll.Reader, p atoll.Position) (local.Entry, error) { return local.Get(r, p) }

func sumOf(e local.Entry) string { return wire.Sum(e.Record).String() }

// Choose returns the backups of which a restore of one is made: the last full
// one at or before it, and the incremental ones up to it. 0 is the last. It
// fails with NotFound.
func Choose(ctx context.Context, location string, number int) ([]Manifest, error) {
	v, err := openVault(location)
	if err != nil {
		return nil, err
	}
	return choose(ctx, v, number)
}

func choose(ctx context.Context, v vault, number int) ([]Manifest, error) {
	all, err := list(ctx, v)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = len(all)
	}
	if number < 1 || number > len(all) {
		return nil, atoll.Errorf(atoll.NotFound, "%s has %d backups, and no backup %d", v, len(all), number)
	}
	first := number - 1
	for all[first].Kind != Full { // List has seen that the first one is full
		first--
	}
	return all[first:number], nil
}

// Verify checks every file of all backups at a location: its hash, and that the
// records of each log follow each other from the checkpoint to the last cut.
func Verify(ctx context.Context, location string, tell func(Progress)) ([]Manifest, error) {
	v, err := openVault(location)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, v)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, atoll.Errorf(atoll.NotFound, "%s holds no backup", v)
	}
	var total int64
	for i := range all {
		for s := range all[i].Subnets {
			p := &all[i].Subnets[s]
			for _, o := range p.Checkpoint {
				if ctx.Err() != nil {
					return nil, interrupted(ctx)
				}
				if err := check(ctx, v, o); err != nil {
					return nil, err
				}
				total += o.Size
				tell(Progress{Step: "check", Subnet: s, Bytes: total})
			}
			if err := p.checkLog(ctx, v); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// checkLog makes sure that a part's log leads from its start to its end.
func (p *Part) checkLog(ctx context.Context, v vault) error {
	at := p.Start
	err := p.entries(ctx, v, func(e local.Entry) error {
		chain, err := at.chain()
		if err != nil {
			return err
		}
		_, next, chained, err := chain.Follow(e.Record)
		if err == nil && !chained {
			err = damaged("a log of the backup has a record that does not follow the one before, at position %d", next.Position)
		}
		at = Point{Epoch: next.Epoch, Position: next.Position, Record: next.Hash.String(), Height: e.Height, Digest: e.Digest.String()}
		return err
	})
	if err == nil && at != p.End {
		err = damaged("a log of the backup ends at height %d, and should at %d", at.Height, p.End.Height)
	}
	return err
}

// entries shows a part's log, each piece when its hash has been checked.
func (p *Part) entries(ctx context.Context, v vault, show func(local.Entry) error) error {
	pieces := p.Logs
	if p.Log != nil {
		pieces = append([]Object{*p.Log}, pieces...)
	}
	for _, o := range pieces {
		if err := readObject(ctx, v, o, func(r io.Reader) error { return readSegment(r, show) }); err != nil {
			return err
		}
	}
	return nil
}

// Target is what a restore makes.
type Target struct {
	Dir       string // a data directory that is not there, or is empty
	SubnetDir func(dir string, s atoll.SubnetID) string
	Programs  map[string]subnet.Entry
}

// Restore makes a data directory of a backup. It is there when all has been
// checked: every file's hash, the digest at every height, all keys against the
// hashes in the head, the documents against those of the source at the time of
// the backup, and the streams between subnets.
func Restore(ctx context.Context, location string, number int, to Target, tell func(Progress)) (Manifest, error) {
	v, err := openVault(location)
	if err != nil {
		return Manifest{}, err
	}
	list, err := choose(ctx, v, number)
	if err != nil {
		return Manifest{}, err
	}
	last := list[len(list)-1]
	if err := vacant(to.Dir); err != nil {
		return last, err
	}
	parent := filepath.Dir(filepath.Clean(to.Dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return last, unwritableData(err)
	}
	temp, err := os.MkdirTemp(parent, filepath.Base(to.Dir)+".restoring-*")
	if err != nil {
		return last, unwritableData(err)
	}
	defer os.RemoveAll(temp)
	streams := make([]ends, len(last.Subnets))
	for s := range last.Subnets {
		id := atoll.SubnetID(s)
		r := restoration{ctx: ctx, from: v, id: id, at: to.SubnetDir(temp, id), programs: to.Programs, tell: tell}
		if streams[s], err = r.run(list); err != nil {
			return last, err
		}
	}
	if !consistent(streams, streams) {
		return last, damaged("the streams of letters between the subnets of backup %d do not fit together", last.Number)
	}
	if err := syncDir(temp); err != nil {
		return last, err
	}
	if err := os.Remove(to.Dir); err != nil && !os.IsNotExist(err) {
		return last, unwritableData(err)
	}
	if err := os.Rename(temp, to.Dir); err != nil {
		return last, unwritableData(err)
	}
	return last, syncDir(parent)
}

func unwritableData(err error) error {
	return atoll.Errorf(atoll.Unavailable, "cannot write the data directory: %v", err)
}

// vacant refuses a directory in which there is anything.
func vacant(dir string) error {
	names, err := os.ReadDir(dir)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return unwritableData(err)
	case len(names) > 0:
		return atoll.Errorf(atoll.AlreadyExists, "%s is not empty; restore into another directory", dir)
	}
	return nil
}

// restoration restores one subnet.
type restoration struct {
	ctx      context.Context
	from     vault
	at       string
	id       atoll.SubnetID
	programs map[string]subnet.Entry
	tell     func(Progress)
}

func (r *restoration) run(list []Manifest) (streams ends, err error) {
	if err := r.files(list[0].Subnets[r.id].Checkpoint); err != nil {
		return nil, err
	}
	st, err := pebble.Open(pebble.Options{Dir: r.at, Split: keys.Split})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := st.Close(); err == nil {
			err = e
		}
	}()
	m, err := subnet.Open(subnet.Config{Subnet: r.id, Programs: r.programs}, st)
	if err != nil {
		return nil, err
	}
	if have := pointOf(m.Head()); have != list[0].Subnets[r.id].Start {
		return nil, damaged("the checkpoint of subnet %d is of height %d with digest %s, and should be of %d with %s",
			r.id, have.Height, have.Digest, list[0].Subnets[r.id].Start.Height, list[0].Subnets[r.id].Start.Digest)
	}
	p := replayer{machine: m, store: &lastCommit{Store: st}, position: m.Head().Chain.Position, chunk: new(atoll.Batch)}
	p.progress = func(h atoll.Height) { r.tell(Progress{Step: "execute", Subnet: int(r.id), Height: h}) }
	for i := range list {
		err := list[i].Subnets[r.id].entries(r.ctx, r.from, func(e local.Entry) error {
			if r.ctx.Err() != nil {
				return interrupted(r.ctx)
			}
			return p.add(e)
		})
		if err == nil {
			err = p.flush()
		}
		if err != nil {
			return nil, err
		}
		if have := pointOf(m.Head()); have != list[i].Subnets[r.id].End {
			return nil, damaged("backup %d leads subnet %d to height %d with digest %s, and should to %d with %s",
				list[i].Number, r.id, have.Height, have.Digest, list[i].Subnets[r.id].End.Height, list[i].Subnets[r.id].End.Digest)
		}
	}
	return r.finish(st, m.Head(), &list[len(list)-1])
}

// files copies a checkpoint.
func (r *restoration) files(list []Object) error {
	if err := os.MkdirAll(r.at, 0o755); err != nil {
		return unwritableData(err)
	}
	var total int64
	for _, o := range list {
		if r.ctx.Err() != nil {
			return interrupted(r.ctx)
		}
		if o.Name == "" || o.Name != filepath.Base(o.Name) || o.Name == "." || o.Name == ".." {
			return damaged("the backup names a file %q", o.Name)
		}
		f, err := os.OpenFile(filepath.Join(r.at, o.Name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
		if err != nil {
			return unwritableData(err)
		}
		err = copyObject(r.ctx, r.from, o, f)
		if e := f.Sync(); err == nil && e != nil {
			err = unwritableData(e)
		}
		if e := f.Close(); err == nil && e != nil {
			err = unwritableData(e)
		}
		if err != nil {
			return err
		}
		total += o.Size
		r.tell(Progress{Step: "copy", Subnet: int(r.id), Bytes: total})
	}
	return syncDir(r.at)
}

// auditStep is how many keys are read between two looks at the context.
const auditStep = 10_000

// finish compares all keys with the head, and the documents with the source's,
// and marks the store durable.
func (r *restoration) finish(st *pebble.Store, h subnet.Head, last *Manifest) (ends, error) {
	snap := st.Snapshot()
	defer snap.Close()
	a, err := subnet.NewAudit(snap)
	if err != nil {
		return nil, err
	}
	for done := false; !done; {
		if r.ctx.Err() != nil {
			return nil, interrupted(r.ctx)
		}
		if done, err = a.Step(auditStep); err != nil {
			return nil, err
		}
		r.tell(Progress{Step: "audit", Subnet: int(r.id), Bytes: a.Bytes})
	}
	if err := local.Check(snap, h); err != nil {
		return nil, err
	}
	if err := last.Subnets[r.id].compare(r.ctx, int(r.id), snap, last.Time, r.tell); err != nil {
		return nil, err
	}
	streams, err := endsOf(snap)
	if err == nil {
		err = st.MarkDurable(h.Height, h.Digest)
	}
	return streams, err
}
