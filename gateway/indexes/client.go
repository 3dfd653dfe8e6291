package indexes

import (
	"context"
	"slices"
	"strings"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"atoll"
)

// Client asks a node about the indexes of one database, and changes them. Its
// errors are those of gRPC.
type Client struct {
	admin      adminpb.FirestoreAdminClient
	operations longrunningpb.OperationsClient
	db         atoll.Database
}

// NewClient returns a client that asks over a connection.
func NewClient(cc grpc.ClientConnInterface, db atoll.Database) Client {
	return Client{adminpb.NewFirestoreAdminClient(cc), longrunningpb.NewOperationsClient(cc), db}
}

// Words of Progress.State.
const (
	Building    = "building"
	Ready       = "ready"
	NeedsRepair = "needs repair"
)

// Progress is how far an index is.
type Progress struct {
	State string
	// Documents were looked at, of about Estimate; 0: that is not known.
	Documents, Estimate int64
	Problem             string // of NeedsRepair
}

// Status is what is set about a database's indexes, and how far they are.
type Status struct {
	Indexes   []IndexStatus
	Overrides []OverrideStatus
}

// IndexStatus is a composite index of a database.
type IndexStatus struct {
	Index
	Progress
	Name string // of the resource; its last part is the number of the index
}

// OverrideStatus is a field for which something is set.
type OverrideStatus struct {
	Override
	Progress
}

// Done reports whether nothing is being built any more.
func (s Status) Done() bool {
	return !slices.ContainsFunc(s.Indexes, func(x IndexStatus) bool { return x.State == Building }) &&
		!slices.ContainsFunc(s.Overrides, func(o OverrideStatus) bool { return o.State == Building })
}

// File returns what is set, without how far it is.
func (s Status) File() File {
	var f File
	for _, x := range s.Indexes {
		f.Indexes = append(f.Indexes, x.Index)
	}
	for _, o := range s.Overrides {
		f.Overrides = append(f.Overrides, o.Override)
	}
	f.sort()
	return f
}

const fieldFilter = "indexConfig.usesAncestorConfig:false OR ttlConfig:*"

// Status asks for all indexes and overrides, sorted.
func (c Client) Status(ctx context.Context) (s Status, err error) {
	all := groupName(c.db, anyGroup)
	indexes, err := c.admin.ListIndexes(ctx, &adminpb.ListIndexesRequest{Parent: all})
	if err != nil {
		return s, err
	}
	fields, err := c.admin.ListFields(ctx, &adminpb.ListFieldsRequest{Parent: all, Filter: fieldFilter})
	if err != nil {
		return s, err
	}
	list, err := c.operations.ListOperations(ctx, &longrunningpb.ListOperationsRequest{Name: c.db.String()})
	if err != nil {
		return s, err
	}
	about, err := progressOf(list.GetOperations())
	if err != nil {
		return s, err
	}
	for _, m := range indexes.GetIndexes() {
		_, collection, _, err := parseIndex(m.GetName())
		if err != nil {
			return s, err
		}
		x, err := readComposite(collection, m)
		if err != nil {
			return s, err
		}
		s.Indexes = append(s.Indexes, IndexStatus{x, about.of(m.GetName(), m.GetState()), m.GetName()})
	}
	for _, m := range fields.GetFields() {
		_, collection, field, err := parseField(m.GetName())
		if err != nil {
			return s, err
		}
		if collection == defaultGroup {
			continue
		}
		o := Override{Collection: collection, Field: field, TTL: m.GetTtlConfig() != nil}
		if o.Modes, err = readModes(field, m.GetIndexConfig()); err != nil {
			return s, err
		}
		s.Overrides = append(s.Overrides, OverrideStatus{o, about.of(m.GetName(), adminpb.Index_READY)})
	}
	slices.SortFunc(s.Indexes, func(a, b IndexStatus) int { return compareIndexes(a.Index, b.Index) })
	slices.SortFunc(s.Overrides, func(a, b OverrideStatus) int { return compareOverrides(a.Override, b.Override) })
	return s, nil
}

// progressByName is what operations say of the indexes and fields they are about.
type progressByName map[string]Progress

func progressOf(list []*longrunningpb.Operation) (progressByName, error) {
	out := progressByName{}
	for _, op := range list {
		m, err := op.GetMetadata().UnmarshalNew()
		if err != nil {
			return nil, atoll.Errorf(atoll.Internal, "the operation %.300s cannot be read: %v", op.GetName(), err)
		}
		var name string
		var documents *adminpb.Progress
		switch m := m.(type) {
		case *adminpb.IndexOperationMetadata:
			name, documents = m.GetIndex(), m.GetProgressDocuments()
		case *adminpb.FieldOperationMetadata:
			name, documents = m.GetField(), m.GetProgressDocuments()
		}
		p := Progress{State: Building, Documents: documents.GetCompletedWork(), Estimate: documents.GetEstimatedWork()}
		switch {
		case op.GetError() != nil:
			p.State, p.Problem = NeedsRepair, op.GetError().GetMessage()
		case op.GetDone():
			p.State = Ready
		}
		out[name] = p
	}
	return out, nil
}

// of returns how far an index is; state is what is known without an operation.
func (p progressByName) of(name string, state adminpb.Index_State) Progress {
	if known, ok := p[name]; ok {
		return known
	}
	switch state {
	case adminpb.Index_READY:
		return Progress{State: Ready}
	case adminpb.Index_NEEDS_REPAIR:
		return Progress{State: NeedsRepair}
	}
	return Progress{State: Building}
}

