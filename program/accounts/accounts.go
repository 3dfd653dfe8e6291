package accounts

import (
	"bytes"

	"atoll"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// Keys of the canister's state:
//
//	"c"                     Config
//	"n"                     counters
//	"d" project 0x00 id     database
var (
	configKey   = []byte("c")
	countersKey = []byte("n")
)

func databaseKey(d atoll.Database) []byte {
	return append(append(append([]byte("d"), d.Project...), 0), d.ID...)
}

type counters struct {
	Databases int          `cbor:"1,keyasint"`
	Family    shard.Family `cbor:"2,keyasint"` // the last one given out
	Opened    uint64       `cbor:"3,keyasint"` // databases begun, to spread them
}

// database is the record of a database, or of one that is being made.
type database struct {
	Entry   Entry          `cbor:"1,keyasint"`
	Ready   bool           `cbor:"2,keyasint,omitempty"`
	Waiting []atoll.CallID `cbor:"3,keyasint,omitempty"` // who asked for it
	Subnet  atoll.SubnetID `cbor:"4,keyasint"`
	Family  shard.Family   `cbor:"5,keyasint"`
}

// maxWaiting is how many may wait for one database that is being made.
const maxWaiting = 1000

// What a new database gets from the installation's account, in cycles: one
// half for its directory, one half for its first shard.
const databaseCycles = 1 << 51

// tag tells which call a reply belongs to.
type tag struct {
	Database atoll.Database `cbor:"1,keyasint"`
	Created  bool           `cbor:"2,keyasint,omitempty"` // the directory is there, and is initialising
}

// Program is the accounts program.
type Program struct{}

var _ atoll.Program = Program{}

// Update implements atoll.Program.
func (Program) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	switch {
	case in.IsReply:
		return nil, onReply(ctx, in)
	case in.Method == MethodOpen:
		return open(ctx, in)
	case in.Method == MethodConfigure:
		if in.Caller != atoll.Management {
			return nil, atoll.Errorf(atoll.PermissionDenied, "only the operator configures an installation")
		}
		var c Config
		if err := wire.Unmarshal(in.Payload, &c); err != nil {
			return nil, err
		}
		ctx.State().Set(configKey, wire.Marshal(c))
		return nil, nil
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "the accounts have no update %q", in.Method)
}

// open returns a database; one that does not exist is made first.
func open(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	var req OpenRequest
	if err := wire.Unmarshal(in.Payload, &req); err != nil {
		return nil, err
	}
	if err := req.Database.Check(); err != nil {
		return nil, err
	}
	db, ok, err := load(ctx.State(), req.Database)
	if err != nil {
		return nil, err
	}
	if ok && db.Ready {
		return wire.Marshal(db.Entry), nil
	}
	if len(db.Waiting) >= maxWaiting {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "%d requests wait for %s to be created already", len(db.Waiting), req.Database)
	}
	if !ok {
		if db, err = begin(ctx, req.Database); err != nil {
			return nil, err
		}
	}
	db.Waiting = append(db.Waiting, in.Call)
	save(ctx.State(), db)
	return nil, atoll.ErrDeferred
}

// begin asks for the directory of a new database.
func begin(ctx atoll.Context, name atoll.Database) (db database, err error) {
	cfg, err := config(ctx.State())
	if err != nil {
		return db, err
	}
	var n counters
	if err := get(ctx.State(), countersKey, &n); err != nil {
		return db, err
	}
	if n.Databases >= cfg.Databases {
		return db, atoll.Errorf(atoll.ResourceExhausted, "this installation holds %d databases and takes no more; %s was not created", n.Databases, name)
	}
	db = database{Entry: Entry{Database: name, Created: ctx.Turn().Now}, Subnet: atoll.SubnetID(n.Opened % uint64(cfg.Subnets))}
	n.Databases++
	n.Opened++
	n.Family++
	db.Family = n.Family
	_, err = ctx.Call(subnet.ManagementOf(db.Subnet), subnet.MethodCreate,
		wire.Marshal(subnet.CreateRequest{Program: "directory"}), databaseCycles, wire.Marshal(tag{Database: name}))
	if err != nil {
		return db, err
	}
	ctx.State().Set(countersKey, wire.Marshal(n))
	return db, nil
}

