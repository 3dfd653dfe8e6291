package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"atoll"
)

func objectName(dir, hash string) string { return filepath.Join(dir, "objects", hash[:2], hash) }

func unwritable(err error) error {
	return atoll.Errorf(atoll.Unavailable, "cannot write the backup: %v", err)
}

// writeFile writes a small file durably.
func writeFile(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.Write(b)
		if e := f.Sync(); err == nil {
			err = e
		}
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return unwritable(err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return unwritable(err)
	}
	return nil
}

// newObject writes an object whose hash is known when all is written.
type newObject struct {
	dir  string
	file *os.File
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func createObject(dir string) (*newObject, error) {
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o700); err != nil {
		return nil, unwritable(err)
	}
	f, err := os.CreateTemp(filepath.Join(dir, "objects"), "new-*")
	if err != nil {
		return nil, unwritable(err)
	}
	return &newObject{dir: dir, file: f, sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (o *newObject) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	o.sum.Write(p[:n])
	o.size += int64(n)
	if err != nil {
		err = unwritable(err)
	}
	return n, err
}

// abandon removes what was written; after end it does nothing.
func (o *newObject) abandon() {
	o.file.Close()
	os.Remove(o.file.Name())
}

// end makes the object durable under its hash.
func (o *newObject) end() (Object, error) {
	out := Object{Hash: hex.EncodeToString(o.sum.Sum(nil)), Size: o.size}
	err := o.file.Sync()
	if e := o.file.Close(); err == nil {
		err = e
	}
	name := objectName(o.dir, out.Hash)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o700)
	}
	if err == nil {
		err = os.Rename(o.file.Name(), name)
	}
	if err != nil {
		return out, unwritable(err)
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return out, err
	}
	return out, syncDir(filepath.Join(o.dir, "objects"))
}

// store copies a file into an object, unless there is one that holds the same.
// It is never linked: a backup shares no block of the disk with its source.
func store(dir, file string) (Object, error) {
	f, err := os.Open(file)
	if err != nil {
		return Object{}, atoll.Errorf(atoll.Unavailable, "cannot read the checkpoint: %v", err)
	}
	defer f.Close()
	have, err := hashOf(f)
	if err != nil {
		return have, atoll.Errorf(atoll.Unavailable, "cannot read the checkpoint: %v", err)
	}
	if check(dir, have) == nil {
		return have, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return have, atoll.Errorf(atoll.Unavailable, "cannot read the checkpoint: %v", err)
	}
	o, err := createObject(dir)
	if err != nil {
		return have, err
	}
	defer o.abandon()
	if _, err := io.Copy(o, f); err != nil {
		return have, err
	}
	return o.end()
}

func hashOf(r io.Reader) (o Object, err error) {
	h := sha256.New()
	o.Size, err = io.Copy(h, r)
	o.Hash = hex.EncodeToString(h.Sum(nil))
	return o, err
}

// openObject opens an object that a manifest names.
func openObject(dir string, o Object) (*os.File, error) {
	if raw, err := hex.DecodeString(o.Hash); err != nil || len(raw) != sha256.Size {
		return nil, damaged("a manifest names a file by %q, which is no hash", o.Hash)
	}
	f, err := os.Open(objectName(dir, o.Hash))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("the file %s of the backup is missing", objectName(dir, o.Hash))
	}
	if err != nil {
		return nil, atoll.Errorf(atoll.Unavailable, "cannot read the backup: %v", err)
	}
	return f, nil
}

// check makes sure that an object is what its name says.
func check(dir string, o Object) error { return copyObject(dir, o, io.Discard) }

// copyObject copies an object and makes sure that it is what its name says.
func copyObject(dir string, o Object, to io.Writer) error {
	f, err := openObject(dir, o)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := hashOf(io.TeeReader(f, to))
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot copy a file of the backup: %v", err)
	}
	if got.Hash != o.Hash || got.Size != o.Size {
		return damaged("the file %s of the backup is damaged: its hash is %s", f.Name(), got.Hash)
	}
	return nil
}
