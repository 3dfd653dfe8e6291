package indexes

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"atoll"
)

// anyGroup is the collection group that stands for all.
const anyGroup = "-"

// defaultGroup holds one field, *, which says how fields are indexed for which
// nothing else is set.
const defaultGroup = "__default__"

// parseGroup reads projects/P/databases/D/collectionGroups/C.
func parseGroup(name string) (db atoll.Database, collection string, err error) {
	s := strings.Split(name, "/")
	if len(s) != 6 || s[0] != "projects" || s[2] != "databases" || s[4] != "collectionGroups" || s[5] == "" {
		return db, "", atoll.Errorf(atoll.Invalid, "%.200q is no collection group; it has the form projects/{project}/databases/{database}/collectionGroups/{collection}", name)
	}
	db = atoll.Database{Project: s[1], ID: s[3]}
	return db, s[5], db.Check()
}

// parseMember reads the name of an index or a field, which is the collection
// group's name, a kind and an id.
func parseMember(name, kind string) (db atoll.Database, collection, id string, err error) {
	s := strings.SplitN(name, "/", 8)
	if len(s) != 8 || s[6] != kind || s[7] == "" {
		return db, "", "", atoll.Errorf(atoll.Invalid,
			"%.200q has not the form projects/{project}/databases/{database}/collectionGroups/{collection}/%s/{id}", name, kind)
	}
	db, collection, err = parseGroup(strings.Join(s[:6], "/"))
	return db, collection, s[7], err
}

func groupName(db atoll.Database, collection string) string {
	return db.String() + "/collectionGroups/" + collection
}

func indexName(db atoll.Database, collection string, id uint32) string {
	return groupName(db, collection) + "/indexes/" + strconv.FormatUint(uint64(id), 10)
}

func fieldName(db atoll.Database, collection, field string) string {
	return groupName(db, collection) + "/fields/" + field
}

// parseIndex reads the name of an index.
func parseIndex(name string) (db atoll.Database, collection string, id uint32, err error) {
	db, collection, text, err := parseMember(name, "indexes")
	if err != nil {
		return db, "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil { // no index of ours has such a name
		return db, "", 0, noIndex(name)
	}
	return db, collection, uint32(n), nil
}

func noIndex(name string) error {
	return atoll.Errorf(atoll.NotFound, "there is no index %.300s", name)
}

// Ids of operations say what they are about: an index by its number, or a field
// by its collection and path.
const (
	indexOperation = "index-"
	fieldOperation = "field-"
)

func indexOperationName(db atoll.Database, id uint32) string {
	return fmt.Sprintf("%s/operations/%s%d", db, indexOperation, id)
}

func fieldOperationName(db atoll.Database, collection, field string) string {
	return db.String() + "/operations/" + fieldOperation + base64.RawURLEncoding.EncodeToString([]byte(collection+"\x00"+field))
}

// operation is what the name of an operation says.
type operation struct {
	db                atoll.Database
	index             uint32 // 0: it is about a field
	collection, field string
}

func parseOperation(name string) (o operation, err error) {
	s := strings.Split(name, "/")
	if len(s) != 6 || s[0] != "projects" || s[2] != "databases" || s[4] != "operations" {
		return o, atoll.Errorf(atoll.Invalid, "%.200q is no operation; it has the form projects/{project}/databases/{database}/operations/{id}", name)
	}
	o.db = atoll.Database{Project: s[1], ID: s[3]}
	if err := o.db.Check(); err != nil {
		return o, err
	}
	if text, ok := strings.CutPrefix(s[5], indexOperation); ok {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil && n > 0 {
			o.index = uint32(n)
			return o, nil
		}
	}
	if text, ok := strings.CutPrefix(s[5], fieldOperation); ok {
		if b, err := base64.RawURLEncoding.DecodeString(text); err == nil {
			if o.collection, o.field, ok = strings.Cut(string(b), "\x00"); ok {
				return o, nil
			}
		}
	}
	return o, noOperation(name)
}

func noOperation(name string) error {
	return atoll.Errorf(atoll.NotFound, "there is no operation %.300s; it is known as long as its index is", name)
}
