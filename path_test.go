package atoll_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"atoll"
)

func TestPathCheck(t *testing.T) {
	long := strings.Repeat("x", atoll.MaxIDLen)
	for _, tc := range []struct {
		path atoll.Path
		ok   bool
	}{
		{"c/d", true},
		{"c", true},
		{"", true},
		{"c/__id7__", true},
		{"c/__id-7__", true},
		{"c/__id9223372036854775807__", true},
		{"c/__id-9223372036854775808__", true},
		{"c/__id9223372036854775808__", false}, // over an int64
		{"c/__id-9223372036854775809__", false},
		{"c/__id07__", false},
		{"c/__id-0__", false},
		{"c/__id__", false},
		{"__id7__/d", false}, // numeric ids are for documents
		{"c/__name__", false},
		{"c/__", true},
		{"c/___", true},
		{"c/____", false},
		{"c/.", false},
		{"c/..", false},
		{"c/...", true},
		{"c//d", false},
		{"/c", false},
		{"c/", false},
		{"c/a\x00b", false},
		{"c/\xff", false},
		{"c/ü", true},
		{atoll.Path("c/" + long), true},
		{atoll.Path("c/" + long + "x"), false},
		{atoll.Path(strings.Repeat("a/", 199) + "a"), true},
		{atoll.Path(strings.Repeat("a/", 200) + "a"), false},
		{atoll.Path(strings.Repeat(long+"/", 5) + "x"), false}, // over 6 KiB
	} {
		if err := tc.path.Check(); (err == nil) != tc.ok || err != nil && atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%.60q: %v, want ok %v", tc.path, err, tc.ok)
		}
	}
}

func TestPathParts(t *testing.T) {
	p := atoll.Path("users/alice/posts/p1")
	if p.Len() != 4 || !p.IsDocument() || p.IsCollection() || p.ID() != "p1" || p.Parent() != "users/alice/posts" || !p.Parent().IsCollection() || p.Parent().Child("p1") != p {
		t.Errorf("%q is taken apart wrongly", p)
	}
	if root := atoll.Path(""); root.Len() != 0 || root.IsDocument() || root.IsCollection() || root.Parent() != "" || root.Child("c") != "c" || root.Segments() != nil {
		t.Error("the root is taken apart wrongly")
	}
	if n, ok := atoll.NumericID("__id-12__"); n != -12 || !ok {
		t.Errorf("__id-12__ is %d, %v", n, ok)
	}
}

func TestParseDatabase(t *testing.T) {
	d, err := atoll.ParseDatabase("projects/p/databases/(default)")
	if err != nil || d != (atoll.Database{Project: "p", ID: atoll.DefaultDatabase}) || d.String() != "projects/p/databases/(default)" {
		t.Errorf("%v, %v", d, err)
	}
	for _, s := range []string{"", "projects/p", "projects//databases/d", "projects/p/databases/d/e", "project/p/databases/d", "projects/p/databases/" + strings.Repeat("d", 64), "projects/p/databases/a\x00"} {
		if _, err := atoll.ParseDatabase(s); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("around: %w", atoll.Errorf(atoll.NotFound, "no %s", "thing"))
	if atoll.KindOf(err) != atoll.NotFound || atoll.KindOf(nil) != atoll.OK || atoll.KindOf(errors.New("x")) != atoll.Internal {
		t.Error("kinds are not found")
	}
	if !errors.Is(err, &atoll.Error{Kind: atoll.NotFound}) || errors.Is(err, &atoll.Error{Kind: atoll.Aborted}) {
		t.Error("errors.Is does not tell kinds apart")
	}
	if e := atoll.AsError(errors.New("disk gone")); e.Kind != atoll.Internal || strings.Contains(e.Msg, "disk") || !strings.Contains(e.Error(), "disk gone") {
		t.Errorf("a foreign error: %v", e)
	}
	if atoll.AsError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestCanisterIDs(t *testing.T) {
	id := atoll.NewCanisterID(7, 9)
	if s, ok := atoll.SubnetOf(id); s != 7 || !ok {
		t.Errorf("%s is of subnet %d, %v", id, s, ok)
	}
	for _, p := range []atoll.Principal{atoll.Management, atoll.Anonymous, id + "x", id[:9] + "\x02"} {
		if _, ok := atoll.SubnetOf(p); ok {
			t.Errorf("%s is taken for a canister", p)
		}
	}
}
