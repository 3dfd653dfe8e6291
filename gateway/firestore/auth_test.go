package firestore

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"atoll"
)

func jwt(header, payload, signature string) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(payload)) + "." + signature
}

const unsigned = `{"alg":"none","typ":"JWT"}`

func TestCallers(t *testing.T) {
	auth := Auth{Dev: true, Clock: func() time.Time { return time.Unix(1000, 0) }}
	for header, want := range map[string]atoll.Principal{
		"":             atoll.Anonymous,
		"Bearer owner": Administrator,
		"bearer owner": Administrator,
	} {
		if who, err := auth.Caller(header); err != nil || who.Principal != want || who.Claims != nil {
			t.Errorf("%q: got %+v, %v", header, who, err)
		}
	}
	alice, err := auth.Caller("Bearer " + jwt(unsigned, `{"iss": "i", "sub":"alice", "exp":1001, "admin" : true}`, ""))
	if err != nil || string(alice.Claims) != `{"iss":"i","sub":"alice","exp":1001,"admin":true}` {
		t.Fatalf("got %+v, %v", alice, err)
	}
	if p, err := atoll.ParsePrincipal(alice.Principal.String()); err != nil || p != alice.Principal || len(p) != 29 {
		t.Errorf("%x is no principal: %v", alice.Principal, err)
	}
	again, _ := auth.Caller("Bearer " + jwt(unsigned, `{"sub":"alice","iss":"i"}`, ""))
	bob, _ := auth.Caller("Bearer " + jwt(unsigned, `{"sub":"bob","iss":"i"}`, ""))
	other, _ := auth.Caller("Bearer " + jwt(unsigned, `{"sub":"alice","iss":"j"}`, ""))
	if again.Principal != alice.Principal || bob.Principal == alice.Principal || other.Principal == alice.Principal {
		t.Error("a principal must follow from issuer and subject, and from nothing else")
	}
	signed, err := auth.Caller("Bearer " + jwt(`{"alg":"RS256"}`, `{"sub":"alice","iss":"i"}`, "c2ln"))
	if err != nil || signed.Principal != alice.Principal {
		t.Errorf("with a signature: got %+v, %v", signed, err)
	}
	server, err := auth.Caller("Bearer " + jwt(`{"alg":"RS256"}`, `{"sub":"s@example.com","iss":"s@example.com","aud":"https://firestore.googleapis.com/"}`, "c2ln"))
	if err != nil || server.Principal != Administrator || server.Claims != nil {
		t.Errorf("a server's own token: got %+v, %v", server, err)
	}
	old, err := auth.Caller("Bearer " + jwt(unsigned, `{"user_id":"alice","iss":"i","exp":1000.5}`, ""))
	if err != nil || old.Principal != alice.Principal {
		t.Errorf("user_id in place of sub: got %+v, %v", old, err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	auth := Auth{Dev: true, Clock: func() time.Time { return time.Unix(1000, 0) }}
	for name, header := range map[string]string{
		"no scheme":     "owner",
		"basic":         "Basic b3duZXI=",
		"empty":         "Bearer ",
		"one part":      "Bearer abc",
		"four parts":    "Bearer a.b.c.d",
		"no signature":  "Bearer " + jwt(`{"alg":"RS256"}`, `{"sub":"a"}`, ""),
		"claims none":   "Bearer " + jwt(unsigned, `{"sub":"a"}`, "sig"),
		"no algorithm":  "Bearer " + jwt(`{}`, `{"sub":"a"}`, ""),
		"no subject":    "Bearer " + jwt(unsigned, `{}`, ""),
		"long subject":  "Bearer " + jwt(unsigned, `{"sub":"`+strings.Repeat("a", 129)+`"}`, ""),
		"not base64":    "Bearer !.!.",
		"not JSON":      "Bearer " + jwt(unsigned, `sub`, ""),
		"an array":      "Bearer " + jwt(unsigned, `["sub"]`, ""),
		"null":          "Bearer " + jwt(unsigned, `null`, ""),
		"expired":       "Bearer " + jwt(unsigned, `{"sub":"a","exp":1000}`, ""),
		"expiry a text": "Bearer " + jwt(unsigned, `{"sub":"a","exp":"never"}`, ""),
		"too long":      "Bearer " + jwt(unsigned, `{"sub":"a","x":"`+strings.Repeat("x", maxToken)+`"}`, ""),
	} {
		if who, err := auth.Caller(header); atoll.KindOf(err) != atoll.Unauthenticated {
			t.Errorf("%s: got %+v, %v; want Unauthenticated", name, who, err)
		}
	}
}

func TestOutsideOfDevModeNobodyGetsIn(t *testing.T) {
	for _, header := range []string{"", "Bearer owner", "Bearer " + jwt(unsigned, `{"sub":"a"}`, "")} {
		if who, err := (Auth{}).Caller(header); atoll.KindOf(err) != atoll.Unauthenticated {
			t.Errorf("%q: got %+v, %v; want Unauthenticated", header, who, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(jwt(unsigned, `{"sub":"a","exp":1}`, ""))
	f.Add(jwt(unsigned, `{"user_id":"a"}`, ""))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseUnverified(token)
		if err != nil {
			if atoll.KindOf(err) != atoll.Unauthenticated {
				t.Fatalf("%v is not Unauthenticated", err)
			}
			return
		}
		if c.Sub == "" || len(userPrincipal(c.Iss, c.Sub)) != atoll.MaxPrincipalLen || len(c.raw) == 0 {
			t.Fatalf("%q got through as %+v", token, c)
		}
	})
}

// TestMockUserTokens reads the token that Firebase's SDKs make of a
// mockUserToken: issued at 0, expired in 1970.
func TestMockUserTokens(t *testing.T) {
	who, err := Auth{Dev: true}.Caller("Bearer " + jwt(unsigned, `{"sub":"alice","iat":0,"exp":3600}`, ""))
	if err != nil || who.Principal == atoll.Anonymous {
		t.Errorf("%v, %v", who, err)
	}
	if _, err := (Auth{Dev: true}).Caller("Bearer " + jwt(unsigned, `{"sub":"alice","iat":1,"exp":3600}`, "")); err == nil {
		t.Error("a token that expired in 1970 and was issued by a clock is taken")
	}
}
