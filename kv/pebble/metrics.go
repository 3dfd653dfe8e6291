package pebble

// Metrics are what an operator wants to watch. Sizes are in bytes; counts are
// of now, or since the store was opened where it says so.
type Metrics struct {
	DiskBytes           uint64 // of all files
	WALBytes            uint64 // of the logs that are not in tables yet: what an open replays
	MemtableBytes       uint64
	CompactionDebtBytes uint64 // to be rewritten until the tables are in order
	ReadAmplification   int    // tables that a read may have to look into
	CacheBytes          int64
	CacheHits           int64 // since opened
	CacheMisses         int64 // since opened
	Flushes             int64 // since opened
	Compactions         int64 // since opened
	Iterators           int64 // open
	Snapshots           int64 // open
}

// Metrics returns the store's metrics. It fails as every call does on a store
// that is closed or has failed.
func (s *Store) Metrics() (out Metrics, err error) {
	if err := s.enter(); err != nil {
		return Metrics{}, err
	}
	defer s.leave(&err)
	m := s.db.Metrics()
	return Metrics{
		DiskBytes:           m.DiskSpaceUsage(),
		WALBytes:            m.WAL.Size,
		MemtableBytes:       m.MemTable.Size,
		CompactionDebtBytes: m.Compact.EstimatedDebt,
		ReadAmplification:   m.ReadAmp(),
		CacheBytes:          m.BlockCache.Size,
		CacheHits:           m.BlockCache.Hits,
		CacheMisses:         m.BlockCache.Misses,
		Flushes:             m.Flush.Count,
		Compactions:         m.Compact.Count,
		Iterators:           s.iterators.Load(),
		Snapshots:           s.snapshots.Load(),
	}, nil
}