// onReply takes the next step of making a database.
func onReply(ctx atoll.Context, in atoll.Input) error {
	var t tag
	if err := wire.Unmarshal(in.Tag, &t); err != nil {
		return err
	}
	db, ok, err := load(ctx.State(), t.Database)
	if err != nil || !ok {
		return err
	}
	if in.Err != nil {
		return abandon(ctx, db, in.Err)
	}
	if t.Created {
		db.Ready = true
		for _, call := range db.Waiting {
			if err := ctx.Reply(call, wire.Marshal(db.Entry), nil); err != nil {
				return err
			}
		}
		db.Waiting = nil
		save(ctx.State(), db)
		return nil
	}
	var made subnet.CreateReply
	if err := wire.Unmarshal(in.Payload, &made); err != nil {
		return err
	}
	db.Entry.Directory = made.Canister
	req := directory.InitRequest{Database: t.Database, Subnet: db.Subnet, Cycles: databaseCycles / 2, Family: db.Family}
	if _, err := ctx.Call(made.Canister, directory.MethodInit, wire.Marshal(req), 0, wire.Marshal(tag{t.Database, true})); err != nil {
		return abandon(ctx, db, atoll.AsError(err))
	}
	save(ctx.State(), db)
	return nil
}

// abandon tells all who wait that the database could not be made. The next one
// who asks begins anew.
func abandon(ctx atoll.Context, db database, failure *atoll.Error) error {
	for _, call := range db.Waiting {
		if err := ctx.Reply(call, nil, failure); err != nil {
			return err
		}
	}
	var n counters
	if err := get(ctx.State(), countersKey, &n); err != nil {
		return err
	}
	n.Databases--
	ctx.State().Set(countersKey, wire.Marshal(n))
	ctx.State().Delete(databaseKey(db.Entry.Database))
	return nil
}

// Query implements atoll.Program.
func (Program) Query(v atoll.View, q atoll.Question) ([]byte, error) {
	switch q.Method {
	case MethodFind:
		var req OpenRequest
		if err := wire.Unmarshal(q.Payload, &req); err != nil {
			return nil, err
		}
		db, ok, err := load(v.State(), req.Database)
		if err != nil {
			return nil, err
		}
		if !ok || !db.Ready {
			return nil, atoll.Errorf(atoll.NotFound, "there is no database %s", req.Database)
		}
		return wire.Marshal(db.Entry), nil
	case MethodList:
		return list(v.State(), q.Payload)
	case MethodConfig:
		cfg, err := config(v.State())
		return wire.Marshal(cfg), err
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "the accounts have no query %q", q.Method)
}

func list(s atoll.Reader, payload []byte) ([]byte, error) {
	var req ListRequest
	if err := wire.Unmarshal(payload, &req); err != nil {
		return nil, err
	}
	if req.Limit < 1 || req.Limit > 1000 {
		return nil, atoll.Errorf(atoll.Invalid, "a page has 1 to 1000 databases, not %d", req.Limit)
	}
	lo := []byte("d")
	if req.After != (atoll.Database{}) {
		lo = append(databaseKey(req.After), 0)
	}
	var reply ListReply
	it := s.Iter(lo, []byte("e"))
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		var db database
		if err := wire.Unmarshal(bytes.Clone(it.Value()), &db); err != nil {
			it.Close()
			return nil, err
		}
		if !db.Ready {
			continue
		}
		if reply.More = len(reply.Entries) == req.Limit; reply.More {
			break
		}
		reply.Entries = append(reply.Entries, db.Entry)
	}
	return wire.Marshal(reply), it.Close()
}

func config(s atoll.Reader) (c Config, err error) {
	err = get(s, configKey, &c)
	c.Subnets = max(c.Subnets, 1)
	if c.Databases == 0 {
		c.Databases = MaxDatabases
	}
	return c, err
}

func load(s atoll.Reader, name atoll.Database) (db database, ok bool, err error) {
	raw, ok, err := s.Get(databaseKey(name))
	if err != nil || !ok {
		return db, false, err
	}
	return db, true, wire.Unmarshal(raw, &db)
}

func save(s atoll.State, db database) {
	s.Set(databaseKey(db.Entry.Database), wire.Marshal(db))
}

// get reads a value that may be absent.
func get(s atoll.Reader, key []byte, v any) error {
	raw, ok, err := s.Get(key)
	if err != nil || !ok {
		return err
	}
	return wire.Unmarshal(raw, v)
}
