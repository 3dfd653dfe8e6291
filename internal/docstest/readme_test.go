package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a fenced piece of a page.
type snippet struct {
	lang string // "sh" or "go"
	run  bool   // marked as runnable: ```sh run
	text string
	line int
}

var fence = regexp.MustCompile("^```(\\w+)?( run)?$")

// snippets returns the fenced pieces of a page, in order.
func snippets(t *testing.T, page string) []snippet {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	var open *snippet
	for i, line := range strings.Split(string(text), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			open = &snippet{lang: m[1], run: m[2] != "", line: i + 1}
		case open != nil && line == "```":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			t.Fatalf("%s:%d: cannot read the fence %q", page, i+1, line)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a fence is not closed", page, open.line)
	}
	return all
}

// TestReadmeTop checks that README opens with the two commands.
func TestReadmeTop(t *testing.T) {
	all := snippets(t, "README.md")
	if len(all) == 0 || all[0].line > 5 {
		t.Fatal("README.md does not open with its two commands")
	}
	for _, command := range []string{"go run ./cmd/atoll dev", "make test"} {
		if !strings.Contains(all[0].text, command) {
			t.Errorf("README.md does not show %q at its top", command)
		}
	}
}

// inner matches the words of the inner house. A newcomer needs four words
// (document, collection, query, shard); docs/architecture.md defines the rest.
var inner = regexp.MustCompile(`(?i)\b(canister|subnet|epoch|lane|lease|replica|principal|blocks?|gateway|digest)s?\b`)

// TestReadmeWords keeps README readable for a newcomer.
func TestReadmeWords(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if word := inner.FindString(line); word != "" {
			t.Errorf("README.md:%d uses %q; a newcomer knows document, collection, query and shard", i+1, word)
		}
	}
}
