package route

import (
	"bytes"
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"atoll"
	"atoll/keys"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/wire"
)

// world is a small installation in memory: an accounts program, directories,
// and shards that keep whole versions of documents in a map. Unlike the real
// directory of today it can give a database many ranges on many subnets, and
// move them.
type world struct {
	mu       sync.Mutex
	now      atoll.Time
	lead     map[atoll.SubnetID]atoll.Time // how far a subnet's clock is ahead of now
	maps     map[atoll.Database]*directory.Map
	shards   map[atoll.CanisterID]atoll.Database // also those that own nothing any more
	opened   int
	mapAsked int
	full     bool                 // no database can be opened
	versions map[string][]version // by database and path
	results  map[string][]byte    // by request id
	applied  map[atoll.RequestID]int
	lose     int // so many outcomes are lost after execution
	pageSize int // of answers, to force several
	sent     []atoll.Message
	asked    []atoll.CanisterID
	lease    time.Duration
	moveBack func() // called before each commit is checked
}

type version struct {
	path atoll.Path
	at   atoll.Time
	doc  []byte
}

var (
	root = atoll.NewCanisterID(0, 1)
	app  = atoll.Database{Project: "app", ID: atoll.DefaultDatabase}
	user = Caller{Principal: "\x01user", Claims: []byte("{}")}
)

func newWorld() *world {
	return &world{
		now: 1_000_000, lead: map[atoll.SubnetID]atoll.Time{}, maps: map[atoll.Database]*directory.Map{}, shards: map[atoll.CanisterID]atoll.Database{},
		versions: map[string][]version{}, results: map[string][]byte{}, applied: map[atoll.RequestID]int{},
		pageSize: 1000, lease: time.Minute,
	}
}

// cut describes where a range starts and who owns it.
type cut struct {
	before atoll.Path // the first document of the range; "" for the first range
	shard  uint32
	subnet atoll.SubnetID
}

// layout gives the database these ranges, at a new epoch.
func (w *world) layout(db atoll.Database, cuts ...cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.maps[db]
	if m == nil {
		m = &directory.Map{}
		w.maps[db] = m
	}
	m.Version++
	m.Ranges = nil
	for i, c := range cuts {
		d := shard.Descriptor{
			Range: shard.RangeID(i + 1), Epoch: shard.RangeEpoch(m.Version), Database: db, Family: 1,
			Shard: atoll.NewCanisterID(c.subnet, 100+c.shard), Subnet: c.subnet, Lease: atoll.Time(w.lease.Microseconds()),
		}
		if c.before != "" {
			d.Start = keys.DocKey(keys.Ordered, c.before)
			m.Ranges[i-1].End = d.Start
		}
		m.Ranges = append(m.Ranges, d)
		w.shards[d.Shard] = db
	}
}

func directoryOf(db atoll.Database) atoll.CanisterID {
	return atoll.CanisterID("dir " + db.String())[:min(29, len("dir "+db.String()))]
}

func (w *world) Update(ctx context.Context, m atoll.Message) (atoll.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return atoll.Outcome{}, err
	}
	w.sent = append(w.sent, m)
	w.now++
	var reply []byte
	var err error
	switch {
	case m.To[0] == root:
		reply, err = w.open(m.Payload)
	case m.Method == shard.MethodApply:
		reply, err = w.apply(m)
	default:
		reply, err = w.commit(m)
	}
	if w.lose > 0 {
		w.lose--
		return atoll.Outcome{}, atoll.Errorf(atoll.Unknown, "lost")
	}
	return atoll.Outcome{ID: m.ID, Time: w.now, Payload: reply, Err: atoll.AsError(err)}, nil
}

func (w *world) open(payload []byte) ([]byte, error) {
	var req accounts.OpenRequest
	if err := wire.Unmarshal(payload, &req); err != nil {
		return nil, err
	}
	if w.full {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "no more databases")
	}
	w.opened++
	w.mu.Unlock()
	w.layout(req.Database, cut{"", 1, 0})
	w.mu.Lock()
	return wire.Marshal(accounts.Entry{Database: req.Database, Directory: directoryOf(req.Database)}), nil
}

// target returns the range that a target names, if the shard owns it and it
// holds the key.
func (w *world) target(id atoll.CanisterID, t shard.Target, key []byte) (*shard.Descriptor, error) {
	for _, m := range w.maps {
		for i := range m.Ranges {
			d := &m.Ranges[i]
			if d.Range == t.Range && d.Database == w.shards[id] {
				if d.Shard != id || d.Epoch != t.Epoch || key != nil && !contains(d, key) {
					return nil, &atoll.Error{Kind: atoll.WrongRange, Msg: "moved", Data: wire.Marshal(d)}
				}
				return d, nil
			}
		}
	}
	return nil, &atoll.Error{Kind: atoll.WrongRange, Msg: "unknown range"}
}

