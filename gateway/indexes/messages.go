package indexes

import (
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"

	"atoll"
	"atoll/program/shard"
)

// readComposite reads an index from a request.
func readComposite(collection string, m *adminpb.Index) (Index, error) {
	x := Index{Collection: collection}
	var err error
	if x.Group, err = readQueryScope(m); err != nil {
		return x, err
	}
	for _, f := range m.GetFields() {
		desc, array, err := readIndexField(f)
		if err != nil {
			return x, err
		}
		x.Fields = append(x.Fields, Field{f.GetFieldPath(), desc, array})
	}
	return x.Checked()
}

// readQueryScope reads what an index has beside its fields.
func readQueryScope(m *adminpb.Index) (group bool, err error) {
	switch {
	case m.GetApiScope() != adminpb.Index_ANY_API:
		return false, atoll.Errorf(atoll.Invalid, "indexes of the API scope %s are for other editions; leave it out", m.GetApiScope())
	case m.GetDensity() != adminpb.Index_DENSITY_UNSPECIFIED && m.GetDensity() != adminpb.Index_SPARSE_ALL:
		return false, atoll.Errorf(atoll.Invalid, "indexes of the density %s are for other editions; leave it out", m.GetDensity())
	case m.GetMultikey() || m.GetUnique():
		return false, atoll.Errorf(atoll.Invalid, "multikey and unique indexes are for other editions; leave it out")
	}
	switch m.GetQueryScope() {
	case adminpb.Index_COLLECTION:
		return false, nil
	case adminpb.Index_COLLECTION_GROUP:
		return true, nil
	}
	return false, atoll.Errorf(atoll.Invalid, "the query scope %s is neither COLLECTION nor COLLECTION_GROUP", m.GetQueryScope())
}

func readIndexField(f *adminpb.Index_IndexField) (desc, array bool, err error) {
	switch v := f.GetValueMode().(type) {
	case *adminpb.Index_IndexField_VectorConfig_:
		return false, false, notOrdered(true)
	case *adminpb.Index_IndexField_SearchConfig_:
		return false, false, notOrdered(false)
	case *adminpb.Index_IndexField_Order_:
		switch v.Order {
		case adminpb.Index_IndexField_ASCENDING:
			return false, false, nil
		case adminpb.Index_IndexField_DESCENDING:
			return true, false, nil
		}
	case *adminpb.Index_IndexField_ArrayConfig_:
		if v.ArrayConfig == adminpb.Index_IndexField_CONTAINS {
			return false, true, nil
		}
	}
	return false, false, atoll.Errorf(atoll.Invalid, "the field %.200q needs the order ASCENDING or DESCENDING, or the arrayConfig CONTAINS", f.GetFieldPath())
}

// writeComposite returns an index as Google's clients know it.
func writeComposite(db atoll.Database, c shard.CompositeProgress) *adminpb.Index {
	x := indexOf(c.Index)
	m := &adminpb.Index{
		Name: indexName(db, x.Collection, c.Index.ID), QueryScope: queryScope(x.Group), State: indexState(c.State), Density: adminpb.Index_SPARSE_ALL,
	}
	for _, f := range x.Fields {
		m.Fields = append(m.Fields, indexField(f.Path, f.Desc, f.Contains))
	}
	return m
}

func queryScope(group bool) adminpb.Index_QueryScope {
	if group {
		return adminpb.Index_COLLECTION_GROUP
	}
	return adminpb.Index_COLLECTION
}

func indexState(s shard.IndexState) adminpb.Index_State {
	switch s {
	case shard.IndexReady:
		return adminpb.Index_READY
	case shard.IndexFailed:
		return adminpb.Index_NEEDS_REPAIR
	}
	return adminpb.Index_CREATING
}

func indexField(path string, desc, array bool) *adminpb.Index_IndexField {
	f := &adminpb.Index_IndexField{FieldPath: path}
	switch {
	case array:
		f.ValueMode = &adminpb.Index_IndexField_ArrayConfig_{ArrayConfig: adminpb.Index_IndexField_CONTAINS}
	case desc:
		f.ValueMode = &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_DESCENDING}
	default:
		f.ValueMode = &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING}
	}
	return f
}
