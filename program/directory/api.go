package directory

import (
	"atoll"
	"atoll/program/shard"
)

// Methods of the directory program.
const (
	MethodInit = "init" // update, by its controller, once: InitRequest -> Map, when the first shard owns its range
	MethodMap  = "map"  // query: MapRequest -> Map
)

// InitRequest makes the directory of a new database, with one range.
type InitRequest struct {
	Database atoll.Database `cbor:"1,keyasint"`
	Subnet   atoll.SubnetID `cbor:"2,keyasint"` // where the first shard is to live
	Cycles   uint64         `cbor:"3,keyasint"` // for the first shard
	Family   shard.Family   `cbor:"4,keyasint"` // of the database's documents
}

// MapRequest asks for the descriptors of ranges that meet Start <= key < End
// of a family; empty bounds mean all.
type MapRequest struct {
	Family shard.Family `cbor:"1,keyasint,omitempty"`
	Start  []byte       `cbor:"2,keyasint,omitempty"`
	End    []byte       `cbor:"3,keyasint,omitempty"`
}

// Map is who owns what. Ranges are in key order and leave no gap.
type Map struct {
	// Version counts the changes of the map.
	Version uint64 `cbor:"1,keyasint"`
	// Incarnation is drawn at random when the database is created, so that
	// nothing kept by a client outlives a database of the same name.
	Incarnation [16]byte           `cbor:"2,keyasint"`
	Ranges      []shard.Descriptor `cbor:"3,keyasint"`
}
