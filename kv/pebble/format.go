package pebble

import (
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
)

const (
	// Format is the number of the layout that this package writes: the files
	// of Pebble at its own format version, the comparer, DURABLE. Numbers are
	// never reused.
	Format = 1
	// formatSince is the first version of atoll that reads Format.
	formatSince = "0.1"

	formatFile = "FORMAT"
	// maxFormatFile bounds what is read of a FORMAT file, in bytes.
	maxFormatFile = 256
)

// formatLine returns the content of FORMAT: a line for people with its checksum.
func formatLine(n uint32, since string) []byte {
	line := fmt.Sprintf("atoll store format %d, read by atoll %s and newer", n, since)
	return fmt.Appendf(nil, "%s, crc %08x\n", line, crc32.Checksum([]byte(line), castagnoli))
}

// parseFormat reads what formatLine wrote, here or in a newer atoll. It fails
// with DataLoss.
func parseFormat(b []byte) (n uint32, since string, err error) {
	bad := atoll.Errorf(atoll.DataLoss, "the file FORMAT is damaged: %.80q", b)
	rest, ok := strings.CutPrefix(string(b), "atoll store format ")
	if !ok {
		return 0, "", bad
	}
	number, rest, ok := strings.Cut(rest, ", read by atoll ")
	if !ok {
		return 0, "", bad
	}
	since, _, ok = strings.Cut(rest, " and newer, crc ")
	if !ok {
		return 0, "", bad
	}
	if _, err := fmt.Sscanf(number, "%d", &n); err != nil || n == 0 {
		return 0, "", bad
	}
	if string(formatLine(n, since)) != string(b) {
		return 0, "", bad
	}
	return n, since, nil
}

// checkFormat makes sure that the directory is a store that this package can
// read; an empty one becomes a store.
func checkFormat(fs vfs.FS, dir string) error {
	name := fs.PathJoin(dir, formatFile)
	b, err := readFile(fs, name, maxFormatFile)
	if oserror.IsNotExist(err) {
		return beginFormat(fs, dir)
	}
	if err != nil {
		return err
	}
	n, since, err := parseFormat(b)
	if err != nil {
		e := atoll.AsError(err)
		e.Detail = name
		return e
	}
	if n > Format {
		return &atoll.Error{
			Kind:   atoll.FailedPrecondition,
			Msg:    fmt.Sprintf("the store has format %d and this atoll reads formats up to %d: use atoll %s or newer", n, Format, since),
			Detail: dir,
		}
	}
	return nil
}

// beginFormat writes FORMAT into a directory that holds nothing of a store yet.
func beginFormat(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != lockFile && n != formatFile+tempSuffix {
			return &atoll.Error{
				Kind:   atoll.DataLoss,
				Msg:    "the directory is not empty and has no file FORMAT: it is no store, or part of it is lost",
				Detail: fs.PathJoin(dir, n),
			}
		}
	}
	return writeFormat(fs, dir)
}

// writeFormat writes FORMAT so that it is there whole, or not at all.
func writeFormat(fs vfs.FS, dir string) error {
	return writeFile(fs, dir, formatFile, formatLine(Format, formatSince))
}

const tempSuffix = ".tmp"

// writeFile puts a file into a directory, durably, whole or not at all.
func writeFile(fs vfs.FS, dir, name string, content []byte) error {
	final := fs.PathJoin(dir, name)
	temp := final + tempSuffix
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(temp, final)
	}
	if err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// readFile returns at most limit bytes of a file.
func readFile(fs vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
