package pebble

import (
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
	"atoll/kv/kvtest"
)

// small makes memtables and tables so small that a test sees flushes and
// compactions.
func small(o *pebble.Options) {
	o.MemTableSize = 16 << 10
	o.L0CompactionThreshold = 2
	o.LBaseMaxBytes = 32 << 10
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 8 << 10
	}
	o.MaxManifestFileSize = 2 << 10
	o.CacheSize = 1 << 20
}

// machine is a directory on a file system.
type machine struct {
	fs  vfs.FS
	dir string
}

func (m machine) options() Options {
	return Options{Dir: m.dir, FS: m.fs, Split: kvtest.Split, tune: small}
}

func (m machine) Open() (atoll.Store, error) {
	s, err := Open(m.options())
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (m machine) Checkpoint(s atoll.Store, name string) (atoll.Store, error) {
	dir := m.dir + "-" + name
	if err := s.Checkpoint(dir); err != nil {
		return nil, err
	}
	return machine{m.fs, dir}.Open()
}

func onDisk(t *testing.T) kvtest.Machine {
	return machine{vfs.Default, filepath.Join(t.TempDir(), "store")}
}

func inMemory(*testing.T) kvtest.Machine { return machine{vfs.NewCrashableMem(), "data/store"} }

func TestOnDisk(t *testing.T) {
	kvtest.Run(t, onDisk)
	kvtest.RunDurable(t, onDisk)
}

func TestInMemory(t *testing.T) {
	kvtest.Run(t, inMemory)
	kvtest.RunDurable(t, inMemory)
	kvtest.RunModel(t, inMemory, true)
}
