package admin

import (
	"testing"
	"time"

	"atoll"
	"atoll/program/shard"
)

// TestSessionEnds checks that a session lasts as long as it should.
func TestSessionEnds(t *testing.T) {
	k, err := NewKeys("")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	k.clock = func() time.Time { return now }
	cookie, ok := k.redeem(k.Link()[len("/login?code="):])
	if !ok || !k.isSession(cookie) {
		t.Fatal("no session")
	}
	now = now.Add(sessionLife - 2*time.Second)
	if !k.isSession(cookie) {
		t.Error("the session ended early")
	}
	now = now.Add(3 * time.Second)
	if k.isSession(cookie) {
		t.Error("the session did not end")
	}
}

// TestOldLinks checks that links which nobody uses do not pile up.
func TestOldLinks(t *testing.T) {
	k, err := NewKeys("")
	if err != nil {
		t.Fatal(err)
	}
	first := k.Link()
	for range maxLinks {
		k.Link()
	}
	if len(k.links) != maxLinks {
		t.Errorf("%d links are kept", len(k.links))
	}
	if _, ok := k.redeem(first[len("/login?code="):]); ok {
		t.Error("a link works that was given out long ago")
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{At: shard.FeedCursor{Time: 5, Key: []byte("k")}}.String())
	f.Add("oWEBAl9hYWFhYWFhYWFhYWFhYWE")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Error(err)
			}
			return
		}
		if again, err := parseCursor(c.String()); err != nil || again.At.Time != c.At.Time || string(again.At.Key) != string(c.At.Key) || again.Incarnation != c.Incarnation {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

func FuzzSession(f *testing.F) {
	k, err := NewKeys("")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AAAAAH____8")
	f.Add("")
	f.Fuzz(func(t *testing.T, cookie string) {
		if k.isSession(cookie) {
			t.Errorf("%q is taken for a session", cookie)
		}
		if k.isToken(cookie) {
			t.Errorf("%q is taken for the token", cookie)
		}
	})
}
