package accounts

import "atoll"

// Methods of the accounts program.
const (
	MethodOpen = "open" // update: OpenRequest -> Entry; creates the database at its first use
	MethodFind = "find" // query: OpenRequest -> Entry, or NotFound
	MethodList = "list" // query: ListRequest -> ListReply

	MethodConfigure = "configure" // update, from the node itself: Config
	MethodConfig    = "config"    // query: -> Config
)

// MaxDatabases is the most databases that an installation holds unless it is
// configured otherwise.
const MaxDatabases = 1000

// Config is what the operator sets for an installation.
type Config struct {
	Subnets   uint32 `cbor:"1,keyasint"` // new databases are spread over subnets 0 to Subnets-1; 0 means 1
	Databases int    `cbor:"2,keyasint"` // limit; 0 means MaxDatabases
}

// OpenRequest names a database.
type OpenRequest struct {
	Database atoll.Database `cbor:"1,keyasint"`
}

// Entry is a database as the registry knows it.
type Entry struct {
	Database  atoll.Database   `cbor:"1,keyasint"`
	Directory atoll.CanisterID `cbor:"2,keyasint"`
	Created   atoll.Time       `cbor:"3,keyasint"`
}

// ListRequest asks for a page of databases, in the order of their names.
type ListRequest struct {
	After atoll.Database `cbor:"1,keyasint,omitempty"`
	Limit int            `cbor:"2,keyasint"` // 1 to 1000
}

// ListReply is one page.
type ListReply struct {
	Entries []Entry `cbor:"1,keyasint,omitempty"`
	More    bool    `cbor:"2,keyasint,omitempty"`
}
