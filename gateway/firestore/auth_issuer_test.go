package firestore

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"atoll"
)

// signers are keys that tests sign with; making one takes a while.
var signers = sync.OnceValue(func() (s [3]*rsa.PrivateKey) {
	for i := range s {
		var err error
		if s[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return s
})

// jwk returns a public key as it stands in a key set.
func jwk(id string, k *rsa.PublicKey) string {
	e := base64.RawURLEncoding
	return fmt.Sprintf(`{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}`,
		id, e.EncodeToString(k.N.Bytes()), e.EncodeToString(big.NewInt(int64(k.E)).Bytes()))
}

func jwks(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

// sign returns a token.
func sign(t testing.TB, k *rsa.PrivateKey, header string, body map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(jwt(header, string(payload), ""), ".")
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const (
	issuerName = "https://issuer.example.com/app"
	rs256      = `{"alg":"RS256","kid":"k1","typ":"JWT"}`
)

// good are the claims of a token that is accepted at second 10,000; edits
// change them.
func good(edit ...func(map[string]any)) map[string]any {
	c := map[string]any{"iss": issuerName, "aud": "app", "sub": "alice", "iat": 9_000, "exp": 11_000}
	for _, e := range edit {
		e(c)
	}
	return c
}

func set(name string, v any) func(map[string]any) {
	return func(c map[string]any) {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
}

var testNow = time.Unix(10_000, 0)

func fileIssuer(t testing.TB, keys []byte) (*Issuer, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(name, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := NewIssuer(IssuerOptions{Name: issuerName, Audience: "app", Keys: name})
	if err != nil {
		t.Fatal(err)
	}
	return i, name
}

func check(i *Issuer, token string) error {
	s, err := parseSigned(token)
	if err != nil {
		return err
	}
	return i.verify(context.Background(), s, testNow)
}

func TestSignedTokens(t *testing.T) {
	k := signers()
	i, _ := fileIssuer(t, jwks(jwk("k1", &k[0].PublicKey), `{"kty":"EC","kid":"ec"}`, jwk("k2", &k[1].PublicKey)))
	for name, token := range map[string]string{
		"plain":          sign(t, k[0], rs256, good()),
		"other key":      sign(t, k[1], `{"alg":"RS256","kid":"k2"}`, good()),
		"audiences":      sign(t, k[0], rs256, good(set("aud", []string{"x", "app"}))),
		"clock is off":   sign(t, k[0], rs256, good(set("exp", 9_995), set("iat", 10_005), set("nbf", 10_005))),
		"parts of times": sign(t, k[0], rs256, good(set("exp", 10_100.5))),
	} {
		if err := check(i, token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	real := sign(t, k[0], rs256, good())
	parts := strings.Split(real, ".")
	// The old trick: the public key as the secret of HS256.
	mac := hmac.New(sha256.New, k[0].PublicKey.N.Bytes())
	hs := strings.TrimSuffix(jwt(`{"alg":"HS256","kid":"k1"}`, `{"iss":"`+issuerName+`","aud":"app","sub":"alice","exp":11000}`, ""), ".")
	mac.Write([]byte(hs))
	mallory, err := json.Marshal(good(set("sub", "mallory")))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"forged":            sign(t, k[2], rs256, good()),
		"key of another id": sign(t, k[1], rs256, good()),
		"unknown key":       sign(t, k[0], `{"alg":"RS256","kid":"k3"}`, good()),
		"no key id":         sign(t, k[0], `{"alg":"RS256"}`, good()),
		"claims changed":    parts[0] + "." + base64.RawURLEncoding.EncodeToString(mallory) + "." + parts[2],
		"cut off":           real[:len(real)-4],
		"no signature":      parts[0] + "." + parts[1] + ".",
		"unsigned":          jwt(`{"alg":"none","kid":"k1"}`, string(mallory), ""),
		"Unsigned":          jwt(`{"alg":"nOnE","kid":"k1"}`, string(mallory), parts[2]),
		"HS256":             hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"RS512":             sign(t, k[0], `{"alg":"RS512","kid":"k1"}`, good()),
		"critical":          sign(t, k[0], `{"alg":"RS256","kid":"k1","crit":["exp"]}`, good()),
		"expired":           sign(t, k[0], rs256, good(set("exp", 9_990))),
		"never expires":     sign(t, k[0], rs256, good(set("exp", nil))),
		"not yet":           sign(t, k[0], rs256, good(set("nbf", 10_020))),
		"of tomorrow":       sign(t, k[0], rs256, good(set("iat", 10_020))),
		"other audience":    sign(t, k[0], rs256, good(set("aud", "other"))),
		"no audience":       sign(t, k[0], rs256, good(set("aud", nil))),
		"nobody":            sign(t, k[0], rs256, good(set("sub", ""))),
		"long subject":      sign(t, k[0], rs256, good(set("sub", strings.Repeat("a", 129)))),
		"too long":          sign(t, k[0], rs256, good(set("x", strings.Repeat("a", maxToken)))),
		"empty":             "",
		"dots":              "..",
		"padded":            real + "=",
	} {
		if err := check(i, token); atoll.KindOf(err) != atoll.Unauthenticated {
			t.Errorf("%s: got %v, want Unauthenticated", name, err)
		}
	}
}

func TestKeysFileIsFollowed(t *testing.T) {
	k := signers()
	i, name := fileIssuer(t, jwks(jwk("k1", &k[0].PublicKey)))
	old, fresh := sign(t, k[0], rs256, good()), sign(t, k[1], `{"alg":"RS256","kid":"k2"}`, good())
	if check(i, old) != nil || check(i, fresh) == nil {
		t.Fatal("before the change")
	}
	if err := os.WriteFile(name, jwks(jwk("k2", &k[1].PublicKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); check(i, fresh) != nil || check(i, old) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the change was not seen")
		}
	}
}

// TestFetchedKeys counts how often an issuer is asked: once for everybody, and
// not again for each stranger who makes up the id of a key.
func TestFetchedKeys(t *testing.T) {
	k := signers()
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Write(jwks(jwk("k1", &k[0].PublicKey)))
	}))
	defer web.Close()
	i, err := NewIssuer(IssuerOptions{Name: issuerName, Audience: "app", Keys: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if err := check(i, sign(t, k[0], rs256, good())); err != nil {
				t.Error(err)
			}
			if err := check(i, sign(t, k[0], fmt.Sprintf(`{"alg":"RS256","kid":"made up %d"}`, n), good())); atoll.KindOf(err) != atoll.Unauthenticated {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("<html>"))
	}))
	defer web.Close()
	i, err := NewIssuer(IssuerOptions{Name: issuerName, Audience: "app", Keys: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := check(i, sign(t, signers()[0], rs256, good())); atoll.KindOf(err) != atoll.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
	}
}

func TestBadIssuers(t *testing.T) {
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	even := &rsa.PublicKey{N: signers()[0].N, E: 4}
	for name, text := range map[string][]byte{
		"empty": {}, "no keys": jwks(), "small": jwks(jwk("k1", small)), "even": jwks(jwk("k1", even)),
		"no RSA": jwks(`{"kty":"EC","kid":"k"}`), "for encryption": jwks(`{"kty":"RSA","use":"enc","kid":"k"}`),
		"malformed": jwks(`{"kty":"RSA","kid":"k","n":"!","e":"AQAB"}`),
		"many":      jwks(strings.TrimSuffix(strings.Repeat(`{"kty":"EC"},`, maxKeys+1), ",")),
	} {
		if _, err := parseKeys("keys", text); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, place := range []string{"", "http://example.com/keys", "ftp://example.com/keys", "https://", filepath.Join(t.TempDir(), "none")} {
		if _, err := NewIssuer(IssuerOptions{Name: "i", Audience: "a", Keys: place}); err == nil {
			t.Errorf("keys from %q were accepted", place)
		}
	}
}

func FuzzSignedToken(f *testing.F) {
	i, _ := fileIssuer(f, jwks(jwk("k1", &signers()[0].PublicKey)))
	f.Add(sign(f, signers()[1], rs256, good()))
	f.Add(jwt(rs256, `{"aud":["a",1,null]}`, "AA"))
	f.Add(jwt(`{"alg":"none"}`, `{}`, ""))
	f.Fuzz(func(t *testing.T, token string) {
		if err := check(i, token); atoll.KindOf(err) != atoll.Unauthenticated {
			t.Fatalf("%q got through, or failed for another reason: %v", token, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(jwks(jwk("k1", &signers()[0].PublicKey)))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"k","n":"AQ","e":"AQ"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys("keys", text)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatal(err)
			}
			return
		}
		for _, k := range keys {
			sum := sha256.Sum256(text)
			if rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], make([]byte, k.Size())) == nil {
				t.Fatal("a signature of nothing was accepted")
			}
		}
	})
}
