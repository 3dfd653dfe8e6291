package indexes

import (
	"slices"

	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

// allModes are those of a field that is indexed for the collection group too.
var allModes = []Mode{{}, {Desc: true}, {Contains: true}, {Group: true}, {Group: true, Desc: true}, {Group: true, Contains: true}}

// Config returns what a directory has to be told to get these indexes.
func (f File) Config() shard.IndexConfig {
	var c shard.IndexConfig
	for _, x := range f.Indexes {
		c.Composites = append(c.Composites, x.composite())
	}
	for _, o := range f.Overrides {
		c.Exempt = append(c.Exempt, o.fieldIndex())
	}
	return c
}

func (x Index) composite() shard.CompositeIndex {
	c := shard.CompositeIndex{Collection: x.Collection, Group: x.Group}
	for _, f := range x.Fields {
		c.Fields = append(c.Fields, shard.IndexedPart{Field: f.Path, Desc: f.Desc, Contains: f.Contains})
	}
	return c
}

// fieldIndex returns the override as a shard has it: on or off, for each
// collection or for the group as well.
func (o Override) fieldIndex() shard.FieldIndex {
	f := shard.FieldIndex{Collection: o.Collection, Field: o.Field, TTL: o.TTL, Off: len(o.Modes) == 0}
	f.Group = !f.Off && (o.TTL || slices.ContainsFunc(o.Modes, func(m Mode) bool { return m.Group }))
	return f
}

// FileOf returns what is set about a database's indexes, without what is being
// deleted.
func FileOf(set route.IndexSet) File {
	var f File
	for _, c := range set.Composites {
		if c.State != shard.IndexDeleting {
			f.Indexes = append(f.Indexes, indexOf(c.Index))
		}
	}
	for _, field := range set.Fields {
		f.Overrides = append(f.Overrides, overrideOf(field.FieldIndex))
	}
	f.sort()
	return f
}

// indexOf returns an index with its fields as Checked would, the name last.
func indexOf(c shard.CompositeIndex) Index {
	x := Index{Collection: c.Collection, Group: c.Group}
	for _, p := range c.Fields {
		x.Fields = append(x.Fields, Field{p.Field, p.Desc, p.Contains})
	}
	x.Fields = append(slices.Clip(x.withoutName()), Field{Path: value.NameField, Desc: x.nameGoesDown()})
	return x
}

func overrideOf(f shard.FieldIndex) Override {
	return Override{Collection: f.Collection, Field: f.Field, TTL: f.TTL, Modes: modesOf(f)}
}

func modesOf(f shard.FieldIndex) []Mode {
	switch {
	case f.Off:
		return nil
	case f.Group:
		return allModes
	}
	return DefaultModes
}

// Same reports whether two files give a database the same indexes.
func (f File) Same(g File) bool {
	if len(f.Indexes) != len(g.Indexes) || len(f.Overrides) != len(g.Overrides) {
		return false
	}
	for _, x := range f.Indexes {
		if !slices.ContainsFunc(g.Indexes, x.equal) {
			return false
		}
	}
	for _, o := range f.Overrides {
		if !slices.ContainsFunc(g.Overrides, func(p Override) bool { return p.fieldIndex() == o.fieldIndex() }) {
			return false
		}
	}
	return true
}

// ForGroup reports whether the field is indexed for its collection group too.
func (o Override) ForGroup() bool { return o.fieldIndex().Group }