func contains(d *shard.Descriptor, key []byte) bool {
	return bytes.Compare(d.Start, key) <= 0 && (len(d.End) == 0 || bytes.Compare(key, d.End) < 0)
}

func (w *world) commit(m atoll.Message) ([]byte, error) {
	if w.moveBack != nil {
		w.mu.Unlock()
		w.moveBack()
		w.mu.Lock()
	}
	var req shard.CommitRequest
	if err := wire.Unmarshal(m.Payload, &req); err != nil {
		return nil, err
	}
	var owned []*shard.Descriptor
	for i, to := range m.To {
		d, err := w.target(to, req.Targets[i], nil)
		if err != nil {
			return nil, err
		}
		owned = append(owned, d)
	}
	if r, ok := w.results[string(m.ID[:])]; ok {
		return r, nil
	}
	for _, wr := range req.Writes {
		key := keys.DocKey(keys.Ordered, wr.Path)
		if !slices.ContainsFunc(owned, func(d *shard.Descriptor) bool { return contains(d, key) }) {
			return nil, atoll.Errorf(atoll.WrongRange, "no target holds %s", wr.Path)
		}
	}
	now := w.now + w.lead[owned[0].Subnet]
	reply := shard.CommitReply{Time: now}
	for _, wr := range req.Writes {
		k := owned[0].Database.String() + "|" + string(wr.Path)
		w.versions[k] = append(w.versions[k], version{wr.Path, now, wr.Doc})
		reply.Results = append(reply.Results, shard.WriteResult{UpdateTime: now})
	}
	w.applied[m.ID]++
	w.results[string(m.ID[:])] = wire.Marshal(reply)
	return w.results[string(m.ID[:])], nil
}

// apply does each write of a request once.
func (w *world) apply(m atoll.Message) ([]byte, error) {
	var req shard.ApplyRequest
	if err := wire.Unmarshal(m.Payload, &req); err != nil {
		return nil, err
	}
	reply := shard.ApplyReply{Results: make([]shard.Applied, len(req.Writes))}
	for _, wr := range req.Writes {
		if _, err := w.target(m.To[0], req.Target, keys.DocKey(keys.Ordered, wr.Path)); err != nil {
			return nil, err
		}
	}
	for i, wr := range req.Writes {
		if wr.Op == shard.OpDelete {
			reply.Results[i].Err = atoll.Errorf(atoll.NotFound, "no %s", wr.Path)
			continue
		}
		if w.applied[req.IDs[i]] == 0 {
			w.applied[req.IDs[i]]++
		}
		reply.Results[i].UpdateTime = w.now
	}
	return wire.Marshal(&reply), nil
}

func (w *world) Query(ctx context.Context, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.asked = append(w.asked, to)
	switch q.Method {
	case accounts.MethodFind:
		var req accounts.OpenRequest
		if err := wire.Unmarshal(q.Payload, &req); err != nil {
			return nil, err
		}
		if w.maps[req.Database] == nil {
			return nil, atoll.Errorf(atoll.NotFound, "no such database")
		}
		return wire.Marshal(accounts.Entry{Database: req.Database, Directory: directoryOf(req.Database)}), nil
	case directory.MethodMap:
		w.mapAsked++
		for db, m := range w.maps {
			if directoryOf(db) == to {
				return wire.Marshal(m), nil
			}
		}
		return nil, atoll.Errorf(atoll.NotFound, "no such directory")
	}
	return w.shardQuery(to, q)
}

// QueryAt closes the time, as a node does.
func (w *world) QueryAt(ctx context.Context, at atoll.Time, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	w.mu.Lock()
	w.now = max(w.now, at)
	w.mu.Unlock()
	return w.Query(ctx, to, q)
}

