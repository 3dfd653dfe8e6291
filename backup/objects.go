package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"

	"atoll"
)

// vault keeps the files of backups under names: manifests, and objects in
// objects/. A file that is there is never changed.
type vault interface {
	// manifests returns the names of the manifests, in order.
	manifests(ctx context.Context) ([]string, error)
	// open reads a file. It fails with fs.ErrNotExist if it is not there.
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// has reports whether an object is there, as far as that can be told
	// without reading it from far away.
	has(ctx context.Context, o Object) bool
	// put makes a file durable under a name. What is there is replaced.
	put(ctx context.Context, name string, from io.Reader, size int64) error
	// publish makes a small file durable, and fails with Aborted if there is
	// one of that name.
	publish(ctx context.Context, name string, b []byte) error
	// staging makes an empty directory for the checkpoints of a source that
	// would like them in the directory beside. The caller removes it.
	staging(beside string) (string, error)
	// String names the place for people.
	String() string
}

// openVault finds the vault that a location names: a folder, or a bucket.
func openVault(location string) (vault, error) {
	if IsBucket(location) {
		return openBucket(location)
	}
	return folder(location), nil
}

func objectName(hash string) string { return "objects/" + hash[:2] + "/" + hash }

// name returns the name of an object that a manifest names.
func (o Object) name() (string, error) {
	if raw, err := hex.DecodeString(o.Hash); err != nil || len(raw) != sha256.Size {
		return "", damaged("a manifest names a file by %q, which is no hash", o.Hash)
	}
	return objectName(o.Hash), nil
}

// store puts what a reader holds into a vault, unless that has it.
func store(ctx context.Context, v vault, from io.ReadSeeker) (Object, error) {
	o, err := hashOf(from)
	if err == nil {
		_, err = from.Seek(0, io.SeekStart)
	}
	if err != nil {
		return o, atoll.Errorf(atoll.Unavailable, "cannot read what is to be backed up: %v", err)
	}
	if v.has(ctx, o) {
		return o, nil
	}
	return o, v.put(ctx, objectName(o.Hash), from, o.Size)
}

// storeFile puts a file into a vault. It is never linked: a backup shares no
// block of the disk with its source.
func storeFile(ctx context.Context, v vault, file string) (Object, error) {
	f, err := os.Open(file)
	if err != nil {
		return Object{}, atoll.Errorf(atoll.Unavailable, "cannot read the checkpoint: %v", err)
	}
	defer f.Close()
	return store(ctx, v, f)
}

func hashOf(r io.Reader) (o Object, err error) {
	h := sha256.New()
	o.Size, err = io.Copy(h, r)
	o.Hash = hex.EncodeToString(h.Sum(nil))
	return o, err
}

// openObject opens an object that a manifest names.
func openObject(ctx context.Context, v vault, o Object) (io.ReadCloser, error) {
	name, err := o.name()
	if err != nil {
		return nil, err
	}
	f, err := v.open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("the file %s of the backup in %s is missing", name, v)
	}
	return f, err
}

// check makes sure that an object is what its name says.
func check(ctx context.Context, v vault, o Object) error { return copyObject(ctx, v, o, io.Discard) }

// copyObject copies an object and makes sure that it is what its name says.
func copyObject(ctx context.Context, v vault, o Object, to io.Writer) error {
	f, err := openObject(ctx, v, o)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := hashOf(io.TeeReader(f, to))
	switch {
	case errors.Is(err, fs.ErrNotExist): // as a bucket tells, not before it is read
		return damaged("the file %s of the backup in %s is missing", objectName(o.Hash), v)
	case ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil:
		return atoll.Errorf(atoll.Unavailable, "cannot copy a file of the backup: %v", err)
	case got.Hash != o.Hash || got.Size != o.Size:
		return damaged("the file %s of the backup in %s is damaged: it has %d bytes with the hash %s, and should have %d", objectName(o.Hash), v, got.Size, got.Hash, o.Size)
	}
	return nil
}

// readObject calls read with an object that has been checked. A small one, as
// all are that this version writes, is held in memory and fetched once.
func readObject(ctx context.Context, v vault, o Object, read func(io.Reader) error) error {
	if o.Size <= 2*pieceBytes {
		var b bytes.Buffer
		if err := copyObject(ctx, v, o, &b); err != nil {
			return err
		}
		return read(&b)
	}
	if err := check(ctx, v, o); err != nil {
		return err
	}
	f, err := openObject(ctx, v, o)
	if err != nil {
		return err
	}
	defer f.Close()
	return read(f)
}
