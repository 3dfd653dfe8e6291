package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"atoll"
	"atoll/subnet"
)

// manifestFormat is the version of manifests and of the files that they name.
// Those of version 1 have no Documents, and their logs are in one piece.
const manifestFormat = 2

// Kinds of backups.
const (
	Full        = "full"
	Incremental = "incremental"
)

// Manifest says what one backup holds.
type Manifest struct {
	Format  int        `json:"format"`
	Number  int        `json:"number"` // from 1, without gaps
	Kind    string     `json:"kind"`
	Base    string     `json:"base,omitempty"` // Sum of the backup before, of an incremental one
	Time    atoll.Time `json:"time"`           // of the cut, in microseconds since 1970
	UTC     string     `json:"utc"`            // the same, for people
	Subnets []Part     `json:"subnets"`        // in order, from 0
	Sum     string     `json:"sum"`            // SHA-256 of the manifest with Sum empty
}

// Part is what a backup holds of one subnet.
type Part struct {
	Checkpoint []Object `json:"checkpoint,omitempty"` // of a full backup
	Start      Point    `json:"start"`                // where the log begins: the checkpoint, or the cut before
	Log        *Object  `json:"log,omitempty"`        // of format 1: all blocks between Start and End
	Logs       []Object `json:"logs,omitempty"`       // the same, in pieces; none if there is no block
	End        Point    `json:"end"`                  // the cut
	// Documents are those that the source had at the cut; nil in format 1.
	Documents *Documents `json:"documents,omitempty"`
}

// Object is one stored file.
type Object struct {
	Name string `json:"name,omitempty"` // in the checkpoint
	Hash string `json:"sha256"`
	Size int64  `json:"size"`
}

// Point is a place in a subnet's history.
type Point struct {
	Epoch    atoll.Epoch    `json:"epoch"`
	Position atoll.Position `json:"position"`
	Record   string         `json:"record"` // hash of the log record there
	Height   atoll.Height   `json:"height"`
	Digest   string         `json:"digest"` // of the state
}

func pointOf(h subnet.Head) Point {
	return Point{Epoch: h.Chain.Epoch, Position: h.Chain.Position, Record: h.Chain.Hash.String(), Height: h.Height, Digest: h.Digest.String()}
}

// chain returns the end of the log at a point.
func (p Point) chain() (subnet.Chain, error) {
	c := subnet.Chain{Epoch: p.Epoch, Position: p.Position}
	raw, err := hex.DecodeString(p.Record)
	if err != nil || len(raw) != len(c.Hash) {
		return c, atoll.Errorf(atoll.DataLoss, "the manifest names a log record by %q, which is no hash", p.Record)
	}
	copy(c.Hash[:], raw)
	return c, nil
}

func (m *Manifest) sum() (string, error) {
	c := *m
	c.Sum = ""
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), nil
}

func manifestName(n int) string { return fmt.Sprintf("backup-%06d.json", n) }

func isManifest(name string) bool {
	return strings.HasPrefix(name, "backup-") && strings.HasSuffix(name, ".json")
}

// List returns the manifests at a location, in order, each checked to be whole.
// It fails with DataLoss if one is damaged or missing in between; a folder that
// is not there has none.
func List(ctx context.Context, location string) ([]Manifest, error) {
	v, err := openVault(location)
	if err != nil {
		return nil, err
	}
	return list(ctx, v)
}

func list(ctx context.Context, v vault) ([]Manifest, error) {
	names, err := v.manifests(ctx)
	if err != nil {
		return nil, err
	}
	var all []Manifest
	for i, name := range names {
		if name != manifestName(i+1) {
			return nil, atoll.Errorf(atoll.DataLoss, "backup %d is missing in %s: the next file is %s", i+1, v, name)
		}
		m, err := readManifest(ctx, v, name)
		if err != nil {
			return nil, err
		}
		switch {
		case m.Number != i+1 || len(m.Subnets) == 0:
			err = damaged("%s in %s is another backup's manifest", name, v)
		case m.Kind == Incremental:
			err = m.follows(all)
		case m.Kind != Full:
			err = damaged("%s in %s is of kind %q", name, v, m.Kind)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func damaged(format string, args ...any) error { return atoll.Errorf(atoll.DataLoss, format, args...) }

// maxManifest is the longest that a manifest may be, in bytes.
const maxManifest = 256 << 20

func readManifest(ctx context.Context, v vault, name string) (m Manifest, err error) {
	f, err := v.open(ctx, name)
	if err != nil {
		return m, unreadableManifest(v, name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return m, unreadableManifest(v, name, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, damaged("%s in %s is damaged: %v", name, v, err)
	}
	if m.Format > manifestFormat {
		return m, atoll.Errorf(atoll.FailedPrecondition, "%s in %s has format %d; this version of Atoll reads format %d", name, v, m.Format, manifestFormat)
	}
	sum, err := m.sum()
	if err == nil && sum != m.Sum {
		err = damaged("%s in %s is damaged: its hash is %s, and it says %s", name, v, sum, m.Sum)
	}
	return m, err
}

func unreadableManifest(v vault, name string, err error) error {
	if e := (*atoll.Error)(nil); errors.As(err, &e) {
		return err
	}
	return atoll.Errorf(atoll.Unavailable, "cannot read %s in %s: %v", name, v, err)
}

// follows makes sure that an incremental backup goes on where the one before it
// ended.
func (m *Manifest) follows(before []Manifest) error {
	if len(before) == 0 {
		return damaged("backup %d is incremental, and there is none before it", m.Number)
	}
	prev := &before[len(before)-1]
	if m.Base != prev.Sum || len(m.Subnets) != len(prev.Subnets) {
		return damaged("backup %d does not follow backup %d", m.Number, prev.Number)
	}
	for s := range m.Subnets {
		if m.Subnets[s].Start != prev.Subnets[s].End {
			return damaged("subnet %d of backup %d does not go on where backup %d ends", s, m.Number, prev.Number)
		}
	}
	return nil
}

// write seals a manifest and makes the backup count.
func (m *Manifest) write(ctx context.Context, v vault) (err error) {
	if m.Sum, err = m.sum(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return v.publish(ctx, manifestName(m.Number), append(b, '\n'))
}
