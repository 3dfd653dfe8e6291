package firestore

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"atoll"
)

// AdminKeyFile is the name of the file, in the data directory, that holds the
// hash of the administrator's key.
const AdminKeyFile = "admin.key"

const (
	// adminKeyPrefix begins every key, so that one that was published by
	// mistake can be found.
	adminKeyPrefix = "atoll_admin_"
	adminKeyBytes  = 32
	// adminKeyFormat begins the file: the first format. The key is random and
	// as long as the hash, so that one pass of SHA-256 gives nothing away.
	adminKeyFormat = "atoll admin key 1 sha256 "
)

// AdminKey knows the administrator's key by its hash. It follows the file: a
// key that was replaced ends, within a second, while the node runs.
type AdminKey struct{ file *watched[[sha256.Size]byte] }

// MakeAdminKey draws a new key, replaces the one of a data directory, and
// returns it: it is stored nowhere. It fails with Unavailable.
func MakeAdminKey(dir string) (key string, err error) {
	var b [adminKeyBytes]byte
	rand.Read(b[:]) // never fails
	key = adminKeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(key))
	name := filepath.Join(dir, AdminKeyFile)
	if err := replaceFile(name, []byte(adminKeyFormat+hex.EncodeToString(sum[:])+"\n")); err != nil {
		return "", atoll.Errorf(atoll.Unavailable, "cannot store the hash of the administrator's key: %v", err)
	}
	return key, nil
}

// HasAdminKey reports whether a data directory has a key.
func HasAdminKey(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, AdminKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, atoll.Errorf(atoll.PermissionDenied, "cannot look for the administrator's key: %v", err)
	}
	return true, nil
}

// OpenAdminKey reads the hash of a data directory's key. It fails with Invalid
// if the file is not what MakeAdminKey writes, or if others can write it.
func OpenAdminKey(dir string) (*AdminKey, error) {
	file, err := watch(filepath.Join(dir, AdminKeyFile), parseAdminKey)
	if err != nil {
		return nil, err
	}
	return &AdminKey{file}, nil
}

func parseAdminKey(name string, text []byte) (sum [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(strings.TrimSpace(string(text)), adminKeyFormat)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(sum) {
		return sum, atoll.Errorf(atoll.Invalid, "%s holds no hash of a key; make a new key with \"atoll admin-key rotate\"", name)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o022 != 0 {
		return sum, atoll.Errorf(atoll.Invalid, "%s can be written by others (mode %o); make a new key with \"atoll admin-key rotate\"", name, info.Mode().Perm())
	}
	return [sha256.Size]byte(b), nil
}

// is reports whether a token is the key. How long it takes tells nothing: what
// is compared are hashes, and in constant time.
func (k *AdminKey) is(token string) bool {
	want, err := k.file.value()
	if err != nil {
		return false
	}
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// replaceFile writes a file that only its owner reads, whole or not at all.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
