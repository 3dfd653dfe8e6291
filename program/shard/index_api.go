package shard

import (
	"slices"
	"strings"

	"atoll"
	"atoll/keys"
	"atoll/value"
)

// Limits of what a database's owner may set about its indexes, as in
// Firestore's "Quotas and limits" without a billing account.
const (
	MaxComposites = 200 // composite indexes of a database
	MaxIndexParts = 100 // fields of a composite index
	MaxExempt     = 200 // fields that are indexed otherwise than by default
)

// FirstComposite is the id of the first composite index of a database.
const FirstComposite = keys.FirstComposite

// Administrator is in whose name the doors send what the installation's
// administrator asks for. It is an opaque id of the Internet Computer
// interface specification ("Principals"), which no user and no canister has.
const Administrator atoll.Principal = "owner\x01"

// EveryField in FieldIndex.Field stands for all fields of a collection group
// for which nothing else is set.
const EveryField = "*"

// IndexConfig is what a database's owner sets about its indexes, as in
// firestore.indexes.json. A change takes effect at once for writes, and for
// queries when the index is built.
type IndexConfig struct {
	Version    uint64           `cbor:"1,keyasint"` // grows with each change; the directory counts
	Composites []CompositeIndex `cbor:"2,keyasint,omitempty"`
	Exempt     []FieldIndex     `cbor:"3,keyasint,omitempty"` // fields that are not indexed by themselves, or otherwise than by default
}

// CompositeIndex orders documents by several fields. It holds the documents
// that have all of them.
type CompositeIndex struct {
	// ID is handed out by the directory, from 16 on, and never again.
	ID         uint32 `cbor:"1,keyasint"`
	Collection string `cbor:"2,keyasint"`           // the id of the collections whose documents it holds
	Group      bool   `cbor:"3,keyasint,omitempty"` // for queries over the collection group; else for those over one collection
	// Fields, 2 to MaxIndexParts: of several, at most one by array element.
	// __name__ may stand last; if it does not, documents with equal values are
	// in the direction of the last field.
	Fields []IndexedPart `cbor:"4,keyasint"`
}

// IndexedPart is one field of a composite index.
type IndexedPart struct {
	Field    string `cbor:"1,keyasint"` // canonical path
	Desc     bool   `cbor:"2,keyasint,omitempty"`
	Contains bool   `cbor:"3,keyasint,omitempty"` // by array element
}

// FieldIndex says how one field of a collection group is indexed by itself. It
// also holds for the fields of its map, but for those with a FieldIndex of
// their own. Fields without any are indexed for queries over one collection.
type FieldIndex struct {
	Collection string `cbor:"1,keyasint"`
	Field      string `cbor:"2,keyasint"` // canonical path; EveryField is all others
	Off        bool   `cbor:"3,keyasint,omitempty"`
	Group      bool   `cbor:"4,keyasint,omitempty"` // also for queries over the collection group
	// TTL makes the field a time-to-live field. The shard's indexes do not
	// look at it: it only travels with the configuration.
	TTL bool `cbor:"5,keyasint,omitempty"`
}

// IndexState is where an index is on its way. Numbers are sent.
type IndexState uint8

// The states. Queries use an index that is IndexReady alone; writes maintain
// that and one that is IndexBuilding.
const (
	IndexBuilding IndexState = 1
	IndexReady    IndexState = 2
	IndexFailed   IndexState = 3 // needs repair; IndexProgress.Reason tells why
	IndexDeleting IndexState = 4
)

// IndexProgress is how far one index of a shard is.
type IndexProgress struct {
	State IndexState `cbor:"1,keyasint"`
	// Documents is how many were looked at by the build at hand, of about
	// Estimate, which is 0 if that is not known.
	Documents uint64 `cbor:"2,keyasint,omitempty"`
	Estimate  uint64 `cbor:"3,keyasint,omitempty"`
	Entries   uint64 `cbor:"4,keyasint,omitempty"` // written, or removed
	Reason    string `cbor:"5,keyasint,omitempty"` // of IndexFailed
	// Whole is the earliest time at which a read may use the index, if it is
	// ready.
	Whole atoll.Time `cbor:"6,keyasint,omitempty"`
}

// CompositeProgress is that of a composite index.
type CompositeProgress struct {
	Index CompositeIndex `cbor:"10,keyasint"`
	IndexProgress
}

// FieldsProgress is that of all FieldIndexes of one collection group: they
// change together. Those that were there before the last change are used
// meanwhile.
type FieldsProgress struct {
	Collection string `cbor:"10,keyasint"`
	IndexProgress
}

// IndexStatus is how far a shard's indexes are.
type IndexStatus struct {
	Version    uint64              `cbor:"1,keyasint"` // of the IndexConfig that it follows; 0: it never got one
	Composites []CompositeProgress `cbor:"2,keyasint,omitempty"`
	Fields     []FieldsProgress    `cbor:"3,keyasint,omitempty"`
	Pending    bool                `cbor:"4,keyasint,omitempty"` // something is to be built or removed: send MethodBuild
}

// MaxBuild is the largest Limit of a BuildRequest.
const MaxBuild = 10_000

