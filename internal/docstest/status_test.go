package docstest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestStatus holds docs/status.md against the tree.
func TestStatus(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/status.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	checkStatus(readTree(t, repository), string(text), func(format string, args ...any) { t.Errorf("docs/status.md:"+format, args...) }, &rows)
	if rows < 100 {
		t.Errorf("docs/status.md has %d rows; the tables have not been read", rows)
	}
}

// TestStatusCatches proves that the check bites, and only where it should.
func TestStatusCatches(t *testing.T) {
	tr := &tree{
		root:     repository,
		tests:    map[string][]string{"TestKill": {"cmd/atoll"}, "FuzzValue": {"value"}},
		targets:  map[string]bool{"test-kill": true},
		commands: map[string]bool{"get": true},
	}
	for _, tc := range []struct{ row, want string }{
		{"| a | | | |", ""},
		{"| `b` | `TestKill` | 20 kills | `0123abc` |", ""},
		{"| c | `cmd/atoll.TestKill`, `value.FuzzValue` | | 0123abc |", ""},
		{"| c | `atoll.TestKill/20_times` | | 0123abc |", ""},
		{"| d | `make test-kill` and `atoll get --at T` | | 0123abc |", ""},
		{"| e | `LICENSE`, `docs/status.md` | | 0123abc |", ""},
		{"| f | `go test ./wire`, `go run ./cmd/atoll get x` | | 0123abc |", ""},
		{"| g | `TestGone` | | 0123abc |", "no test TestGone"},
		{"| h | `value.TestKill` | | 0123abc |", "no test TestKill in value"},
		{"| i | `make gone` | | 0123abc |", "no target gone"},
		{"| j | `atoll gone` | | 0123abc |", "no command gone"},
		{"| k | `docs/gone.md` | | 0123abc |", "no file docs/gone.md"},
		{"| l | `TestKill` | 1 | |", "no commit"},
		{"| m | `TestKill` | | soon |", "no commit"},
		{"| n | | 5 ms | 0123abc |", "shown by nothing"},
		{"| o | somebody has seen it | | 0123abc |", "shown by nothing"},
		{"| p | `TestKill` | 0123abc |", "3 cells"},
		{"| q | `go test ./gone` | | 0123abc |", "no package ./gone"},
	} {
		var got []string
		rows := 0
		checkStatus(tr, "| thing | shown by | figure | commit |\n|---|---|---|---|\n"+tc.row+"\n",
			func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }, &rows)
		all := strings.Join(got, "\n")
		if rows != 1 || !strings.Contains(all, tc.want) || (tc.want == "" && all != "") {
			t.Errorf("%s: got %q from %d rows, want %q", tc.row, all, rows, tc.want)
		}
	}
}

const statusHead = "| thing | shown by | figure | commit |"

var (
	rule   = regexp.MustCompile(`^\|(-+\|)+$`)
	quoted = regexp.MustCompile("`([^`]+)`")
	commit = regexp.MustCompile("^`?[0-9a-f]{7,40}`?$")
)

// checkStatus reads every row of the status tables in text and reports those
// that claim what the tree does not hold. It counts the rows.
func checkStatus(tr *tree, text string, report func(string, ...any), rows *int) {
	inTable := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == statusHead:
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case inTable && !rule.MatchString(line):
			*rows++
			cells := strings.Split(strings.Trim(line, "|"), "|")
			if len(cells) != 4 {
				report("%d: a row of %d cells; 4 are expected", i+1, len(cells))
				continue
			}
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			checkRow(tr, cells, func(format string, args ...any) {
				report("%d: %s: %s", i+1, cells[0], fmt.Sprintf(format, args...))
			})
		}
	}
}

func checkRow(tr *tree, cells []string, report func(string, ...any)) {
	if cells[1] == "" && cells[2] == "" && cells[3] == "" {
		return
	}
	if !commit.MatchString(cells[3]) {
		report("no commit at which it was seen")
	}
	evidence := quoted.FindAllStringSubmatch(cells[1], -1)
	if len(evidence) == 0 {
		report("shown by nothing: name a test, target, command or file in backticks")
	}
	for _, m := range evidence {
		if wrong := tr.lacks(m[1]); wrong != "" {
			report("%s", wrong)
		}
	}
}

var namesTest = regexp.MustCompile(`^(?:([\w./-]+)\.)?((?:Test|Fuzz|Benchmark|Example)\w*)(?:/.*)?$`)

// lacks says what is missing of a piece of evidence, or nothing.
func (tr *tree) lacks(evidence string) string {
	if m := namesTest.FindStringSubmatch(evidence); m != nil {
		dirs := tr.tests[m[2]]
		if m[1] != "" {
			dirs = slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return dir != m[1] && path.Base(dir) != m[1] })
		}
		if len(dirs) == 0 {
			return fmt.Sprintf("there is no test %s in %s", m[2], orTree(m[1]))
		}
		return ""
	}
	words := strings.Fields(evidence)
	switch {
	case len(words) > 1 && words[0] == "make":
		if !tr.targets[words[1]] {
			return fmt.Sprintf("there is no target %s in the Makefile", words[1])
		}
		return ""
	case len(words) > 1 && words[0] == "atoll":
		return tr.lacksCommand(words[1])
	case len(words) > 3 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/atoll":
		return tr.lacksCommand(words[3])
	case len(words) > 2 && words[0] == "go":
		for _, w := range words[2:] {
			if strings.HasPrefix(w, "./") && !tr.has(strings.TrimSuffix(w, "/...")) {
				return fmt.Sprintf("there is no package %s", w)
			}
		}
		return ""
	}
	if !tr.has(words[0]) {
		return fmt.Sprintf("there is no file %s", words[0])
	}
	return ""
}

func (tr *tree) lacksCommand(name string) string {
	if !tr.commands[name] {
		return fmt.Sprintf("there is no command %s in cmd/atoll", name)
	}
	return ""
}

func (tr *tree) has(file string) bool {
	_, err := os.Stat(filepath.Join(tr.root, filepath.FromSlash(file)))
	return err == nil
}

func orTree(dir string) string {
	if dir == "" {
		return "the tree"
	}
	return dir
}
