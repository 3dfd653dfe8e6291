package host

import (
	"context"

	"atoll"
	"atoll/gateway/admin"
	"atoll/kv/pebble"
	"atoll/node"
)

// Source returns the installation as the operator's door sees it.
func (h *Host) Source() admin.Source { return source{h.Node} }

type source struct{ *node.Node }

// Report implements admin.Source.
func (s source) Report(id atoll.SubnetID) (admin.Report, error) {
	r, err := s.Node.Report(id)
	if err != nil {
		return admin.Report{}, err
	}
	return admin.Report{
		Head: r.Head, Executed: r.Executed, Err: r.Err, Refusing: r.Refusing,
		Blocks: r.Blocks, Messages: r.Messages, Refused: r.Refused, Panics: r.Panics, Lanes: r.Lanes, Bytes: r.Bytes,
		Queued: r.Queued, QueuedBytes: r.QueuedBytes,
		Reopens: r.Reopens, Scrubs: r.Scrubs, Scrubbed: r.Scrubbed, Free: r.Free, Store: figures(r.Store),
	}, nil
}

// State implements admin.Source.
func (s source) State(ctx context.Context, id atoll.SubnetID) (admin.State, error) {
	st, err := s.View(ctx, id)
	if err != nil {
		return admin.State{}, err
	}
	return admin.State{Reader: st, Head: st.Head, Release: st.Release}, nil
}

// figures returns what a store tells of itself; a store in memory tells nothing.
func figures(st atoll.Store) []admin.Figure {
	disk, ok := st.(*pebble.Store)
	if !ok {
		return nil
	}
	m, err := disk.Metrics()
	if err != nil {
		return nil // it has failed or is being replaced, which the report says
	}
	return []admin.Figure{
		{Name: "disk_bytes", Help: "Size of all files.", Value: float64(m.DiskBytes)},
		{Name: "wal_bytes", Help: "Size of the logs that an open replays.", Value: float64(m.WALBytes)},
		{Name: "memtable_bytes", Help: "Memory for what is not in tables yet.", Value: float64(m.MemtableBytes)},
		{Name: "compaction_debt_bytes", Help: "To be rewritten until the tables are in order.", Value: float64(m.CompactionDebtBytes)},
		{Name: "read_amplification", Help: "Tables that a read may have to look into.", Value: float64(m.ReadAmplification)},
		{Name: "cache_bytes", Help: "Memory for blocks that were read.", Value: float64(m.CacheBytes)},
		{Name: "cache_hits_total", Help: "Blocks found in the cache.", Value: float64(m.CacheHits), Counter: true},
		{Name: "cache_misses_total", Help: "Blocks read from the disk.", Value: float64(m.CacheMisses), Counter: true},
		{Name: "flushes_total", Help: "Memtables written to tables.", Value: float64(m.Flushes), Counter: true},
		{Name: "compactions_total", Help: "Rewrites of tables.", Value: float64(m.Compactions), Counter: true},
		{Name: "iterators", Help: "Open iterators.", Value: float64(m.Iterators)},
		{Name: "snapshots", Help: "Open snapshots.", Value: float64(m.Snapshots)},
	}
}
