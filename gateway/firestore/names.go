package firestore

import (
	"strings"

	"atoll"
)

// documentsRoot stands between the name of a database and a path in it.
const documentsRoot = "/documents"

// parseRoot splits a resource name into its database and the path below its
// documents, which is empty for the root.
func parseRoot(name string) (db atoll.Database, path atoll.Path, err error) {
	malformed := func() error {
		return atoll.Errorf(atoll.Invalid, "%.200q is not a name of the form projects/{project}/databases/{database}/documents/...", name)
	}
	project, rest, ok := strings.Cut(name, "/databases/")
	if !ok {
		return db, "", malformed()
	}
	project, ok = strings.CutPrefix(project, "projects/")
	if !ok {
		return db, "", malformed()
	}
	id, rest, ok := strings.Cut(rest, documentsRoot)
	if !ok || rest != "" && (rest[0] != '/' || len(rest) == 1) {
		return db, "", malformed()
	}
	db = atoll.Database{Project: project, ID: id}
	if err := db.Check(); err != nil {
		return db, "", err
	}
	return db, atoll.Path(strings.TrimPrefix(rest, "/")), nil
}

// parseDocument reads the full name of a document.
func parseDocument(name string) (atoll.Database, atoll.Path, error) {
	db, path, err := parseRoot(name)
	if err != nil {
		return db, path, err
	}
	if !path.IsDocument() {
		return db, path, atoll.Errorf(atoll.Invalid, "%.200q does not name a document: its path has %d ids, and an even number names a document", name, path.Len())
	}
	return db, path, checkPath(name, path)
}

// parseParent reads the name of a document or of the root of a database.
func parseParent(name string) (atoll.Database, atoll.Path, error) {
	db, path, err := parseRoot(name)
	if err != nil || path == "" {
		return db, path, err
	}
	if !path.IsDocument() {
		return db, path, atoll.Errorf(atoll.Invalid, "%.200q names a collection; a parent is a document or the root .../documents", name)
	}
	return db, path, checkPath(name, path)
}

// checkPath holds a path to the rules for names. The limit of 6 KiB is one for
// the full name.
func checkPath(name string, path atoll.Path) error {
	if len(name) > atoll.MaxPathLen {
		return atoll.Errorf(atoll.Invalid, "a document name of %d bytes is over the limit of %d", len(name), atoll.MaxPathLen)
	}
	return path.Check()
}

// collection returns the path of a collection below a parent.
func collection(parent atoll.Path, id string) (atoll.Path, error) {
	if id == "" || strings.Contains(id, "/") {
		return "", atoll.Errorf(atoll.Invalid, "%.200q is not a collection id: it must not be empty or contain a slash", id)
	}
	c := parent.Child(id)
	return c, c.Check()
}

// names builds full names of the documents of one database.
type names struct{ prefix string }

func namesOf(db atoll.Database) names { return names{db.String() + documentsRoot + "/"} }

func (n names) of(p atoll.Path) string { return n.prefix + string(p) }

// within parses a document's name and checks that it lies in db.
func within(db atoll.Database, name string) (atoll.Path, error) {
	in, path, err := parseDocument(name)
	if err != nil {
		return "", err
	}
	if in != db {
		return "", atoll.Errorf(atoll.Invalid, "the document %.200q is not in the request's database %s", name, db)
	}
	return path, nil
}
