package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"atoll"
)

// TokenFile is the name of the file, in the data directory, that holds the
// token for programs on the same machine.
const TokenFile = "admin.token"

const (
	tokenBytes  = 32
	sessionLife = 30 * 24 * time.Hour
	maxLinks    = 16 // that were given out and not used
)

// Keys tell who may use the door.
type Keys struct {
	token []byte // in hexadecimal
	clock func() time.Time

	mu    sync.Mutex // guards links
	links [][sha256.Size]byte
}

// NewKeys returns keys with the token of a data directory, which is drawn and
// stored if it is not there, or if others could have read it. With an empty
// directory it is in memory alone.
func NewKeys(dir string) (*Keys, error) {
	k := &Keys{clock: time.Now}
	if dir == "" {
		k.token = []byte(draw())
		return k, nil
	}
	token, err := ReadToken(dir)
	if err == nil {
		k.token = []byte(token)
		return k, nil
	}
	k.token = []byte(draw())
	return k, storeToken(filepath.Join(dir, TokenFile), k.token)
}

// draw returns a secret of 256 bits in hexadecimal.
func draw() string {
	var b [tokenBytes]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// ReadToken returns the token of the data directory of a node on this machine.
// It fails with NotFound if there is none, and with PermissionDenied if the
// file is not for its owner alone.
func ReadToken(dir string) (string, error) {
	name := filepath.Join(dir, TokenFile)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", atoll.Errorf(atoll.NotFound, "there is no %s; name the data directory of the node with --data, and start the node once", name)
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return "", atoll.Errorf(atoll.PermissionDenied, "%s can be read by others (mode %o); start the node again to get a new one", name, info.Mode().Perm())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		return "", atoll.Errorf(atoll.PermissionDenied, "cannot read the token: %v", err)
	}
	token := strings.TrimSpace(string(b))
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenBytes {
		return "", atoll.Errorf(atoll.Invalid, "%s holds no token; remove it and start the node again", name)
	}
	return token, nil
}

// storeToken replaces the file, so that nobody who had the old one open reads
// the new token.
func storeToken(name string, token []byte) error {
	temp := name + ".tmp"
	os.Remove(temp)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot store the token: %v", err)
	}
	_, err = f.Write(append(token, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot store the token: %v", err)
	}
	return nil
}

// Link returns the path and query of a new link that begins a session, once.
// Of links that nobody used only the newest few work.
func (k *Keys) Link() string {
	code := draw()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links = append(k.links, sha256.Sum256([]byte(code)))
	k.links = k.links[max(0, len(k.links)-maxLinks):]
	return "/login?code=" + code
}

// redeem uses a code up and returns the cookie of a new session.
func (k *Keys) redeem(code string) (session string, ok bool) {
	sum := sha256.Sum256([]byte(code))
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, l := range k.links {
		if subtle.ConstantTimeCompare(l[:], sum[:]) == 1 {
			k.links = append(k.links[:i], k.links[i+1:]...)
			return k.session(k.clock().Add(sessionLife)), true
		}
	}
	return "", false
}

// session returns a cookie: the end of the session and the hash over it.
func (k *Keys) session(until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, k.sign(b)...))
}

func (k *Keys) sign(b []byte) []byte {
	h := hmac.New(sha256.New, k.token)
	h.Write([]byte("atoll session 1\x00"))
	h.Write(b)
	return h.Sum(nil)
}

// isSession reports whether a cookie is of a session that has not ended.
func (k *Keys) isSession(cookie string) bool {
	b, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(b) != 8+sha256.Size || !hmac.Equal(b[8:], k.sign(b[:8])) {
		return false
	}
	return k.clock().Before(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
}

// isToken reports whether an Authorization header holds the token.
func (k *Keys) isToken(header string) bool {
	scheme, token, _ := strings.Cut(header, " ")
	return strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare([]byte(token), k.token) == 1
}
