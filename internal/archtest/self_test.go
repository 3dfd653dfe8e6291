package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// offences are tiny packages; each must be caught, or let pass if want is empty.
var offences = []struct{ room, src, want string }{
	{"keys", `import _ "atoll/wire"`, "may not import wire"},
	{"keys", `import _ "atoll/node"`, "may not import node"},
	{"kv/mem", `import _ "atoll/kv/pebble"`, "may not import kv/pebble"},
	{"keys", `import _ "net/http"`, "may not import net/http"},
	{"keys", `import _ "github.com/x/y"`, "may not import github.com/x/y"},
	{"value", `import _ "go.mongodb.org/mongo-driver/v2/mongo"`, "may not import go.mongodb.org/mongo-driver/v2/mongo"},
	{"console", `import _ "atollx"`, ""},
	{"keys", "import clock \"time\"\nvar T = clock.Now()", "reads the clock"},
	{"keys", "import \"time\"\nvar T = time.Unix(0, 0).UTC()", ""},
	{"keys", "import \"time\"\nvar T = time.Unix(0, 0).In(time.Local)", "time zone"},
	{"keys", "func f() { go f() }", "goroutine"},
	{"keys", "var c chan int", "channel"},
	{"keys", "func f(m map[int]int) (s []int) { for k := range m { s = append(s, k) }; return }", "ranges over a map"},
	{"keys", "func f(m map[int]int) (n int) { for range m { n++ /* order does not matter */ }; return }", ""},
	{"keys", "import \"maps\"\nfunc f(m map[int]int) { for range maps.Keys(m) {} }", "ranges over a map"},
	{"keys", "import (\"maps\"; \"slices\")\nfunc f(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }", ""},
	{"keys", "func f(x, y, z float64) float64 { return x*y + z }", "floats"},
	{"keys", "func f(x, y float64) float64 { x += y; return x }", "floats"},
	{"keys", "func f(x float64) float64 { x++; return x }", "floats"},
	{"keys", "func f(x, y float64) bool { return x < y }", ""},
	{"value", "func f(x, y float64) float64 { x += y; return x / 2 }", ""},
	{"value", "func f(x, y, z float64) float64 { return x*y + z }", "fused"},
	{"value", "func f(x, y, z float64) float64 { return float64(x*y) + z }", ""},
	{"value", "func f() { go f() }", "goroutine"},
	{"keys", "var x int = \"\"", "cannot be judged"},
	{"novel", "", "needs a line"},
}

// TestCatches proves that the guard bites, and that it does not bite the innocent.
func TestCatches(t *testing.T) {
	for _, o := range offences {
		got := guard(t, map[string]string{o.room + "/a.go": comment(o.room) + o.src + "\n"})
		if !strings.Contains(got, o.want) || (o.want == "" && got != "") {
			t.Errorf("%s, %q: got %q, want %q", o.room, o.src, got, o.want)
		}
	}
}

// TestCatchesFiles does the same for what is seen from a package's files.
func TestCatchesFiles(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no comment", map[string]string{"wire/a.go": "package wire\n"}, "no package comment"},
		{"platform", map[string]string{"wire/a.go": comment("wire"), "wire/a_plan9.go": "package wire\n"}, "one platform"},
		{"assembly", map[string]string{"wire/a.go": comment("wire"), "wire/a.s": ""}, "one platform"},
		{"other module", map[string]string{"novel/go.mod": "module novel\n", "novel/a.go": comment("novel")}, ""},
		{"testdata", map[string]string{"wire/testdata/novel/a.go": comment("novel")}, ""},
	} {
		if got := guard(t, tc.files); !strings.Contains(got, tc.want) || (tc.want == "" && got != "") {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func comment(room string) string {
	name := filepath.Base(room)
	return "// Package " + name + " is here to meet the guard of the rooms.\npackage " + name + "\n\n"
}

// guard runs the guard over a small tree of its own and returns what it said.
func guard(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	check(t, root, func(f string, a ...any) { got = append(got, fmt.Sprintf(f, a...)) })
	return strings.Join(got, "\n")
}
