package firestore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"atoll"
)

const (
	// lookEvery is how often a watched file is looked at, while it is used.
	lookEvery = time.Second
	// maxWatched bounds the size of a watched file in bytes, and that of a set
	// of keys from elsewhere.
	maxWatched = 1 << 20
)

// watched is what a file says, read again when the file has changed.
type watched[T any] struct {
	name  string
	parse func(name string, text []byte) (T, error)

	mu     sync.Mutex // guards what follows; the file is read under it
	v      T
	err    error // why there is no value now
	looked time.Time
	text   []byte // from which v and err are; nil: the file could not be read
}

// watch reads a file for the first time. It fails if that fails, with NotFound
// if it is not there.
func watch[T any](name string, parse func(string, []byte) (T, error)) (*watched[T], error) {
	w := &watched[T]{name: name, parse: parse}
	_, err := w.value()
	return w, err
}

// value returns what the file says. A file that cannot be read any more, or
// says nothing that is understood, has no value: what a key's owner takes away
// must not live on.
func (w *watched[T]) value() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.looked) < lookEvery {
		return w.v, w.err
	}
	w.looked = now
	text, err := readSmall(w.name)
	switch {
	case err != nil:
		w.text, w.err = nil, err
	case w.text == nil || !bytes.Equal(text, w.text):
		w.text = text
		w.v, w.err = w.parse(w.name, text)
	}
	return w.v, w.err
}

// readSmall reads a file of at most maxWatched bytes; never nil if it could.
// It is read each time: two changes in quick succession have one time stamp.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, atoll.Errorf(atoll.NotFound, "there is no file %s", name)
	}
	if err != nil {
		return nil, atoll.Errorf(atoll.PermissionDenied, "cannot read %s: %v", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWatched))
	if err != nil {
		return nil, atoll.Errorf(atoll.Unavailable, "cannot read %s: %v", name, err)
	}
	return text, nil
}
