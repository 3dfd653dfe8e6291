package admin

import (
	"context"
	"net/http"

	"atoll"
	"atoll/program/accounts"
)

const (
	// storageDatabases is how many databases the console tells the size of.
	storageDatabases = 100
	// storageCanisters is how many canisters of a subnet are looked at for
	// that; what lies beyond counts for nothing, and the answer says so.
	storageCanisters = 10_000
)

type storageReply struct {
	Subnets   []subnetStorage   `json:"subnets"`
	Databases []databaseStorage `json:"databases"`
	More      bool              `json:"more"` // there are more databases, or canisters that were not looked at
}

// subnetStorage is what a subnet has in its store, in bytes. A store in memory
// tells nothing of files.
type subnetStorage struct {
	Subnet   atoll.SubnetID `json:"subnet"`
	Files    float64        `json:"files"`    // all together
	Replay   float64        `json:"replay"`   // logs of the store that an open replays
	Debt     float64        `json:"debt"`     // to be rewritten until the tables are in order
	Memory   float64        `json:"memory"`   // for what is not in tables yet, and for the cache
	Free     uint64         `json:"free"`     // on the disk; 0 if not watched
	Records  uint64         `json:"records"`  // of the subnet's log that are kept
	State    int64          `json:"state"`    // of all canisters, as they are charged for it
	Canister int            `json:"canister"` // how many
}

// databaseStorage is what a database has, over all subnets.
type databaseStorage struct {
	Name      string `json:"name"`
	Ranges    int    `json:"ranges"`
	Shards    int    `json:"shards"`
	State     int64  `json:"state"`     // bytes of documents, their versions and index entries, as charged
	Directory int64  `json:"directory"` // bytes of the map
}

// storage tells how much is stored where.
func (d *Door) storage(w http.ResponseWriter, r *http.Request) {
	out := storageReply{Subnets: []subnetStorage{}, Databases: []databaseStorage{}}
	sizes := map[atoll.CanisterID]int64{}
	for s := range atoll.SubnetID(d.source.Subnets()) {
		one, more := d.subnetStorage(r.Context(), s, sizes)
		out.Subnets = append(out.Subnets, one)
		out.More = out.More || more
	}
	var list accounts.ListReply
	if err := d.ask(r.Context(), d.root, accounts.MethodList, accounts.ListRequest{Limit: storageDatabases}, &list); err != nil {
		fail(w, err)
		return
	}
	out.More = out.More || list.More
	for _, e := range list.Entries {
		one, err := d.databaseStorage(r.Context(), e, sizes)
		if err != nil {
			fail(w, err)
			return
		}
		out.Databases = append(out.Databases, one)
	}
	writeJSON(w, out)
}

// subnetStorage looks at one subnet, and notes how much its canisters store. A
// subnet that does not run has no canisters.
func (d *Door) subnetStorage(ctx context.Context, s atoll.SubnetID, sizes map[atoll.CanisterID]int64) (out subnetStorage, more bool) {
	out.Subnet = s
	rep, err := d.source.Report(s)
	if err != nil {
		return out, false
	}
	out.Free = rep.Free
	for _, f := range rep.Store {
		switch f.Name {
		case "disk_bytes":
			out.Files = f.Value
		case "wal_bytes":
			out.Replay = f.Value
		case "compaction_debt_bytes":
			out.Debt = f.Value
		case "memtable_bytes", "cache_bytes":
			out.Memory += f.Value
		}
	}
	if first, last, ok := d.logBounds(s); ok {
		out.Records = uint64(last - first + 1)
	}
	list, err := d.canisters(ctx, s, "", storageCanisters+1)
	if err != nil {
		return out, false
	}
	if more = len(list) > storageCanisters; more {
		list = list[:storageCanisters]
	}
	for _, c := range list {
		sizes[c.ID] = c.Bytes
		out.State += c.Bytes
	}
	out.Canister = len(list)
	return out, more
}

// databaseStorage adds up the shards of a database.
func (d *Door) databaseStorage(ctx context.Context, e accounts.Entry, sizes map[atoll.CanisterID]int64) (databaseStorage, error) {
	out := databaseStorage{Name: e.Database.String(), Directory: sizes[e.Directory]}
	m, err := d.mapOf(ctx, e)
	if err != nil {
		return out, err
	}
	seen := map[atoll.CanisterID]bool{}
	for _, rng := range m.Ranges {
		if !seen[rng.Shard] {
			seen[rng.Shard] = true
			out.State += sizes[rng.Shard]
		}
	}
	out.Ranges, out.Shards = len(m.Ranges), len(seen)
	return out, nil
}