// Change is one step of Apply.
type Change struct {
	Done     string // Created, Deleted, Set or Unset
	Index    *Index // of the first two
	Override *Override
}

// Words of Change.Done.
const (
	Created = "created"
	Deleted = "deleted"
	Set     = "set"
	Unset   = "unset"
)

// Apply makes the database's indexes those of a file, and tells of each step
// that was done; what is as it should be is left alone. What the file does not
// name is deleted and set back, unless keep is set. Applying it again after an
// error does the rest.
//
// New indexes are made before old ones go, so that queries which an old one
// serves are never without; unless both would not fit into one database.
func (c Client) Apply(ctx context.Context, f File, keep bool, tell func(Change)) error {
	now, err := c.Status(ctx)
	if err != nil {
		return err
	}
	var create []Index
	for _, x := range f.Indexes {
		if !slices.ContainsFunc(now.Indexes, func(have IndexStatus) bool { return have.equal(x) }) {
			create = append(create, x)
		}
	}
	var remove []IndexStatus
	for _, have := range now.Indexes {
		if !keep && !slices.ContainsFunc(f.Indexes, have.equal) {
			remove = append(remove, have)
		}
	}
	steps := []func() error{
		func() error { return c.create(ctx, create, tell) },
		func() error { return c.remove(ctx, remove, tell) },
	}
	if len(now.Indexes)+len(create) > MaxIndexes {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return c.applyOverrides(ctx, f, now, keep, tell)
}

func (c Client) create(ctx context.Context, indexes []Index, tell func(Change)) error {
	for _, x := range indexes {
		m := &adminpb.Index{QueryScope: queryScope(x.Group)}
		for _, f := range x.Fields {
			m.Fields = append(m.Fields, indexField(f.Path, f.Desc, f.Contains))
		}
		if _, err := c.admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: groupName(c.db, x.Collection), Index: m}); err != nil {
			return err
		}
		tell(Change{Done: Created, Index: &x})
	}
	return nil
}

func (c Client) remove(ctx context.Context, indexes []IndexStatus, tell func(Change)) error {
	for _, x := range indexes {
		if _, err := c.admin.DeleteIndex(ctx, &adminpb.DeleteIndexRequest{Name: x.Name}); err != nil {
			return err
		}
		tell(Change{Done: Deleted, Index: &x.Index})
	}
	return nil
}

// applyOverrides sets overrides back and then sets others: a collection group
// has one field by which documents expire, and the old one has to end first.
func (c Client) applyOverrides(ctx context.Context, f File, now Status, keep bool, tell func(Change)) error {
	for _, have := range now.Overrides {
		if keep || f.has(have.Collection, have.Field) {
			continue
		}
		if err := c.setField(ctx, &adminpb.Field{Name: fieldName(c.db, have.Collection, have.Field)}); err != nil {
			return err
		}
		tell(Change{Done: Unset, Override: &have.Override})
	}
	sorted := slices.Clone(f.Overrides)
	slices.SortStableFunc(sorted, func(a, b Override) int { return compareBool(a.TTL, b.TTL) })
	for _, o := range sorted {
		if slices.ContainsFunc(now.Overrides, func(have OverrideStatus) bool { return have.fieldIndex() == o.fieldIndex() }) {
			continue
		}
		m := &adminpb.Field{Name: fieldName(c.db, o.Collection, o.Field), IndexConfig: &adminpb.Field_IndexConfig{}}
		for _, mode := range o.Modes {
			m.IndexConfig.Indexes = append(m.IndexConfig.Indexes, &adminpb.Index{
				QueryScope: queryScope(mode.Group), Fields: []*adminpb.Index_IndexField{indexField(o.Field, mode.Desc, mode.Contains)},
			})
		}
		if o.TTL {
			m.TtlConfig = &adminpb.Field_TtlConfig{}
		}
		if err := c.setField(ctx, m); err != nil {
			return err
		}
		tell(Change{Done: Set, Override: &o})
	}
	return nil
}

func (c Client) setField(ctx context.Context, m *adminpb.Field) error {
	_, err := c.admin.UpdateField(ctx, &adminpb.UpdateFieldRequest{
		Field: m, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"index_config", "ttl_config"}},
	})
	return err
}

// String describes an index for people, as in "shops (city, opened desc)".
func (x Index) String() string {
	s := x.Collection
	if x.Group {
		s += " group"
	}
	return s + " (" + x.FieldText() + ")"
}

// FieldText describes the fields of an index for people. The document's name is
// left out where it goes without saying.
func (x Index) FieldText() string {
	var out []string
	for _, f := range x.shown() {
		s := f.Path
		switch {
		case f.Contains:
			s += " contains"
		case f.Desc:
			s += " desc"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// String describes an override for people, as in "shops.tags: not indexed".
func (o Override) String() string { return o.Collection + "." + o.Field + ": " + o.Effect() }

// Effect describes for people what an override does.
func (o Override) Effect() string {
	var s string
	switch f := o.fieldIndex(); {
	case f.Off:
		s = "not indexed"
	case f.Group:
		s = "indexed for collections and their group"
	default:
		s = "indexed for collections"
	}
	if o.TTL {
		s += "; documents expire by it"
	}
	return s
}
