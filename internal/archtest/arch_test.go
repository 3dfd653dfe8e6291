package archtest

import (
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// TestRooms holds the tree against the table.
func TestRooms(t *testing.T) { check(t, repository, t.Errorf) }

// TestTable checks the table itself: every room exists and stands there once,
// and imports only downwards.
func TestTable(t *testing.T) {
	var below []string
	for _, r := range rooms {
		if slices.Contains(below, r.path) {
			t.Errorf("%s has two lines in the table", r.path)
		}
		if _, err := os.Stat(filepath.Join(repository, r.path)); err != nil {
			t.Errorf("%s has a line in the table, but is not there", r.path)
		}
		for _, pattern := range strings.Fields(r.in) {
			if !slices.ContainsFunc(below, func(b string) bool { return matches(pattern, b) }) {
				t.Errorf("%s may import %s, but no such room stands below it", r.path, pattern)
			}
		}
		below = append(below, r.path)
	}
}

// TestTight finds what the table allows and nobody does: the table is to be the
// architecture, not a wish.
func TestTight(t *testing.T) {
	for _, r := range rooms {
		p, err := build.ImportDir(filepath.Join(repository, r.path), 0)
		var none *build.NoGoError
		if err != nil && !errors.As(err, &none) {
			t.Fatal(err)
		}
		for _, pattern := range strings.Fields(r.in) {
			if !slices.ContainsFunc(p.Imports, func(imp string) bool {
				rel, ok := ours(imp)
				return ok && matches(pattern, rel)
			}) {
				t.Errorf("%s may import %s, but does not: take it out of the table", r.path, pattern)
			}
		}
		for _, m := range strings.Fields(r.out) {
			if !slices.ContainsFunc(p.Imports, func(imp string) bool { return within(m, imp) }) {
				t.Errorf("%s may import %s, but does not: take it out of the table", r.path, m)
			}
		}
	}
}

// check walks over the tree at root and reports what the table does not allow.
func check(t *testing.T, root string, report func(string, ...any)) {
	t.Helper()
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if dir != root && skipped(dir, d.Name()) {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(dir, build.ImportComment)
		var none *build.NoGoError
		if errors.As(err, &none) && len(p.IgnoredGoFiles) == 0 {
			return nil
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		r, below, ok := find(filepath.ToSlash(rel))
		if !ok {
			report("%s: a new room needs a line in the table of rooms (internal/archtest/rooms_test.go)", rel)
			return nil
		}
		checkRoom(r, below, p, report)
		if r.kind != worldly {
			checkPure(r, dir, p, report)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipped reports whether a directory holds no code of this module.
func skipped(dir, name string) bool {
	if name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// find returns the line of a room, and the rooms that stand below it.
func find(rel string) (r room, below []string, ok bool) {
	for _, r := range rooms {
		if r.path == rel {
			return r, below, true
		}
		below = append(below, r.path)
	}
	return room{}, nil, false
}

func checkRoom(r room, below []string, p *build.Package, report func(string, ...any)) {
	if len(p.GoFiles) > 0 && p.Doc == "" {
		report("%s: no package comment", r.path)
	}
	for _, imp := range p.Imports {
		inside, isOurs := ours(imp)
		first, _, _ := strings.Cut(imp, "/")
		switch {
		case isOurs:
			allowed := slices.ContainsFunc(strings.Fields(r.in), func(pattern string) bool { return matches(pattern, inside) })
			if !allowed || !slices.Contains(below, inside) {
				report("%s may not import %s", r.path, inside)
			}
		case strings.Contains(first, "."):
			if !slices.ContainsFunc(strings.Fields(r.out), func(m string) bool { return within(m, imp) }) {
				report("%s may not import %s", r.path, imp)
			}
		case r.kind != worldly && slices.Contains(impureImports, imp):
			report("%s is pure and may not import %s", r.path, imp)
		}
	}
}

// ours returns the room that an import path names, if it is of this module.
func ours(imp string) (rel string, ok bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

// within reports whether an import path is an outside module or package that
// the table names, or one below it.
func within(m, imp string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }

// matches reports whether a pattern of the table names a room.
func matches(pattern, rel string) bool {
	if pattern == "*" {
		return true
	}
	ok, err := path.Match(pattern, rel)
	if err != nil {
		panic(fmt.Sprintf("the table has a malformed pattern %q", pattern))
	}
	return ok
}
