package value

import (
	"slices"

	"atoll"
)

// ApplyMask returns old with the fields at paths taken from doc: those that doc
// has are set, with the maps on the way to them, and those that doc lacks are
// removed. It is Firestore's update with an update mask. Paths may come in any
// order, and may lie in one another. It fails with Invalid on a path that names
// no field, such as __name__.
func ApplyMask(old, doc Value, paths []FieldPath) (Value, error) {
	for _, p := range paths {
		if p.IsName() {
			return Value{}, atoll.Errorf(atoll.Invalid, "the document mask names %s, which is no field", NameField)
		}
		if err := p.Check(); err != nil {
			return Value{}, err
		}
	}
	return sortedMap(merge(old.fields(), doc, sortPaths(paths), 0)), nil
}

// SetPath returns doc with the field at path set to v. What is not a map on the
// way there becomes one. An empty path sets nothing.
func SetPath(doc Value, path FieldPath, v Value) Value {
	if len(path) == 0 {
		return doc
	}
	with := v
	for i := len(path) - 1; i >= 0; i-- {
		with = sortedMap([]Field{{path[i], with}})
	}
	return sortedMap(merge(doc.fields(), with, []FieldPath{path}, 0))
}

// Project returns doc with nothing but the fields at paths; those that it
// lacks are left out, and so are maps that would be empty for it. It is
// Firestore's read mask. __name__ adds nothing.
func Project(doc Value, paths []FieldPath) Value {
	return sortedMap(project(doc.fields(), sortPaths(paths), 0))
}

// sortPaths returns the paths in order, so that those with the same beginning
// stand together, the shortest first.
func sortPaths(paths []FieldPath) []FieldPath {
	sorted := slices.DeleteFunc(slices.Clone(paths), func(p FieldPath) bool { return len(p) == 0 })
	slices.SortFunc(sorted, FieldPath.Compare)
	return sorted
}

// cutGroup splits off the paths that share their name at depth.
func cutGroup(paths []FieldPath, depth int) (name string, group, rest []FieldPath) {
	name = paths[0][depth]
	n := 1
	for n < len(paths) && paths[n][depth] == name {
		n++
	}
	return name, paths[:n], paths[n:]
}

// merge returns old with the fields at paths taken from doc. The paths are
// sorted and share their first depth names, which lead to old and doc.
func merge(old []Field, doc Value, paths []FieldPath, depth int) []Field {
	out := make([]Field, 0, len(old)+len(paths))
	for len(paths) > 0 {
		name, group, rest := cutGroup(paths, depth)
		paths = rest
		for len(old) > 0 && old[0].Name < name {
			out, old = append(out, old[0]), old[1:]
		}
		var before Value
		had := len(old) > 0 && old[0].Name == name
		if had {
			before, old = old[0].Value, old[1:]
		}
		after, has := mergeField(before, had, doc, name, group, depth)
		if has {
			out = append(out, Field{name, after})
		}
	}
	return append(out, old...)
}

// mergeField returns what becomes of one field that all paths of the group go
// to or through.
func mergeField(before Value, had bool, doc Value, name string, group []FieldPath, depth int) (after Value, has bool) {
	given, isGiven := doc.Get(name)
	if len(group[0]) == depth+1 {
		return given, isGiven
	}
	fields := merge(before.fields(), given, group, depth+1)
	if before.kind != KindMap && len(fields) == 0 {
		return before, had // nothing was set below it, so it does not become a map
	}
	return sortedMap(fields), true
}

// project returns the fields at paths, which are sorted and share their first
// depth names.
func project(fields []Field, paths []FieldPath, depth int) []Field {
	var out []Field
	for len(paths) > 0 {
		name, group, rest := cutGroup(paths, depth)
		paths = rest
		i, ok := findField(fields, name)
		if !ok {
			continue
		}
		if len(group[0]) == depth+1 {
			out = append(out, fields[i])
			continue
		}
		if below := project(fields[i].Value.fields(), group, depth+1); len(below) > 0 {
			out = append(out, Field{name, sortedMap(below)})
		}
	}
	return out
}
