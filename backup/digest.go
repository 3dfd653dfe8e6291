package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"slices"

	"atoll"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/subnet"
)

// Documents tells the documents of a subnet at one time from any others.
type Documents struct {
	Count int64 `json:"count"`
	// Hash is the SHA-256, in hexadecimal, of all documents in the order of
	// their keys: of each its database's family, its key, which holds its path,
	// its update time, and its version as it is stored, which holds the create
	// time, the revision and the contents.
	Hash string `json:"sha256"`
}

// digestStep is how many versions are read between two looks at the context.
const digestStep = 10_000

// documentsAt reads the documents that a state has at a time, which must not lie
// behind the state, nor before what the state still knows.
func documentsAt(ctx context.Context, r atoll.Reader, at atoll.Time, tell func(int64)) (d Documents, err error) {
	sum := sha256.New()
	it := r.Iter([]byte{keys.SpaceRanges}, []byte{keys.SpaceRanges + 1})
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	var last []byte // a document's keys up to the time, once its version is found
	steps := 0
	for ok := it.SeekGE([]byte{keys.SpaceRanges}); ok; {
		if steps++; steps%digestStep == 0 {
			if ctx.Err() != nil {
				return d, interrupted(ctx)
			}
			tell(d.Count)
		}
		family, space, _, err := keys.CutHead(it.Key())
		if err != nil {
			return d, err
		}
		if space != keys.Documents {
			lo, _ := keys.SpaceSpan(family, keys.Documents)
			if bytes.Compare(it.Key(), lo) > 0 { // behind them: the next family
				_, lo = keys.FamilySpan(family)
			}
			ok = it.SeekGE(lo)
			continue
		}
		_, _, t, err := keys.ParseVersion(it.Key())
		if err != nil {
			return d, err
		}
		document := it.Key()[:len(it.Key())-8]
		if t <= at && !bytes.Equal(document, last) {
			last = append(last[:0], document...)
			if !deleted(it.Value()) {
				d.Count++
				sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(it.Key()))))
				sum.Write(it.Key())
				sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(it.Value()))))
				sum.Write(it.Value())
			}
		}
		ok = it.Next()
	}
	d.Hash = hex.EncodeToString(sum.Sum(nil))
	return d, nil
}

// deleted reports whether a version says that there is no document any more; see
// package shard. Such versions do not count, since they are forgotten.
func deleted(version []byte) bool { return len(version) > 1 && version[0] == 1 && version[1]&1 != 0 }

// compare makes sure that a state has just the documents that the part's source
// had at a time.
func (p *Part) compare(ctx context.Context, s int, r atoll.Reader, at atoll.Time, tell func(Progress)) error {
	if p.Documents == nil {
		return nil
	}
	have, err := documentsAt(ctx, r, at, func(n int64) { tell(Progress{Step: "compare", Subnet: s, Documents: n}) })
	if err == nil && have != *p.Documents {
		err = damaged("subnet %d has %d documents with hash %s at %s, and the source of the backup had %d with %s",
			s, have.Count, have.Hash, at, p.Documents.Count, p.Documents.Hash)
	}
	return err
}

// Compare makes sure that a data directory, which no node may use meanwhile, had
// at the time of a backup just the documents that the backup's source had then:
// their paths, contents, times and revisions. It fails with DataLoss if it had
// not, and with FailedPrecondition if it has not come to that time. One
// that has forgotten the versions of that time cannot be compared.
func Compare(ctx context.Context, location string, number int, with Target, tell func(Progress)) (Manifest, error) {
	list, err := Choose(ctx, location, number)
	if err != nil {
		return Manifest{}, err
	}
	m := list[len(list)-1]
	if slices.ContainsFunc(m.Subnets, func(p Part) bool { return p.Documents == nil }) {
		return m, atoll.Errorf(atoll.FailedPrecondition, "backup %d was made by an earlier version, which kept no hash of the documents", m.Number)
	}
	for s := range m.Subnets {
		if err := m.compareSubnet(ctx, s, with.SubnetDir(with.Dir, atoll.SubnetID(s)), tell); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *Manifest) compareSubnet(ctx context.Context, s int, dir string, tell func(Progress)) (err error) {
	if names, e := os.ReadDir(dir); e != nil || len(names) == 0 {
		return atoll.Errorf(atoll.NotFound, "there is no data of subnet %d in %s", s, dir)
	}
	st, err := pebble.Open(pebble.Options{Dir: dir, Split: keys.Split})
	if err != nil {
		return err
	}
	defer func() {
		if e := st.Close(); err == nil {
			err = e
		}
	}()
	snap := st.Snapshot()
	defer snap.Close()
	head, _, err := subnet.ReadHead(snap)
	if err != nil {
		return err
	}
	if end := m.Subnets[s].End; head.Height < end.Height {
		return atoll.Errorf(atoll.FailedPrecondition, "subnet %d is at height %d, and the backup at %d", s, head.Height, end.Height)
	}
	return m.Subnets[s].compare(ctx, s, snap, m.Time, tell)
}
