package firestore

import (
	"io"
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
	size   int64
	mod    time.Time
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
	info, err := os.Stat(w.name)
	if err != nil {
		w.size, w.err = -1, atoll.Errorf(atoll.NotFound, "cannot read %s: %v", w.name, err)
		return w.v, w.err
	}
	if info.Size() == w.size && info.ModTime().Equal(w.mod) {
		return w.v, w.err
	}
	w.size, w.mod = info.Size(), info.ModTime()
	w.v, w.err = w.read()
	return w.v, w.err
}

func (w *watched[T]) read() (v T, err error) {
	f, err := os.Open(w.name)
	if err != nil {
		return v, atoll.Errorf(atoll.PermissionDenied, "cannot read %s: %v", w.name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxWatched))
	if err != nil {
		return v, atoll.Errorf(atoll.Unavailable, "cannot read %s: %v", w.name, err)
	}
	return w.parse(w.name, text)
}
