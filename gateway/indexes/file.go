package indexes

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"atoll"
	"atoll/value"
)

// Limits of what can be configured, as in Firestore's "Quotas and limits".
const (
	MaxIndexes   = 200     // composite indexes of a database
	MaxOverrides = 200     // fields of a database that are not indexed by default
	MaxFields    = 100     // fields of one composite index
	MaxFile      = 4 << 20 // bytes of a file
)

// File is what a file firestore.indexes.json says, and what a database has:
// the form that firebase-tools defines (its Spec.IndexFile).
type File struct {
	Indexes   []Index
	Overrides []Override
}

// Index is a composite index. The document's name, __name__, stands last in
// every one: see Checked.
type Index struct {
	Collection string // id
	Group      bool   // over all collections of that id, not those below one document
	Fields     []Field
}

// Field is one field of a composite index.
type Field struct {
	Path     string // canonical text
	Desc     bool
	Contains bool // by array element
}

// Override says how one field of a collection group is indexed by itself, in
// place of the default (ascending, descending and by array element, in each
// collection), and whether it makes documents expire.
type Override struct {
	Collection string // id
	Field      string // canonical text, or * for all fields that have no override of their own
	TTL        bool
	Modes      []Mode // none: the field is not indexed by itself
}

// Mode is one way to index a field by itself.
type Mode struct{ Group, Desc, Contains bool }

// EveryField is the field of an Override that concerns all fields.
const EveryField = "*"

// DefaultModes are those of a field without an override.
var DefaultModes = []Mode{{}, {Desc: true}, {Contains: true}}

// Values of the format.
const (
	scopeCollection = "COLLECTION"
	scopeGroup      = "COLLECTION_GROUP"
	ascending       = "ASCENDING"
	descending      = "DESCENDING"
	contains        = "CONTAINS"
	arrayContains   = "ARRAY_CONTAINS" // in the older form, see readMode
	anyAPI          = "ANY_API"
	sparseAll       = "SPARSE_ALL"
	noDensity       = "DENSITY_UNSPECIFIED"
)

// Parse reads a file. What is left out that firebase-tools lets out is taken
// as there, but for ttl: a field without it makes no documents expire, so that
// a file from which the line was taken out does what it says. An error is of
// kind Invalid and names the line, the place in the file, and what to do.
func Parse(text []byte) (File, error) {
	var f File
	if len(text) > MaxFile {
		return f, atoll.Errorf(atoll.Invalid, "the file has %d bytes; %d are allowed", len(text), MaxFile)
	}
	root, err := parseJSON(text)
	if err != nil {
		return f, err
	}
	if err := root.object("indexes", "fieldOverrides"); err != nil {
		return f, err
	}
	indexes, err := root.list("indexes")
	if err != nil {
		return f, err
	}
	for _, n := range indexes {
		x, err := readIndex(n)
		if err != nil {
			return f, err
		}
		if slices.ContainsFunc(f.Indexes, x.equal) {
			return f, n.errorf("the same index stands in the file before")
		}
		f.Indexes = append(f.Indexes, x)
		if len(f.Indexes) > MaxIndexes {
			return f, n.errorf("there are more than %d composite indexes, which is the limit of a database", MaxIndexes)
		}
	}
	overrides, err := root.list("fieldOverrides")
	if err != nil {
		return f, err
	}
	for _, n := range overrides {
		o, err := readOverride(n)
		if err != nil {
			return f, err
		}
		if err := f.clashes(o); err != nil {
			return f, n.errorf("%s", atoll.AsError(err).Msg)
		}
		f.Overrides = append(f.Overrides, o)
		if len(f.Overrides) > MaxOverrides {
			return f, n.errorf("there are more than %d field overrides, which is the limit of a database", MaxOverrides)
		}
	}
	f.sort()
	return f, nil
}

// clashes fails if an override cannot stand beside those before.
func (f *File) clashes(o Override) error {
	for _, p := range f.Overrides {
		if p.Collection != o.Collection {
			continue
		}
		if p.Field == o.Field {
			return atoll.Errorf(atoll.Invalid, "the field %s of %s has an override already", o.Field, o.Collection)
		}
		if p.TTL && o.TTL {
			return atoll.Errorf(atoll.Invalid, "documents of %s expire by the field %s already; a collection group has one such field", o.Collection, p.Field)
		}
	}
	return nil
}

