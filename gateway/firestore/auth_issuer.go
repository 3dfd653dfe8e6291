package firestore

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"atoll"
)

// IssuerOptions name somebody whose tokens are believed.
type IssuerOptions struct {
	// Name is the claim iss, such as https://securetoken.google.com/my-app.
	Name string
	// Audience must be in the claim aud: a token that the issuer made for
	// another application is no good here. For Firebase it is the project.
	Audience string
	// Keys is where the issuer's public keys are, as a JSON Web Key Set (RFC
	// 7517): a file, or an address that begins with https://, or, on this
	// machine, http://.
	Keys string
	// Client fetches the keys; one with a time limit if nil.
	Client *http.Client
}

// Limits of keys and tokens.
const (
	maxKeys    = 100 // of one issuer
	minKeyBits = 2048
	maxKeyBits = 8192 // larger ones only cost time
	// leeway is how far two clocks may differ.
	leeway = 10 * time.Second
	// keysLife is how long fetched keys are used before they are fetched again,
	// and keysPause how long after one attempt the next may be.
	keysLife   = time.Hour
	keysPause  = time.Minute
	fetchLimit = 10 * time.Second
)

// keySet are an issuer's keys by their ids.
type keySet map[string]*rsa.PublicKey

// Issuer verifies tokens that somebody signed. It is safe for concurrent use.
type Issuer struct {
	opt  IssuerOptions
	file *watched[keySet] // nil: the keys are fetched

	keys    atomic.Pointer[keySet] // fetched; nil: none yet
	fetched atomic.Int64           // when they were, in seconds since the epoch

	mu    sync.Mutex // held while keys are fetched, and guards tried
	tried time.Time
}

// NewIssuer returns an Issuer. It fails with Invalid if the options are
// malformed or a file with keys cannot be read; keys from elsewhere are fetched
// when the first token comes.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	if o.Name == "" || o.Audience == "" || o.Keys == "" {
		return nil, atoll.Errorf(atoll.Invalid, "an issuer needs its name, an audience and the place of its keys")
	}
	i := &Issuer{opt: o}
	if i.opt.Client == nil {
		i.opt.Client = &http.Client{Timeout: fetchLimit}
	}
	if !strings.Contains(o.Keys, "://") {
		var err error
		i.file, err = watch(o.Keys, parseKeys)
		return i, err
	}
	u, err := url.Parse(o.Keys)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !thisMachine(u.Hostname())) {
		return nil, atoll.Errorf(atoll.Invalid, "the keys of %s are to come from %q, which is neither a file nor an address with https://", o.Name, o.Keys)
	}
	return i, nil
}

func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// parseKeys reads a JSON Web Key Set, of which it takes the RSA keys that sign.
func parseKeys(name string, text []byte) (keySet, error) {
	var set struct {
		Keys []struct {
			Kty, Kid, Use, Alg, N, E string
		}
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "%s is no JSON Web Key Set: %v", name, err)
	}
	if len(set.Keys) > maxKeys {
		return nil, atoll.Errorf(atoll.Invalid, "%s has %d keys; %d are allowed", name, len(set.Keys), maxKeys)
	}
	keys := keySet{}
	for _, k := range set.Keys {
		if k.Kty != "RSA" || k.Kid == "" || k.Use != "" && k.Use != "sig" || k.Alg != "" && k.Alg != "RS256" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		if err != nil || err2 != nil || len(e) == 0 || len(e) > 4 {
			return nil, atoll.Errorf(atoll.Invalid, "%s: the key %.100q is malformed", name, k.Kid)
		}
		p := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if bits := p.N.BitLen(); bits < minKeyBits || bits > maxKeyBits || p.E < 3 || p.E%2 == 0 {
			return nil, atoll.Errorf(atoll.Invalid, "%s: the key %.100q has %d bits and the exponent %d; %d to %d bits and an odd exponent are allowed",
				name, k.Kid, bits, p.E, minKeyBits, maxKeyBits)
		}
		keys[k.Kid] = p
	}
	if len(keys) == 0 {
		return nil, atoll.Errorf(atoll.Invalid, "%s has no RSA key with an id", name)
	}
	return keys, nil
}