func (w *world) shardQuery(to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	at := func(d *shard.Descriptor, asked atoll.Time) atoll.Time {
		if asked == 0 {
			return w.now + w.lead[d.Subnet]
		}
		return asked
	}
	switch q.Method {
	case shard.MethodGet:
		var req shard.GetRequest
		if err := wire.Unmarshal(q.Payload, &req); err != nil {
			return nil, err
		}
		d, err := w.target(to, req.Target, nil)
		if err != nil {
			return nil, err
		}
		reply := shard.GetReply{Time: at(d, req.At)}
		for _, p := range req.Paths[:min(len(req.Paths), w.pageSize)] {
			if _, err := w.target(to, req.Target, keys.DocKey(keys.Ordered, p)); err != nil {
				return nil, err
			}
			reply.Documents = append(reply.Documents, w.read(d.Database, p, reply.Time))
		}
		return wire.Marshal(reply), nil
	case shard.MethodList:
		var req shard.ListRequest
		if err := wire.Unmarshal(q.Payload, &req); err != nil {
			return nil, err
		}
		d, err := w.target(to, req.Target, nil)
		if err != nil {
			return nil, err
		}
		reply := shard.ListReply{Time: at(d, req.At)}
		var last atoll.Path
		for _, p := range w.paths(d) {
			s := p.Segments()
			if n := req.Collection.Len(); len(s) > n+1 && req.Missing {
				p = atoll.Path(strings.Join(s[:n+1], "/")) // above a document of the range
			}
			if p == last || p.Parent() != req.Collection || req.After != "" && p.ID() <= req.After {
				continue
			}
			last = p
			if len(reply.Documents) == min(req.Limit, w.pageSize) {
				reply.More = true
				break
			}
			reply.Documents = append(reply.Documents, w.read(d.Database, p, reply.Time))
		}
		return wire.Marshal(reply), nil
	case shard.MethodCollections:
		var req shard.CollectionsRequest
		if err := wire.Unmarshal(q.Payload, &req); err != nil {
			return nil, err
		}
		d, err := w.target(to, req.Target, nil)
		if err != nil {
			return nil, err
		}
		reply := shard.CollectionsReply{Time: at(d, req.At)}
		n := req.Parent.Len()
		for _, p := range w.paths(d) {
			s := p.Segments()
			if len(s) <= n || req.Parent != "" && !bytes.HasPrefix([]byte(p), []byte(req.Parent+"/")) {
				continue
			}
			id := s[n]
			if id <= req.After || slices.Contains(reply.IDs, id) {
				continue
			}
			if len(reply.IDs) == min(req.Limit, w.pageSize) {
				reply.More = true
				break
			}
			reply.IDs = append(reply.IDs, id)
		}
		return wire.Marshal(reply), nil
	case shard.MethodFeed:
		return w.feed(to, q)
	case shard.MethodQuery:
		return w.find(to, q)
	case shard.MethodAggregate:
		return w.sumUp(to, q)
	case shard.MethodGroup:
		return w.group(to, q)
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "no method %s", q.Method)
}

func (w *world) feed(to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	var req shard.FeedRequest
	if err := wire.Unmarshal(q.Payload, &req); err != nil {
		return nil, err
	}
	d, err := w.target(to, req.Target, nil)
	if err != nil {
		return nil, err
	}
	reply := shard.FeedReply{Closed: w.now + w.lead[d.Subnet]}
	reply.Next = shard.FeedCursor{Time: reply.Closed}
	for _, p := range w.paths(d) {
		for _, v := range w.versions[d.Database.String()+"|"+string(p)] {
			c := shard.Change{Cursor: shard.FeedCursor{Time: v.at, Key: keys.DocKey(keys.Ordered, p)},
				Doc: shard.Document{Path: p, Doc: v.doc, Updated: v.at}}
			if compare(c.Cursor, req.After) > 0 {
				reply.Changes = append(reply.Changes, c)
			}
		}
	}
	slices.SortFunc(reply.Changes, func(a, b shard.Change) int { return compare(a.Cursor, b.Cursor) })
	if n := min(req.Limit, w.pageSize); len(reply.Changes) > n {
		reply.Changes, reply.More, reply.Next = reply.Changes[:n], true, reply.Changes[n-1].Cursor
	}
	return wire.Marshal(reply), nil
}

// paths returns the documents of a range in key order.
func (w *world) paths(d *shard.Descriptor) []atoll.Path {
	var out []atoll.Path
	prefix := d.Database.String() + "|"
	for k, v := range w.versions {
		if len(k) > len(prefix) && k[:len(prefix)] == prefix && contains(d, keys.DocKey(keys.Ordered, v[0].path)) {
			out = append(out, v[0].path)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return bytes.Compare(keys.DocKey(keys.Ordered, out[i]), keys.DocKey(keys.Ordered, out[j])) < 0
	})
	return out
}

func (w *world) read(db atoll.Database, p atoll.Path, at atoll.Time) shard.Document {
	d := shard.Document{Path: p}
	for _, v := range w.versions[db.String()+"|"+string(p)] {
		if v.at <= at {
			d.Doc, d.Created, d.Updated = v.doc, v.at, v.at
		}
	}
	return d
}

func newRouter(t *testing.T, w *world, edit ...func(*Options)) *Router {
	t.Helper()
	o := Options{Node: w, Root: root}
	for _, e := range edit {
		e(&o)
	}
	return New(o)
}

func set(paths ...atoll.Path) []shard.Write {
	var out []shard.Write
	for _, p := range paths {
		out = append(out, shard.Write{Op: shard.OpSet, Path: p, Doc: []byte(p)})
	}
	return out
}
