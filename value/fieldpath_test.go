package value

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

func fieldPaths() *rapid.Generator[FieldPath] {
	return rapid.Map(rapid.SliceOfN(names(), 1, 3), func(p []string) FieldPath { return p })
}

func TestFieldPathsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(names(), rapid.StringOfN(rapid.SampledFrom([]rune("a`\\.0_é")), 0, 6, -1))
		p := FieldPath(rapid.SliceOfN(any, 1, 4).Draw(t, "path"))
		if p.Check() != nil {
			return
		}
		back, err := ParseFieldPath(p.String())
		if err != nil || !slices.Equal(p, back) {
			t.Fatalf("%q written %s came back as %q, %v", []string(p), p, []string(back), err)
		}
	})
}

func TestParseFieldPath(t *testing.T) {
	for text, want := range map[string]FieldPath{
		"a":                 {"a"},
		"a.b_1._c":          {"a", "b_1", "_c"},
		"`a.b`.c":           {"a.b", "c"},
		"``.``":             {"", ""},
		"`\\``.`\\\\`":      {"`", "\\"},
		"`1`":               {"1"},
		"`a`":               {"a"},
		"__name__":          {NameField},
		"foo.`x&y`.`é`.bar": {"foo", "x&y", "é", "bar"},
	} {
		if got, err := ParseFieldPath(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s was read as %q, %v", text, []string(got), err)
		}
	}
}

func TestParseFieldPathRefuses(t *testing.T) {
	long := strings.Repeat("x", MaxNameLen)
	if _, err := ParseFieldPath(long); err != nil {
		t.Errorf("a name of %d bytes: %v", MaxNameLen, err)
	}
	if _, err := ParseFieldPath(strings.Repeat("a.", MaxDepth) + "a"); err != nil {
		t.Errorf("a path of %d names: %v", MaxDepth+1, err)
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b", "1", "a-b", "a b", "é", "`a", "`", "a`b`", "`a`b", "`a\\b`", "`a\\", "`\xff`", "`a\x00`",
		"__a__", "a.__name__", "____", long + "x", strings.Repeat("a.", MaxDepth+1) + "a"} {
		if p, err := ParseFieldPath(text); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q was read as %q, %v", text, []string(p), err)
		}
	}
}

func TestFieldPathErrorsPointAtTheByte(t *testing.T) {
	for text, want := range map[string]string{"ab.c-d": "byte 4", "ab.`c": "byte 3", "a.`b`c": "byte 5", "a.": "byte 2"} {
		if _, err := ParseFieldPath(text); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v does not say %s", text, err, want)
		}
	}
}

func FuzzParseFieldPath(f *testing.F) {
	f.Add("a.`b\\`c`.d")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseFieldPath(text)
		if err != nil {
			return
		}
		back, err := ParseFieldPath(p.String())
		if err != nil || !slices.Equal(p, back) {
			t.Fatalf("%q written %s came back as %q, %v", []string(p), p, []string(back), err)
		}
	})
}
