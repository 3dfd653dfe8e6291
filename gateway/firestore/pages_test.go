package firestore

import (
	"encoding/base64"
	"testing"

	"atoll"
)

func TestPageTokens(t *testing.T) {
	shape := pageShape{"list", "projects/p/databases/d/documents", "c", false, 0}
	token := shape.token("last")
	if after, err := shape.after(token); err != nil || after != "last" {
		t.Errorf("got %q, %v", after, err)
	}
	if after, err := shape.after(""); err != nil || after != "" {
		t.Errorf("no token: got %q, %v", after, err)
	}
	for name, other := range map[string]pageShape{
		"method":     {"collections", shape.parent, "c", false, 0},
		"parent":     {"list", shape.parent + "/c/x", "c", false, 0},
		"collection": {"list", shape.parent, "d", false, 0},
		"missing":    {"list", shape.parent, "c", true, 0},
		"read time":  {"list", shape.parent, "c", false, 5},
		"boundary":   {"list", shape.parent + "c", "", false, 0},
	} {
		if _, err := other.after(token); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("another %s: got %v; want Invalid", name, err)
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 4
		if after, err := shape.after(base64.RawURLEncoding.EncodeToString(bad)); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("with byte %d changed: got %q, %v; want Invalid", i, after, err)
		}
	}
	for _, bad := range []string{"x", "!", token + "=", token[:8], string(make([]byte, maxPageToken+1))} {
		if _, err := shape.after(bad); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%.20q: got %v; want Invalid", bad, err)
		}
	}
}

func TestPageSize(t *testing.T) {
	for asked, want := range map[int32]int{0: 300, 1: 1, 1000: 1000, 1001: 1000, 65535: 1000} {
		if got, err := pageSize(asked, defaultPage, 1000); err != nil || got != want {
			t.Errorf("%d: got %d, %v; want %d", asked, got, err, want)
		}
	}
	if _, err := pageSize(-1, defaultPage, 1000); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("-1: got %v; want Invalid", err)
	}
}

func FuzzPageToken(f *testing.F) {
	shape := pageShape{"list", "projects/p/databases/d/documents", "c", false, 0}
	f.Add(shape.token("a"))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		after, err := shape.after(token)
		if err == nil && token != "" && shape.token(after) != token {
			t.Fatalf("%q reads as %q, whose token is %q", token, after, shape.token(after))
		}
		if got, err := shape.after(shape.token(token)); token != "" && len(token) <= atoll.MaxIDLen && (err != nil || got != token) {
			t.Fatalf("%q came back as %q, %v", token, got, err)
		}
	})
}
