package pebble

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"atoll"
)

// fault is the first failure of a store. It is set once.
type fault struct {
	once sync.Once
	err  atomic.Pointer[atoll.Error]
	set  chan struct{} // closed when err is there
}

func newFault() *fault { return &fault{set: make(chan struct{})} }

// get returns the failure, or nil.
func (f *fault) get() error {
	if e := f.err.Load(); e != nil {
		return e
	}
	return nil
}

// latch makes err the store's failure, unless it has one, and returns what the
// store's failure is.
func (f *fault) latch(err error) error {
	f.once.Do(func() {
		f.err.Store(classify(err))
		close(f.set)
	})
	return f.err.Load()
}

// classify turns an error of Pebble or of the disk into Atoll's, for a person
// in Msg and with the file, if the error names it, in Detail.
func classify(err error) *atoll.Error {
	var e *atoll.Error
	if errors.As(err, &e) {
		return e
	}
	e = &atoll.Error{Kind: atoll.Unavailable, Detail: err.Error()}
	switch {
	case pebble.IsCorruptionError(err):
		e.Kind = atoll.DataLoss
		e.Msg = "stored bytes are damaged; restore the store from a replica or a backup"
		if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
			e.Detail = info.Path + ": " + e.Detail
		}
	case vfs.IsNoSpaceError(err), errors.Is(err, syscall.EDQUOT):
		e.Kind = atoll.ResourceExhausted
		e.Msg = "the disk is full; make room and open the store again"
	case errors.Is(err, syscall.EROFS):
		e.Msg = "the disk is read-only; make it writable and open the store again"
	default:
		e.Msg = "the store has failed; look after its disk and open it again"
	}
	return e
}

// fatal is what a goroutine of Atoll panics with when Pebble wants to end the
// process.
type fatal struct{ err error }

// caught turns what was recovered at the store's boundary into its failure.
func (f *fault) caught(r any) error {
	switch r := r.(type) {
	case fatal:
		return r.err
	case error:
		return f.latch(fmt.Errorf("pebble panicked: %w", r))
	default:
		return f.latch(fmt.Errorf("pebble panicked: %v", r))
	}
}

// logger is Pebble's way out. Infof is dropped: what it tells is in Metrics.
type logger struct {
	fault *fault
	log   func(format string, args ...any)
}

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log(format, args...)
	}
}

// Fatalf latches the failure and does not return. A goroutine of Pebble's ends,
// with its deferred unlocks; one that came through the boundary unwinds to it.
func (l logger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	e := &explained{text: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if cause, ok := a.(error); ok {
			e.cause = cause
		}
	}
	err := l.fault.latch(e)
	if onPebblesGoroutine() {
		runtime.Goexit()
	}
	panic(fatal{err})
}

// explained is an error whose text already tells its cause.
type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

// onPebblesGoroutine reports whether the function at the bottom of the stack is
// Pebble's, so that nobody up there waits to recover.
func onPebblesGoroutine() bool {
	pcs := make([]uintptr, 512)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	entry := ""
	for {
		f, more := frames.Next()
		if f.Function != "" && f.Function != "runtime.goexit" {
			entry = f.Function
		}
		if !more {
			return strings.HasPrefix(entry, "github.com/cockroachdb/pebble/")
		}
	}
}

// listener latches what Pebble says about its goroutines: it would try again
// for ever.
func (l logger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			l.Errorf("pebble: background error: %v", err)
			l.fault.latch(err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.Errorf("pebble: %s is damaged: %v", info.Path, info.Details)
			l.fault.latch(&atoll.Error{
				Kind:   atoll.DataLoss,
				Msg:    "stored bytes are damaged; restore the store from a replica or a backup",
				Detail: fmt.Sprintf("%s: %v", info.Path, info.Details),
			})
		},
	}
}

// detached runs fn on a goroutine of its own and returns what it returns, or
// the store's failure if that comes first: then fn may hang in Pebble for ever,
// and late is called if it returns after all. late may be nil.
func detached[T any](f *fault, fn func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = f.caught(p)
			}
			done <- r
		}()
		r.v, r.err = fn()
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-f.set:
		if late != nil {
			go func() {
				if r := <-done; r.err == nil {
					late(r.v)
				}
			}()
		}
		var none T
		return none, f.get()
	}
}
