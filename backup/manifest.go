package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"atoll"
	"atoll/subnet"
)

// manifestFormat is the version of manifests and of the files that they name.
// Those of version 1 have no Documents.
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
	Log        *Object  `json:"log,omitempty"`        // nil if there is no block between Start and End
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

func manifestName(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("backup-%06d.json", n))
}

// List returns the manifests in a folder, in order, each checked to be whole.
// It fails with DataLoss if one is damaged or missing in between; a folder that
// is not there has none.
func List(dir string) ([]Manifest, error) {
	names, err := filepath.Glob(filepath.Join(escape(dir), "backup-*.json"))
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "%q is no name of a folder", dir)
	}
	slices.Sort(names)
	var all []Manifest
	for i, name := range names {
		if name != manifestName(dir, i+1) {
			return nil, atoll.Errorf(atoll.DataLoss, "backup %d is missing in %s: the next file is %s", i+1, dir, filepath.Base(name))
		}
		m, err := readManifest(name)
		if err != nil {
			return nil, err
		}
		switch {
		case m.Number != i+1 || len(m.Subnets) == 0:
			err = damaged("%s is another backup's manifest", name)
		case m.Kind == Incremental:
			err = m.follows(all)
		case m.Kind != Full:
			err = damaged("%s is of kind %q", name, m.Kind)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func damaged(format string, args ...any) error { return atoll.Errorf(atoll.DataLoss, format, args...) }

// escape keeps a folder's name from being a pattern.
func escape(dir string) string {
	var out []rune
	for _, c := range dir {
		if c == '*' || c == '?' || c == '[' || c == '\\' && filepath.Separator == '/' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}

func readManifest(name string) (m Manifest, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return m, atoll.Errorf(atoll.Unavailable, "cannot read the backup: %v", err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, damaged("%s is damaged: %v", name, err)
	}
	if m.Format > manifestFormat {
		return m, atoll.Errorf(atoll.FailedPrecondition, "%s has format %d; this version of Atoll reads format %d", name, m.Format, manifestFormat)
	}
	sum, err := m.sum()
	if err == nil && sum != m.Sum {
		err = damaged("%s is damaged: its hash is %s, and it says %s", name, sum, m.Sum)
	}
	return m, err
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
func (m *Manifest) write(dir string) (err error) {
	if m.Sum, err = m.sum(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	name := manifestName(dir, m.Number)
	temp := name + ".tmp"
	if err := writeFile(temp, append(b, '\n')); err != nil {
		return err
	}
	// A link fails if somebody else has made a backup of that number.
	err = os.Link(temp, name)
	os.Remove(temp)
	if errors.Is(err, fs.ErrExist) {
		return atoll.Errorf(atoll.Aborted, "another backup was made in %s at the same time", dir)
	}
	if err != nil {
		return unwritable(err)
	}
	return syncDir(dir)
}
