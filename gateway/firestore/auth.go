package firestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"atoll"
	"atoll/route"
)

// Auth tells who is calling. It never decides what a caller may do: that is
// for the rules, in the shard. As long as there are none, a Guard keeps out all
// but the administrator.
type Auth struct {
	// Dev accepts what Firebase's emulators accept: "Bearer owner", tokens
	// whose signature nobody checks, if they have one, and no token at all.
	Dev bool
	// Guard decides in place of all this, for a node that strangers can reach.
	// Without it and without Dev every request is refused.
	Guard *Guard
	// Clock tells whether a token has expired; time.Now if nil.
	Clock func() time.Time
}

// Administrator is the principal of "Bearer owner" in dev mode: an opaque
// principal, which cannot be a canister's, for those have ten bytes.
const Administrator = route.Administrator

// maxToken bounds the bytes of a token; Firebase's are about 1 KiB.
const maxToken = 16 << 10

// Caller reads the value of an authorization header, empty for none. It fails
// with Unauthenticated.
func (a Auth) Caller(authorization string) (route.Caller, error) {
	if !a.Dev {
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, "this server accepts no callers yet: sign-in comes with a later release; use atoll dev on your own machine")
	}
	if authorization == "" {
		return route.Caller{Principal: atoll.Anonymous}, nil
	}
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, `the authorization header must have the form "Bearer {token}"`)
	}
	if token == "owner" {
		return route.Caller{Principal: Administrator}, nil
	}
	claims, err := parseUnverified(token)
	if err != nil {
		return route.Caller{}, err
	}
	now := time.Now
	if a.Clock != nil {
		now = a.Clock
	}
	if claims.Exp != 0 && !claims.mock() && float64(now().Unix()) >= claims.Exp {
		return route.Caller{}, atoll.Errorf(atoll.Unauthenticated, "the token has expired; sign in again")
	}
	if claims.server() {
		return route.Caller{Principal: Administrator}, nil
	}
	return route.Caller{Principal: userPrincipal(claims.Iss, claims.Sub), Claims: claims.raw}, nil
}

// claims are the parts of a token's payload that matter here. The rules get
// all of it, as compact JSON.
type claims struct {
	Iss string   `json:"iss"`
	Sub string   `json:"sub"`
	Exp float64  `json:"exp"` // seconds since the epoch; fractions are allowed
	Iat *float64 `json:"iat"`
	raw []byte
}

// mock reports whether a test tool made the token without a clock: Firebase's
// mockUserToken is issued at 0 and expires an hour later, in 1970.
func (c *claims) mock() bool { return c.Iat != nil && *c.Iat == 0 && c.Exp <= 3600 }

// server reports whether one of Google's libraries for servers made the token,
// for its own service account: it names itself as issuer and subject. Such a
// caller is above the rules. Over gRPC these libraries send "Bearer owner" to an
// emulator, over REST a token that the account's key has signed.
func (c *claims) server() bool { return c.Iss == c.Sub }

// parseUnverified reads a JSON Web Token (RFC 7519). Firebase's test tools make
// them with the algorithm "none" (RFC 7518, section 3.6); one from elsewhere has
// a signature, which means nothing here, where anybody may say who they are.
func parseUnverified(token string) (c claims, err error) {
	bad := func(format string, args ...any) (claims, error) {
		return claims{}, atoll.Errorf(atoll.Unauthenticated, "malformed token: "+format, args...)
	}
	if len(token) > maxToken {
		return bad("it has %d bytes; %d are allowed", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return bad("it has %d parts instead of 3", len(parts))
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if err := decodePart(parts[0], &header); err != nil {
		return bad("the header is not JSON in base64url")
	}
	if header.Alg == "" || (header.Alg == "none") != (parts[2] == "") {
		return bad(`the algorithm %.20q and a signature of %d bytes do not belong together`, header.Alg, len(parts[2]))
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return bad("the payload is not in base64url")
	}
	var compact bytes.Buffer
	if json.Compact(&compact, payload) != nil || json.Unmarshal(payload, &c) != nil {
		return bad("the payload is not a JSON object with the claims sub (text) and exp (seconds)")
	}
	if c.Sub == "" {
		var old struct {
			UserID string `json:"user_id"`
		}
		json.Unmarshal(payload, &old) // has been parsed above
		c.Sub = old.UserID
	}
	if c.Sub == "" || len(c.Sub) > 128 {
		return bad("the claim sub must have 1 to 128 bytes; it has %d", len(c.Sub))
	}
	c.raw = compact.Bytes()
	return c, nil
}

func decodePart(part string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// userPrincipal derives a principal from a token's issuer and subject: it is
// the same whenever that user signs in, and nobody else's. It has the form of
// the Internet Computer's self-authenticating ids, 28 bytes of a hash and 2.
func userPrincipal(iss, sub string) atoll.Principal {
	h := sha256.New224()
	h.Write([]byte("atoll user\x00" + iss + "\x00" + sub))
	return atoll.Principal(append(h.Sum(nil), 2))
}