// readIndex reads one element of "indexes".
func readIndex(n node) (x Index, err error) {
	if err := n.object("collectionGroup", "collectionId", "queryScope", "fields", "apiScope", "density", "multikey", "unique"); err != nil {
		return x, err
	}
	if x.Collection, err = n.text("collectionGroup"); err == nil && x.Collection == "" {
		x.Collection, err = n.text("collectionId") // its name in the older form
	}
	if err != nil {
		return x, err
	}
	if x.Group, err = readScope(n); err != nil {
		return x, err
	}
	if err := readEdition(n); err != nil {
		return x, err
	}
	fields, err := n.list("fields")
	if err != nil {
		return x, err
	}
	for _, fn := range fields {
		field, err := readField(fn)
		if err != nil {
			return x, err
		}
		x.Fields = append(x.Fields, field)
	}
	if x, err = x.Checked(); err != nil {
		return x, n.errorf("%s", atoll.AsError(err).Msg)
	}
	return x, nil
}

func readScope(n node) (group bool, err error) {
	scope, err := n.word("queryScope", scopeCollection, scopeGroup)
	return scope == scopeGroup, err
}

// readEdition refuses what only other editions of Firestore have.
func readEdition(n node) error {
	if _, err := n.word("apiScope", anyAPI); err != nil {
		return err
	}
	if _, err := n.word("density", sparseAll, noDensity); err != nil {
		return err
	}
	for _, name := range []string{"multikey", "unique"} {
		on, err := n.flag(name)
		if err != nil {
			return err
		}
		if v, _ := n.get(name); on {
			return v.errorf("indexes of this kind are for Firestore's Enterprise edition; leave it out")
		}
	}
	return nil
}

// readField reads one field of a composite index.
func readField(n node) (f Field, err error) {
	if err := n.object("fieldPath", "order", "arrayConfig", "mode", "vectorConfig", "searchConfig"); err != nil {
		return f, err
	}
	for _, name := range []string{"vectorConfig", "searchConfig"} {
		if v, ok := n.get(name); ok {
			return f, v.errorf("%s", atoll.AsError(notOrdered(name == "vectorConfig")).Msg)
		}
	}
	if f.Path, err = n.text("fieldPath"); err != nil {
		return f, err
	}
	f.Desc, f.Contains, err = readMode(n)
	return f, err
}

// notOrdered refuses a field that is indexed in a way that Atoll lacks.
func notOrdered(vector bool) error {
	if vector {
		return atoll.Errorf(atoll.Unimplemented, "there are no vector indexes; findNearest works without one, so leave the index out")
	}
	return atoll.Errorf(atoll.Unimplemented, "there are no search indexes; leave the index out")
}

// readMode reads how a field is indexed: by its value in an order, or by array
// element. In the older form both are called mode.
func readMode(n node) (desc, array bool, err error) {
	order, err := n.word("order", "", ascending, descending)
	if err != nil {
		return false, false, err
	}
	config, err := n.word("arrayConfig", "", contains)
	if err != nil {
		return false, false, err
	}
	mode, err := n.word("mode", "", ascending, descending, arrayContains)
	if err != nil {
		return false, false, err
	}
	given := 0
	for _, s := range []string{order, config, mode} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return false, false, n.errorf(`needs either "order": "ASCENDING", "order": "DESCENDING" or "arrayConfig": "CONTAINS"`)
	}
	return order == descending || mode == descending, config != "" || mode == arrayContains, nil
}

// readOverride reads one element of "fieldOverrides".
func readOverride(n node) (o Override, err error) {
	if err := n.object("collectionGroup", "fieldPath", "ttl", "indexes"); err != nil {
		return o, err
	}
	if o.Collection, err = n.text("collectionGroup"); err != nil {
		return o, err
	}
	if o.Field, err = n.text("fieldPath"); err != nil {
		return o, err
	}
	if o.TTL, err = n.flag("ttl"); err != nil {
		return o, err
	}
	if _, ok := n.get("indexes"); !ok {
		return o, n.errorf(`lacks "indexes"; an empty list takes all indexes off the field`)
	}
	modes, err := n.list("indexes")
	if err != nil {
		return o, err
	}
	for _, mn := range modes {
		m, err := readOverrideMode(mn)
		if err != nil {
			return o, err
		}
		o.Modes = append(o.Modes, m)
	}
	if o, err = o.Checked(); err != nil {
		return o, n.errorf("%s", atoll.AsError(err).Msg)
	}
	return o, nil
}

