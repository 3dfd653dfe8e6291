package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"atoll"
)

// folder is a vault in a directory, which is made when something is put into it.
type folder string

// String implements vault.
func (d folder) String() string { return string(d) }

func (d folder) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func unwritable(err error) error {
	return atoll.Errorf(atoll.Unavailable, "cannot write the backup: %v", err)
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

func (d folder) manifests(context.Context) (names []string, err error) {
	files, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, atoll.Errorf(atoll.Unavailable, "cannot read the backup: %v", err)
	}
	for _, f := range files {
		if isManifest(f.Name()) {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d folder) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = atoll.Errorf(atoll.Unavailable, "cannot read the backup: %v", err)
	}
	return f, err
}

// has reads the object: what is damaged is put again.
func (d folder) has(ctx context.Context, o Object) bool { return check(ctx, d, o) == nil }

// put implements vault: it writes a temporary file and gives it its name.
func (d folder) put(_ context.Context, name string, from io.Reader, _ int64) error {
	to := d.path(name)
	temp, err := d.temporary(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		os.Remove(temp)
		return unwritable(err)
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return syncDir(d.path("objects"))
}

// temporary writes a durable file of no lasting name.
func (d folder) temporary(from io.Reader) (name string, err error) {
	if err := os.MkdirAll(d.path("objects"), 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(d.path("objects"), "new-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return f.Name(), err
}

func (d folder) publish(_ context.Context, name string, b []byte) error {
	temp, err := d.temporary(bytes.NewReader(b))
	if err == nil {
		err = os.Link(temp, d.path(name)) // fails if the name is taken
	}
	os.Remove(temp)
	if errors.Is(err, fs.ErrExist) {
		return takenName(d)
	}
	if err != nil {
		return unwritable(err)
	}
	return syncDir(string(d))
}

func takenName(v vault) error {
	return atoll.Errorf(atoll.Aborted, "another backup was made in %s at the same time", v)
}

// staging implements vault: a checkpoint goes to the disk of the backup.
func (d folder) staging(string) (dir string, err error) {
	if err = os.MkdirAll(string(d), 0o700); err == nil {
		dir, err = os.MkdirTemp(string(d), "stage-*")
	}
	if err != nil {
		err = unwritable(err)
	}
	return dir, err
}