// key returns the key with an id.
func (i *Issuer) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	unknown := atoll.Errorf(atoll.Unauthenticated, "the token is signed by a key that %s has not published; sign in again", i.opt.Name)
	if i.file != nil {
		keys, err := i.file.value()
		if err != nil {
			return nil, &atoll.Error{Kind: atoll.Unavailable, Msg: "the issuer's keys cannot be read", Detail: err.Error()}
		}
		if k, ok := keys[id]; ok {
			return k, nil
		}
		return nil, unknown
	}
	old := time.Since(time.Unix(i.fetched.Load(), 0)) > keysLife
	if keys := i.keys.Load(); keys != nil {
		if k, ok := (*keys)[id]; ok {
			if old && i.mu.TryLock() { // this token need not wait for the new keys
				go func() {
					defer i.mu.Unlock()
					i.fetch(context.WithoutCancel(ctx))
				}()
			}
			return k, nil
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	err := i.fetch(ctx)
	keys := i.keys.Load()
	if keys == nil {
		return nil, err
	}
	if k, ok := (*keys)[id]; ok {
		return k, nil
	}
	return nil, unknown
}

// fetch gets the keys anew, but not too often. The caller holds mu. Its error
// tells why there are none at all.
func (i *Issuer) fetch(ctx context.Context) error {
	none := &atoll.Error{Kind: atoll.Unavailable, Msg: "the issuer's keys cannot be fetched now; try again in a minute"}
	if now := time.Now(); now.Sub(i.tried) < keysPause {
		return none
	} else {
		i.tried = now
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.opt.Keys, nil)
	if err != nil {
		return none
	}
	res, err := i.opt.Client.Do(req)
	if err != nil {
		none.Detail = err.Error()
		return none
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxWatched))
	if err != nil || res.StatusCode != http.StatusOK {
		none.Detail = "the answer was " + res.Status
		return none
	}
	keys, err := parseKeys(i.opt.Keys, text)
	if err != nil {
		none.Detail = err.Error()
		return none
	}
	i.keys.Store(&keys)
	i.fetched.Store(time.Now().Unix())
	return nil
}

// signed is a token that was taken apart and not yet verified.
type signed struct {
	claims
	nbf, iat  float64
	audience  []string
	key       string
	hash      [sha256.Size]byte
	signature []byte
}

// parseSigned reads a JSON Web Token (RFC 7519) signed with RS256 (RFC 7518,
// section 3.3). Who signed it remains to be seen.
func parseSigned(token string) (s signed, err error) {
	bad := func(format string, args ...any) (signed, error) {
		return signed{}, atoll.Errorf(atoll.Unauthenticated, format, args...)
	}
	if len(token) > maxToken {
		return bad("the token has %d bytes; %d are allowed", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return bad("this is neither the administrator's key nor a token of an issuer")
	}
	var header struct {
		Alg, Kid string
		Crit     []string
	}
	if decodeStrict(parts[0], &header) != nil {
		return bad("malformed token: the header is not JSON in base64url")
	}
	switch {
	case strings.EqualFold(header.Alg, "none"):
		return bad("unsigned tokens are for emulators and are refused here; sign in with an issuer that this node knows")
	case header.Alg != "RS256" || header.Kid == "" || header.Crit != nil:
		return bad("only tokens signed with RS256, by a key with an id, are accepted; this one says %.50q", header.Alg)
	}
	var body struct {
		Iss, Sub      string
		Exp, Nbf, Iat float64
		Aud           any
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &body) != nil {
		return bad("malformed token: the payload is not a JSON object in base64url")
	}
	if s.signature, err = base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return bad("malformed token: the signature is not in base64url")
	}
	switch a := body.Aud.(type) {
	case string:
		s.audience = []string{a}
	case []any:
		for _, one := range a {
			if text, ok := one.(string); ok {
				s.audience = append(s.audience, text)
			}
		}
	}
	s.claims = claims{Iss: body.Iss, Sub: body.Sub, Exp: body.Exp, raw: payload}
	s.nbf, s.iat, s.key = body.Nbf, body.Iat, header.Kid
	s.hash = sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return s, nil
}

func decodeStrict(part string, v any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// verify fails with Unauthenticated if the token is not i's, not for this node,
// or not of this time; the signature is looked at first.
func (i *Issuer) verify(ctx context.Context, s signed, now time.Time) error {
	key, err := i.key(ctx, s.key)
	if err != nil {
		return err
	}
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, s.hash[:], s.signature) != nil {
		return atoll.Errorf(atoll.Unauthenticated, "the token's signature is wrong")
	}
	late := func(at float64) bool { return float64(now.Add(-leeway).Unix()) >= at }
	early := func(at float64) bool { return at > float64(now.Add(leeway).Unix()) }
	switch {
	case late(s.Exp): // or missing
		return atoll.Errorf(atoll.Unauthenticated, "the token has expired; sign in again")
	case early(s.nbf) || early(s.iat):
		return atoll.Errorf(atoll.Unauthenticated, "the token is not valid yet; is a clock wrong?")
	case s.Sub == "" || len(s.Sub) > 128:
		return atoll.Errorf(atoll.Unauthenticated, "the claim sub must have 1 to 128 bytes; it has %d", len(s.Sub))
	}
	for _, a := range s.audience {
		if a == i.opt.Audience {
			return nil
		}
	}
	return atoll.Errorf(atoll.Unauthenticated, "the token is for another application than %q", i.opt.Audience)
}
