// Package host puts an installation together: the stores, the programs that
// canisters run, the first canisters, and the upkeep of their state. The
// command, the tests, the benchmarks and the simulator all get theirs here.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"atoll"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/kv/pebble"
	"atoll/node"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/route"
	"atoll/subnet"
	"atoll/wire"
)

// Root is the canister of the accounts program.
var Root = atoll.NewCanisterID(0, 1)

// Programs returns the native programs, by the names under which canisters are
// installed. The names are part of the state's format.
func Programs() map[string]subnet.Entry {
	return map[string]subnet.Entry{
		"accounts":  {Program: accounts.Program{}},
		"directory": {Program: directory.Program{}},
		"shard":     {Program: shard.New(), Ranges: true},
	}
}

// rootCycles is what the installation's account is given at its birth. It is
// enough for every database that may be opened.
const rootCycles = 1 << 62

// Genesis returns the first canisters of a subnet.
func Genesis(s atoll.SubnetID) subnet.Genesis {
	if s != 0 {
		return subnet.Genesis{}
	}
	return subnet.Genesis{Canisters: []subnet.GenesisCanister{{Program: "accounts", Cycles: rootCycles}}}
}

// Retention says for how long what is superseded is kept.
type Retention struct {
	Versions time.Duration // old versions of documents, for reads in the past
	Latest   time.Duration // tombstones, and the latest change of each document in the feed
	Requests time.Duration // results, for repeated requests
}

// DefaultRetention is the retention of a new installation.
var DefaultRetention = Retention{Versions: time.Hour, Latest: 30 * 24 * time.Hour, Requests: 15 * time.Minute}

// Options are what an installation is started with. Zero values are defaults.
type Options struct {
	Dir        string // data directory; empty: in memory, gone at the end
	Subnets    int    // 1
	Databases  int    // the most that may exist; accounts.MaxDatabases
	CacheBytes int64  // of stored blocks, for all subnets together; 256 MiB
	MinFree    uint64 // writes are refused below; 256 MiB
	ScrubBytes int    // read by the background scrub each second; 16 MiB
	Retention  Retention
	// Semantics is the version under which blocks are executed from now on;
	// the newest that this version of Atoll has. An older one prepares for a
	// return to an older version of Atoll.
	Semantics atoll.Semantics
	// CollectEvery is the pause between collections of old versions; 1 s.
	CollectEvery time.Duration
	Expiry       Expiry // of documents with a time-to-live field
	// Migrating is told how far a state of an earlier format has come, before
	// anything is served, and ends the start with its error. May be nil.
	Migrating func(Migrating) error
	Log       *slog.Logger // slog.Default
}

// Host is a running installation.
type Host struct {
	*node.Node
	Router  *route.Router
	opt     Options
	sweeper *sweeper
}

// Start opens an installation, or makes a new one.
func Start(opt Options) (*Host, error) {
	opt = opt.withDefaults()
	keeper := newKeeper(opt)
	n, err := node.Start(node.Options{
		Subnets: opt.Subnets, Programs: Programs(), Genesis: Genesis, Open: opt.open,
		Housekeep: keeper.collect, HousekeepEvery: opt.CollectEvery,
		MinFree: opt.MinFree, ScrubBytes: opt.ScrubBytes, Log: opt.Log,
	})
	if err != nil {
		return nil, err
	}
	h := &Host{Node: n, opt: opt, Router: route.New(route.Options{Node: n, Root: Root})}
	if err := h.configure(); err != nil {
		n.Close()
		return nil, err
	}
	h.sweeper = startSweeper(n, h.Router, opt.Expiry, opt.Log)
	return h, nil
}

// Close stops the installation; see node.Node.Close.
func (h *Host) Close() error {
	h.sweeper.close()
	return h.Node.Close()
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	o.Subnets = max(o.Subnets, 1)
	if o.CacheBytes == 0 {
		o.CacheBytes = 256 << 20
	}
	if o.MinFree == 0 {
		o.MinFree = 256 << 20
	}
	if o.ScrubBytes == 0 {
		o.ScrubBytes = 16 << 20
	}
	if o.Semantics == 0 {
		o.Semantics = subnet.MaxSemantics
	}
	if o.Databases == 0 {
		o.Databases = accounts.MaxDatabases
	}
	def(&o.Retention.Versions, DefaultRetention.Versions)
	def(&o.Retention.Latest, DefaultRetention.Latest)
	def(&o.Retention.Requests, DefaultRetention.Requests)
	def(&o.CollectEvery, time.Second)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// SubnetDir returns the directory of a subnet's store below a data directory.
func SubnetDir(dir string, s atoll.SubnetID) string {
	return filepath.Join(dir, "subnet-"+strconv.Itoa(int(s)))
}

func (o Options) open(s atoll.SubnetID) (node.Disk, error) {
	if o.Dir == "" {
		return node.Disk{Store: mem.New(mem.WithSplit(keys.Split)), Exclusive: true}, nil
	}
	st, err := pebble.Open(pebble.Options{
		Dir: SubnetDir(o.Dir, s), Split: keys.Split, CacheBytes: o.CacheBytes / int64(o.Subnets),
		Logger: func(format string, args ...any) { o.Log.Error(fmt.Sprintf(format, args...), "subnet", s) },
	})
	if err != nil {
		return node.Disk{}, err
	}
	if err := o.migrate(st, s); err != nil {
		st.Close()
		return node.Disk{}, err
	}
	return node.Disk{
		Store: st, Exclusive: true, Free: st.Free,
		Mark:    func(h atoll.Height, d atoll.Hash) { st.MarkDurable(h, d) },
		Witness: st.Durable,
	}, nil
}

// configure tells the canisters what the options say, where that is new.
func (h *Host) configure() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for id := range atoll.SubnetID(h.opt.Subnets) {
		if err := h.activate(ctx, id); err != nil {
			return err
		}
	}
	want := accounts.Config{Subnets: uint32(h.opt.Subnets), Databases: h.opt.Databases}
	raw, err := h.Query(ctx, Root, atoll.Question{Method: accounts.MethodConfig})
	if err != nil {
		return err
	}
	var have accounts.Config
	if err := wire.Unmarshal(raw, &have); err != nil || have == want {
		return err
	}
	_, err = h.Order(ctx, atoll.Message{To: []atoll.CanisterID{Root}, Method: accounts.MethodConfigure, Payload: wire.Marshal(want)})
	return err
}

// activate has a subnet execute its next blocks under the wanted semantics.
func (h *Host) activate(ctx context.Context, id atoll.SubnetID) error {
	// The first block of this epoch announces what this replica supports.
	s, err := h.View(ctx, id)
	if err != nil {
		return err
	}
	height, version := s.Head.Height, s.Head.Semantics
	s.Release()
	if height == 0 {
		if _, err := h.Durable(ctx, id, 0); err != nil {
			return err
		}
	}
	if version == h.opt.Semantics {
		return nil
	}
	_, err = h.Order(ctx, atoll.Message{
		To: []atoll.CanisterID{subnet.ManagementOf(id)}, Method: subnet.MethodActivate,
		Payload: wire.Marshal(subnet.ActivateRequest{Version: h.opt.Semantics}),
	})
	return err
}