func readOverrideMode(n node) (m Mode, err error) {
	if err := n.object("queryScope", "order", "arrayConfig", "mode", "apiScope", "density", "multikey", "unique"); err != nil {
		return m, err
	}
	if err := readEdition(n); err != nil {
		return m, err
	}
	if m.Group, err = readScope(n); err != nil {
		return m, err
	}
	m.Desc, m.Contains, err = readMode(n)
	return m, err
}

// checkCollection fails with Invalid on a text that is no collection id.
func checkCollection(id string) error {
	if id == "" {
		return atoll.Errorf(atoll.Invalid, `"collectionGroup" is missing: the id of the collections to index`)
	}
	if strings.Contains(id, "/") {
		return atoll.Errorf(atoll.Invalid, "the collection group %q is a path; name the collection's own id, the last part", clip(id))
	}
	return atoll.Path(id).Check()
}

// Checked returns an index in its canonical form: fields in canonical text, and
// the document's name at the end; if it is not there it goes in the direction
// of the last field with an order, as in Firestore. It fails with Invalid if
// there can be no such index.
func (x Index) Checked() (Index, error) {
	if err := checkCollection(x.Collection); err != nil {
		return x, err
	}
	x.Fields = slices.Clone(x.Fields)
	arrays := 0
	for i := range x.Fields {
		f := &x.Fields[i]
		path, err := value.ParseFieldPath(f.Path)
		if err != nil {
			return x, err
		}
		f.Path = path.String()
		if slices.ContainsFunc(x.Fields[:i], func(g Field) bool { return g.Path == f.Path }) {
			return x, atoll.Errorf(atoll.Invalid, "the field %s stands twice in one index", f.Path)
		}
		if path.IsName() && (f.Contains || i < len(x.Fields)-1) {
			return x, atoll.Errorf(atoll.Invalid, "__name__ can only be the last field of an index, with an order")
		}
		if f.Contains {
			arrays++
		}
	}
	if arrays > 1 {
		return x, atoll.Errorf(atoll.Invalid, "the index has %d array fields; one is allowed", arrays)
	}
	fields := x.withoutName()
	switch n := len(fields); {
	case n == 0:
		return x, atoll.Errorf(atoll.Invalid, `"fields" is missing: two fields or more, in order`)
	case n == 1:
		return x, atoll.Errorf(atoll.Invalid, "an index of the field %s alone is not necessary: fields are indexed by themselves, and \"fieldOverrides\" say otherwise", fields[0].Path)
	case n > MaxFields-1: // one place is the name's
		return x, atoll.Errorf(atoll.Invalid, "the index has %d fields; %d are allowed, with __name__", n, MaxFields)
	}
	x.Fields = append(fields, Field{Path: value.NameField, Desc: x.nameGoesDown()})
	return x, nil
}

// withoutName returns the fields before the document's name.
func (x Index) withoutName() []Field {
	if n := len(x.Fields); n > 0 && x.Fields[n-1].Path == value.NameField {
		return x.Fields[:n-1]
	}
	return x.Fields
}

// nameGoesDown reports in which direction the document's name goes: its own if
// it is there, else that of the last field with an order.
func (x Index) nameGoesDown() bool {
	for _, f := range slices.Backward(x.Fields) {
		if !f.Contains {
			return f.Desc
		}
	}
	return false
}

// shown returns the fields to print: without the document's name if it goes in
// the direction that it has anyway.
func (x Index) shown() []Field {
	fields := x.withoutName()
	if x.nameGoesDown() == (Index{Fields: fields}).nameGoesDown() {
		return fields
	}
	return x.Fields
}

func (x Index) equal(y Index) bool { return compareIndexes(x, y) == 0 }