// BuildRequest asks a shard to go on building and deleting indexes.
type BuildRequest struct {
	Limit int `cbor:"1,keyasint"` // documents or index entries to look at, 1 to MaxBuild
}

// BuildReply says how far it came.
type BuildReply struct {
	Changed int  `cbor:"1,keyasint"` // keys written or removed
	More    bool `cbor:"2,keyasint"` // there is more to do: send it again
}

// Check fails with Invalid on a configuration that breaks a limit, names a
// field or collection that cannot be, or says the same twice. IDs are not
// looked at.
func (c *IndexConfig) Check() error {
	if len(c.Composites) > MaxComposites || len(c.Exempt) > MaxExempt {
		return atoll.Errorf(atoll.Invalid, "%d composite indexes and %d field overrides; %d and %d are allowed",
			len(c.Composites), len(c.Exempt), MaxComposites, MaxExempt)
	}
	for i := range c.Composites {
		x := &c.Composites[i]
		if err := x.Check(); err != nil {
			return err
		}
		for j := range i {
			if c.Composites[j].Same(x) {
				return atoll.Errorf(atoll.Invalid, "the composite index %s is there twice", x)
			}
		}
	}
	seen := make(map[[2]string]bool, len(c.Exempt))
	for i := range c.Exempt {
		f := &c.Exempt[i]
		if err := f.check(); err != nil {
			return err
		}
		at := [2]string{f.Collection, f.Field}
		if seen[at] {
			return atoll.Errorf(atoll.Invalid, "the field %s of %s is overridden twice", f.Field, f.Collection)
		}
		seen[at] = true
	}
	return nil
}

// Check fails with Invalid on an index that cannot be.
func (x *CompositeIndex) Check() error {
	if err := checkGroup(x.Collection); err != nil {
		return err
	}
	fields := x.Parts()
	if len(fields) < 2 || len(x.Fields) > MaxIndexParts {
		return atoll.Errorf(atoll.Invalid, "the composite index %s has %d fields; 2 to %d are allowed besides %s, and one field has an index of its own",
			x, len(fields), MaxIndexParts, value.NameField)
	}
	elements := 0
	seen := make(map[string]bool, len(fields))
	for _, p := range fields {
		if err := checkField(p.Field); err != nil {
			return err
		}
		if seen[p.Field] {
			return atoll.Errorf(atoll.Invalid, "the composite index %s has the field %s twice", x, p.Field)
		}
		seen[p.Field] = true
		if p.Contains {
			elements++
		}
		if p.Contains && p.Desc || elements > 1 {
			return atoll.Errorf(atoll.Invalid, "the composite index %s: one field may be indexed by array element, and it has no direction", x)
		}
	}
	return nil
}

// check fails with Invalid on an override that cannot be.
func (f *FieldIndex) check() error {
	if err := checkGroup(f.Collection); err != nil {
		return err
	}
	if f.Off && f.Group {
		return atoll.Errorf(atoll.Invalid, "the field %s of %s is to have no index, and one for the collection group", f.Field, f.Collection)
	}
	if f.Field == EveryField {
		if f.TTL {
			return atoll.Errorf(atoll.Invalid, "a time-to-live field of %s must be named", f.Collection)
		}
		return nil
	}
	return checkField(f.Field)
}

func checkGroup(id string) error {
	if p := atoll.Path(id); !p.IsCollection() || p.Len() != 1 {
		return atoll.Errorf(atoll.Invalid, "%q is no collection id", id)
	}
	return atoll.Path(id).Check()
}

// checkField fails with Invalid on a path that is not canonical, or __name__.
func checkField(text string) error {
	path, err := value.ParseFieldPath(text)
	if err != nil {
		return err
	}
	if path.IsName() {
		return atoll.Errorf(atoll.Invalid, "%s is part of every index and can only stand last in a composite one", text)
	}
	if s := path.String(); s != text {
		return atoll.Errorf(atoll.Invalid, "the field path %q is to be written as %q", text, s)
	}
	return nil
}

// Same reports whether two indexes order the same documents in the same way.
// Their ids are not looked at.
func (x *CompositeIndex) Same(o *CompositeIndex) bool {
	return x.Collection == o.Collection && x.Group == o.Group && slices.Equal(x.Parts(), o.Parts()) && x.nameDesc() == o.nameDesc()
}

// Parts returns the fields without the name.
func (x *CompositeIndex) Parts() []IndexedPart {
	if n := len(x.Fields); n > 0 && x.Fields[n-1].Field == value.NameField {
		return x.Fields[:n-1]
	}
	return x.Fields
}

// nameDesc reports whether documents with equal values descend.
func (x *CompositeIndex) nameDesc() bool { return len(x.Fields) > 0 && x.Fields[len(x.Fields)-1].Desc }

// String describes the index for people, as in "c (a, b desc)".
func (x *CompositeIndex) String() string {
	var b strings.Builder
	b.WriteString(x.Collection)
	if x.Group {
		b.WriteString(" group")
	}
	b.WriteString(" (")
	for i, p := range x.Fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Field)
		switch {
		case p.Desc:
			b.WriteString(" desc")
		case p.Contains:
			b.WriteString(" contains")
		}
	}
	b.WriteString(")")
	return b.String()
}
