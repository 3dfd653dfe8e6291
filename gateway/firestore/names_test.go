package firestore

import (
	"strings"
	"testing"

	"atoll"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", atoll.MaxIDLen)
	for name, want := range map[string]atoll.Path{
		"projects/p/databases/(default)/documents/c/x":                           "c/x",
		"projects/p/databases/(default)/documents/c/databases/documents/y":       "c/databases/documents/y",
		"projects/p/databases/(default)/documents/c/__id-7__":                    "c/__id-7__",
		"projects/p/databases/(default)/documents/documents/" + long:             atoll.Path("documents/" + long),
		"projects/p/databases/(default)/documents/c/documents/d/e":               "c/documents/d/e",
		"projects/p/databases/(default)/documents/c/" + strings.Repeat("é", 750): atoll.Path("c/" + strings.Repeat("é", 750)),
	} {
		db, path, err := parseDocument(name)
		if err != nil || path != want || db != (atoll.Database{Project: "p", ID: "(default)"}) {
			t.Errorf("%q: got %v %q, %v", name, db, path, err)
		}
		if namesOf(db).of(path) != name {
			t.Errorf("%q became %q", name, namesOf(db).of(path))
		}
	}
	deep := "projects/p/databases/d/documents" + strings.Repeat("/c/x", 101)
	for _, name := range []string{
		"", "c/x", "projects/p", "projects/p/databases/d", "projects/p/databases/d/documents", "projects/p/databases/d/documents/",
		"projects/p/databases/d/documents/c", "projects/p/databases/d/documents/c/", "projects/p/databases/d/documents//x",
		"projects/p/databases/d/documentsc/x", "projects//databases/d/documents/c/x", "projects/p/databases//documents/c/x",
		"projects/p/q/databases/d/documents/c/x", "xprojects/p/databases/d/documents/c/x", "/projects/p/databases/d/documents/c/x",
		"projects/p/databases/d/documents/c/..", "projects/p/databases/d/documents/__c__/x", "projects/p/databases/d/documents/c/a\x00",
		"projects/p/databases/d/documents/c/" + long + "x", "projects/p/databases/d/documents/c/\xff", deep,
		"projects/p/databases/d/documents" + strings.Repeat("/"+long+"/x", 5),
	} {
		if _, _, err := parseDocument(name); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%.80q: got %v; want Invalid", name, err)
		}
	}
}

func TestLimitOfADocumentsName(t *testing.T) {
	root := "projects/p/databases/d/documents"
	name := func(n int) string {
		s := root + strings.Repeat("/"+strings.Repeat("x", 1000)+"/y", 6)
		return s + strings.Repeat("z", n-len(s))
	}
	if _, _, err := parseDocument(name(atoll.MaxPathLen)); err != nil {
		t.Errorf("%d bytes: %v", atoll.MaxPathLen, err)
	}
	if _, _, err := parseDocument(name(atoll.MaxPathLen + 1)); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("%d bytes: got %v; want Invalid", atoll.MaxPathLen+1, err)
	}
}

func TestParents(t *testing.T) {
	for name, want := range map[string]atoll.Path{
		"projects/p/databases/d/documents":     "",
		"projects/p/databases/d/documents/c/x": "c/x",
	} {
		if _, path, err := parseParent(name); err != nil || path != want {
			t.Errorf("%q: got %q, %v", name, path, err)
		}
	}
	for _, name := range []string{"projects/p/databases/d", "projects/p/databases/d/documents/c", "projects/p/databases/d/documents/"} {
		if _, _, err := parseParent(name); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q: got %v; want Invalid", name, err)
		}
	}
	for _, id := range []string{"", "a/b", "..", "__x__", "\xff"} {
		if _, err := collection("c/x", id); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("collection %q: got %v; want Invalid", id, err)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("projects/p/databases/(default)/documents/c/x")
	f.Add("projects/p/databases/d/documents")
	f.Add("projects/p/databases/databases/d/documents/documents/x")
	f.Fuzz(func(t *testing.T, name string) {
		db, path, err := parseDocument(name)
		if err == nil && namesOf(db).of(path) != name {
			t.Fatalf("%q became %q", name, namesOf(db).of(path))
		}
		if err == nil && (path.Check() != nil || db.Check() != nil || !path.IsDocument()) {
			t.Fatalf("%q got through", name)
		}
		if _, _, parentErr := parseParent(name); err == nil && parentErr != nil {
			t.Fatalf("%q is a document and no parent: %v", name, parentErr)
		}
		if err != nil && atoll.KindOf(err) != atoll.Invalid {
			t.Fatalf("%v is not Invalid", err)
		}
	})
}
