package indexes

import (
	"context"
	"slices"
	"strings"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"

	"atoll"
	"atoll/program/shard"
	"atoll/route"
)

// parseField reads the name of a field.
func parseField(name string) (db atoll.Database, collection, field string, err error) {
	db, collection, field, err = parseMember(name, "fields")
	if err != nil || collection == defaultGroup && field == EveryField {
		return db, collection, field, err
	}
	o, err := Override{Collection: collection, Field: field}.Checked()
	return db, o.Collection, o.Field, err
}

// GetField implements adminpb.FirestoreAdminServer.
func (s *Service) GetField(ctx context.Context, req *adminpb.GetFieldRequest) (*adminpb.Field, error) {
	db, collection, field, err := parseField(req.GetName())
	if err != nil {
		return nil, err
	}
	set, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	return writeField(db, set, collection, field), nil
}

// ListFields implements adminpb.FirestoreAdminServer. As in Firestore it lists
// the fields for which something is set, and has to be asked for just these.
func (s *Service) ListFields(ctx context.Context, req *adminpb.ListFieldsRequest) (*adminpb.ListFieldsResponse, error) {
	db, collection, err := parseGroup(req.GetParent())
	if err != nil {
		return nil, err
	}
	overridden, expiring, err := parseFieldFilter(req.GetFilter())
	if err != nil {
		return nil, err
	}
	set, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []*adminpb.Field
	if overridden && (collection == anyGroup || collection == defaultGroup) {
		all = append(all, writeField(db, set, defaultGroup, EveryField))
	}
	for _, f := range set.Fields {
		if (collection == anyGroup || collection == f.Collection) && (overridden || expiring && f.TTL) {
			all = append(all, writeField(db, set, f.Collection, f.Field))
		}
	}
	page, next, err := paged(all, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &adminpb.ListFieldsResponse{Fields: page, NextPageToken: next}, nil
}

// parseFieldFilter reads which fields are asked for: those that are not indexed
// by default, those by which documents expire, or both.
func parseFieldFilter(text string) (overridden, expiring bool, err error) {
	for term := range strings.SplitSeq(text, " OR ") {
		switch strings.ReplaceAll(strings.TrimSpace(term), " ", "") {
		case "indexConfig.usesAncestorConfig:false", "indexConfig.usesAncestorConfig=false":
			overridden = true
		case "ttlConfig:*":
			expiring = true
		default:
			return false, false, atoll.Errorf(atoll.Invalid,
				`the filter %.200q is not understood; fields are listed with "indexConfig.usesAncestorConfig:false", "ttlConfig:*", or both joined by OR`, text)
		}
	}
	return overridden, expiring, nil
}

// UpdateField implements adminpb.FirestoreAdminServer. Without a mask all is
// set: what the field lacks goes back to what it is by default.
func (s *Service) UpdateField(ctx context.Context, req *adminpb.UpdateFieldRequest) (*longrunningpb.Operation, error) {
	m := req.GetField()
	db, collection, field, err := parseField(m.GetName())
	if err != nil {
		return nil, err
	}
	if collection == defaultGroup {
		return nil, atoll.Errorf(atoll.Unimplemented, "what holds for all collections cannot be changed; set the field %s of each collection group", EveryField)
	}
	byIndex, byTTL, err := parseFieldMask(req)
	if err != nil {
		return nil, err
	}
	modes, err := readModes(field, m.GetIndexConfig())
	if err != nil {
		return nil, err
	}
	if m.GetTtlConfig().GetExpirationOffset().AsDuration() != 0 {
		return nil, atoll.Errorf(atoll.Unimplemented, "documents expire at the time that their field holds; an expiration offset is not supported")
	}
	_, err = s.change(ctx, db, func(f *File) error {
		next := f.override(collection, field)
		if byTTL {
			next.TTL = m.GetTtlConfig() != nil
		}
		if byIndex {
			next.Modes = modes
		}
		set := !byIndex && f.has(collection, field) || next.TTL || byIndex && m.GetIndexConfig() != nil
		if byIndex && m.GetIndexConfig() == nil {
			next.Modes = f.inherited(collection, field)
		}
		return f.put(next, set)
	})
	if err != nil {
		return nil, err
	}
	return s.operation(ctx, operation{db: db, collection: collection, field: field})
}

// parseFieldMask returns what is to be set.
func parseFieldMask(req *adminpb.UpdateFieldRequest) (byIndex, byTTL bool, err error) {
	paths := req.GetUpdateMask().GetPaths()
	for _, p := range paths {
		switch p {
		case "index_config", "index_config.indexes":
			byIndex = true
		case "ttl_config":
			byTTL = true
		case "*":
			byIndex, byTTL = true, true
		default:
			return false, false, atoll.Errorf(atoll.Invalid, "the update mask has %.200q; a field has index_config and ttl_config", p)
		}
	}
	if len(paths) == 0 {
		return true, true, nil
	}
	return byIndex, byTTL, nil
}

// readModes reads how a field is to be indexed.
func readModes(field string, c *adminpb.Field_IndexConfig) ([]Mode, error) {
	var modes []Mode
	for _, x := range c.GetIndexes() {
		group, err := readQueryScope(x)
		if err != nil {
			return nil, err
		}
		if n := len(x.GetFields()); n != 1 {
			return nil, atoll.Errorf(atoll.Invalid, "an index of one field has one field, not %d; composite indexes are made with CreateIndex", n)
		}
		f := x.GetFields()[0]
		if p := f.GetFieldPath(); p != "" && p != field {
			return nil, atoll.Errorf(atoll.Invalid, "the index of the field %s names the field %.200q", field, p)
		}
		desc, array, err := readIndexField(f)
		if err != nil {
			return nil, err
		}
		modes = append(modes, Mode{group, desc, array})
	}
	return modes, nil
}

// override returns what is set for a field, or what holds for it without.
func (f *File) override(collection, field string) Override {
	for _, o := range f.Overrides {
		if o.Collection == collection && o.Field == field {
			return o
		}
	}
	return Override{Collection: collection, Field: field, Modes: f.inherited(collection, field)}
}

func (f *File) has(collection, field string) bool {
	return slices.ContainsFunc(f.Overrides, func(o Override) bool { return o.Collection == collection && o.Field == field })
}

// inherited returns how a field is indexed for which nothing is set.
func (f *File) inherited(collection, field string) []Mode {
	if field != EveryField && f.has(collection, EveryField) {
		return f.override(collection, EveryField).Modes
	}
	return DefaultModes
}

// put sets an override in place of the one before, or takes that one away.
func (f *File) put(o Override, set bool) error {
	f.Overrides = slices.DeleteFunc(f.Overrides, func(p Override) bool { return p.Collection == o.Collection && p.Field == o.Field })
	if !set {
		return nil
	}
	o, err := o.Checked()
	if err != nil {
		return err
	}
	if len(f.Overrides) >= MaxOverrides {
		return atoll.Errorf(atoll.ResourceExhausted, "the database has %d field overrides, which is the limit", MaxOverrides)
	}
	if err := f.clashes(o); err != nil {
		return atoll.Errorf(atoll.FailedPrecondition, "%s", atoll.AsError(err).Msg)
	}
	f.Overrides = append(f.Overrides, o)
	return nil
}

// findField returns what is set for a field.
func findField(set route.IndexSet, collection, field string) (route.FieldProgress, bool) {
	for _, f := range set.Fields {
		if f.Collection == collection && f.Field == field {
			return f, true
		}
	}
	return route.FieldProgress{}, false
}

// fieldProgress returns how far the indexes of a field are. All fields of a
// collection group change together, so one for which nothing is set is not as
// it will be before the others are.
func fieldProgress(set route.IndexSet, collection, field string) shard.IndexProgress {
	if f, ok := findField(set, collection, field); ok {
		return f.IndexProgress
	}
	for _, f := range set.Fields {
		if f.Collection == collection {
			return f.IndexProgress
		}
	}
	for _, f := range set.Back {
		if f.Collection == collection {
			return f.IndexProgress
		}
	}
	return shard.IndexProgress{State: shard.IndexReady}
}

// writeField returns a field as Google's clients know it.
func writeField(db atoll.Database, set route.IndexSet, collection, field string) *adminpb.Field {
	m := &adminpb.Field{Name: fieldName(db, collection, field), IndexConfig: &adminpb.Field_IndexConfig{}}
	state := fieldProgress(set, collection, field).State
	modes := DefaultModes
	f, ok := findField(set, collection, field)
	every, all := findField(set, collection, EveryField)
	switch {
	case ok:
		modes = modesOf(f.FieldIndex)
	case all:
		modes = modesOf(every.FieldIndex)
	}
	if collection != defaultGroup {
		m.IndexConfig.UsesAncestorConfig = !ok
		m.IndexConfig.AncestorField = fieldName(db, defaultGroup, EveryField)
		if all && field != EveryField {
			m.IndexConfig.AncestorField = fieldName(db, collection, EveryField)
		}
	}
	for _, mode := range modes {
		m.IndexConfig.Indexes = append(m.IndexConfig.Indexes, &adminpb.Index{
			QueryScope: queryScope(mode.Group), State: indexState(state), Fields: []*adminpb.Index_IndexField{indexField(field, mode.Desc, mode.Contains)},
		})
	}
	if ok && f.TTL {
		m.TtlConfig = &adminpb.Field_TtlConfig{State: ttlState(state)}
	}
	return m
}

func ttlState(s shard.IndexState) adminpb.Field_TtlConfig_State {
	switch s {
	case shard.IndexReady:
		return adminpb.Field_TtlConfig_ACTIVE
	case shard.IndexFailed:
		return adminpb.Field_TtlConfig_NEEDS_REPAIR
	}
	return adminpb.Field_TtlConfig_CREATING
}