// Checked returns an override in its canonical form. It fails with Invalid if
// there can be no such override.
func (o Override) Checked() (Override, error) {
	if err := checkCollection(o.Collection); err != nil {
		return o, err
	}
	switch {
	case o.Field == "":
		return o, atoll.Errorf(atoll.Invalid, `"fieldPath" is missing: the path of a field, or * for all`)
	case o.Field == EveryField && o.TTL:
		return o, atoll.Errorf(atoll.Invalid, "documents can expire by one field, not by *")
	case o.Field != EveryField:
		path, err := value.ParseFieldPath(o.Field)
		if err != nil {
			return o, err
		}
		if path.IsName() {
			return o, atoll.Errorf(atoll.Invalid, "the document's name is always indexed; there is nothing to override")
		}
		o.Field = path.String()
	}
	o.Modes = slices.Clone(o.Modes)
	for i := range o.Modes {
		if o.Modes[i].Contains {
			o.Modes[i].Desc = false
		}
	}
	slices.SortFunc(o.Modes, compareModes)
	o.Modes = slices.Compact(o.Modes)
	return o, nil
}

// sort brings a file into the order of what firebase-tools prints.
func (f *File) sort() {
	slices.SortFunc(f.Indexes, compareIndexes)
	slices.SortFunc(f.Overrides, compareOverrides)
}

func compareOverrides(a, b Override) int {
	return cmp.Or(cmp.Compare(a.Collection, b.Collection), compareBool(a.TTL, b.TTL), cmp.Compare(a.Field, b.Field))
}

func compareIndexes(a, b Index) int {
	return cmp.Or(cmp.Compare(a.Collection, b.Collection), -compareBool(a.Group, b.Group), slices.CompareFunc(a.Fields, b.Fields, func(a, b Field) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), compareBool(a.Contains, b.Contains), compareBool(a.Desc, b.Desc))
	}))
}

func compareModes(a, b Mode) int {
	return cmp.Or(compareBool(a.Group, b.Group), compareBool(a.Contains, b.Contains), compareBool(a.Desc, b.Desc))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// The types of the file as it is printed, in the order of firebase-tools.
type (
	fileJSON struct {
		Indexes   []indexJSON    `json:"indexes"`
		Overrides []overrideJSON `json:"fieldOverrides"`
	}
	indexJSON struct {
		Collection string      `json:"collectionGroup"`
		Scope      string      `json:"queryScope"`
		Fields     []fieldJSON `json:"fields"`
	}
	fieldJSON struct {
		Path  string `json:"fieldPath"`
		Order string `json:"order,omitempty"`
		Array string `json:"arrayConfig,omitempty"`
	}
	overrideJSON struct {
		Collection string     `json:"collectionGroup"`
		Field      string     `json:"fieldPath"`
		TTL        bool       `json:"ttl"`
		Modes      []modeJSON `json:"indexes"`
	}
	modeJSON struct {
		Order string `json:"order,omitempty"`
		Array string `json:"arrayConfig,omitempty"`
		Scope string `json:"queryScope"`
	}
)

func scopeOf(group bool) string {
	if group {
		return scopeGroup
	}
	return scopeCollection
}

// orderOf returns the order and the arrayConfig of a field.
func orderOf(desc, array bool) (order, config string) {
	switch {
	case array:
		return "", contains
	case desc:
		return descending, ""
	}
	return ascending, ""
}

// Text returns the file as JSON, sorted, for Parse and for firebase-tools.
func (f File) Text() []byte {
	f = File{slices.Clone(f.Indexes), slices.Clone(f.Overrides)}
	f.sort()
	out := fileJSON{[]indexJSON{}, []overrideJSON{}}
	for _, x := range f.Indexes {
		j := indexJSON{Collection: x.Collection, Scope: scopeOf(x.Group)}
		for _, field := range x.shown() {
			order, array := orderOf(field.Desc, field.Contains)
			j.Fields = append(j.Fields, fieldJSON{field.Path, order, array})
		}
		out.Indexes = append(out.Indexes, j)
	}
	for _, o := range f.Overrides {
		j := overrideJSON{o.Collection, o.Field, o.TTL, []modeJSON{}}
		for _, m := range o.Modes {
			order, array := orderOf(m.Desc, m.Contains)
			j.Modes = append(j.Modes, modeJSON{order, array, scopeOf(m.Group)})
		}
		out.Overrides = append(out.Overrides, j)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(out) // of texts, flags and lists, which always have a form in JSON
	return b.Bytes()
}
