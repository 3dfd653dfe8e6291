package docstest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

// tree is what a page of documentation may refer to.
type tree struct {
	root     string
	tests    map[string][]string // name of a test, fuzz target or benchmark -> its packages
	targets  map[string]bool     // of the Makefile
	commands map[string]bool     // of the command line, without flags: "get", "dump"
}

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	target   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	// command finds the names of cobra commands in the source of cmd/atoll.
	command = regexp.MustCompile(`\bUse:\s*"([a-z][a-z-]*)`)
)

// readTree collects tests, targets and commands of the repository at root.
func readTree(t *testing.T, root string) *tree {
	t.Helper()
	tr := &tree{root: root, tests: map[string][]string{}, targets: map[string]bool{}, commands: map[string]bool{"help": true, "completion": true}}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || (!strings.HasSuffix(name, ".go") && name != "Makefile") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		tr.read(filepath.ToSlash(rel), string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *tree) read(file, text string) {
	dir := path.Dir(file)
	switch {
	case strings.HasSuffix(file, "_test.go"):
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			tr.tests[m[1]] = append(tr.tests[m[1]], dir)
		}
	case file == "Makefile":
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			tr.targets[m[1]] = true
		}
	case dir == "cmd/atoll":
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			tr.commands[m[1]] = true
		}
	}
}

// markdown returns the repository's pages, as paths from its root.
func markdown(t *testing.T) []string {
	t.Helper()
	var pages []string
	err := filepath.WalkDir(repository, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != repository && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(d.Name(), ".md") {
			rel, err := filepath.Rel(repository, file)
			if err != nil {
				return err
			}
			pages = append(pages, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}
