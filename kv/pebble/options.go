package pebble

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll/kv"
)

// Options tell where a store is and how it is kept.
type Options struct {
	// Dir is the store's directory; it is made if it is not there.
	Dir string
	// FS is the file system of Dir; nil is the operating system's.
	FS vfs.FS
	// Split tells the prefix of a key, for SeekPrefixGE and for the Bloom
	// filters; nil takes the whole key. It is part of the format: a directory
	// is always opened with the same one.
	Split kv.SplitFunc
	// CacheBytes is the size of the cache of blocks read; 0 is 64 MiB.
	CacheBytes int64
	// MinFree is how many bytes must be free on the disk for Apply to be
	// carried out; below it fails with ResourceExhausted, before anything is
	// written, and the store goes on. 0 asks for nothing. It should be several
	// times the weight of a batch, because the disk is looked at once in a
	// while.
	MinFree uint64
	// DiskFree returns the bytes that are free for the store in a directory;
	// nil asks the file system.
	DiskFree func(dir string) (uint64, error)
	// Logger is told of failures, as they happen; nil drops them.
	Logger func(format string, args ...any)

	// tune lets tests make everything small.
	tune func(*pebble.Options)
}

const (
	defaultCache = 64 << 20
	// memtable is how much is kept in memory before it becomes a table. It
	// also bounds, with memtables, what is replayed from the log at an open.
	memtable  = 64 << 20
	memtables = 4
	// Index entries come in no order, so that each table of level 0 overlaps
	// all of the level below, and merging it rewrites that. Merging eight at
	// a time, into a level of this size, costs a write a third less processor
	// time than Pebble's defaults (four, 64 MiB), and reads of keys that are
	// in filters nothing.
	mergedAtOnce = 8
	baseLevel    = 256 << 20
	// maxManifest bounds what checkManifest reads.
	maxManifest = 4 << 20
	// filterBits gives a Bloom filter with 1% of false positives.
	filterBits = 10
)

// diskFormat is Pebble's format that belongs to Format: the first in which
// every part of a table is under a checksum.
const diskFormat = pebble.FormatTableFormatV6

// newComparer returns the order of keys: by their bytes. Its name is in every
// store, and stands for split, too.
func newComparer(split kv.SplitFunc) *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "atoll.v1"
	c.Compare, c.Equal = bytes.Compare, bytes.Equal
	if split == nil {
		c.Name += ".whole"
		return &c
	}
	c.Split = pebble.Split(split)
	return &c
}

// pebbleOptions returns how Pebble is to run on a file system.
func (o *Options) pebbleOptions(f vfs.FS, l logger) *pebble.Options {
	p := &pebble.Options{
		FS:                          f,
		Comparer:                    newComparer(o.Split),
		CacheSize:                   o.CacheBytes,
		FormatMajorVersion:          diskFormat,
		MemTableSize:                memtable,
		MemTableStopWritesThreshold: memtables,
		L0CompactionThreshold:       mergedAtOnce,
		LBaseMaxBytes:               baseLevel,
		MaxManifestFileSize:         maxManifest,
		Logger:                      l,
		EventListener:               l.listener(),
	}
	if p.CacheSize == 0 {
		p.CacheSize = defaultCache
	}
	p.Levels[0].FilterPolicy = bloom.FilterPolicy(filterBits) // and so the other levels
	p.Levels[0].BlockSize = 8 << 10
	p.Levels[0].IndexBlockSize = 32 << 10
	if o.tune != nil {
		o.tune(p)
	}
	return p
}
