package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// instance is a server with a directory of its own, which runs or is about to.
type instance struct {
	server
	program string
	dir     string
	as      *syscall.Credential // whom it runs as; nil: the caller
	address string
	process *process
	starts  int
}

// startTimeout is how long a server may take until it acknowledges its first
// create, or answers its first read after another start.
const startTimeout = 30 * time.Second

// launch starts a server on an empty directory below dir and makes it ready for
// documents. end must be called, also after an error.
func launch(ctx context.Context, s server, program, dir string) (*instance, error) {
	i := &instance{server: s, program: program}
	var err error
	if i.dir, err = os.MkdirTemp(dir, s.name+"-"); err != nil {
		return i, err
	}
	if s.user != nil {
		if i.as, err = s.user(); err != nil {
			return i, err
		}
	}
	if s.initialize != nil {
		if err := s.initialize(ctx, program, i.dir, i.as); err != nil {
			return i, err
		}
	}
	if err := i.start(ctx); err != nil {
		return i, err
	}
	if s.prepare == nil {
		return i, nil
	}
	return i, i.eventually(ctx, func() error { return s.prepare(ctx, i.address) })
}

// start runs the server until something listens.
func (i *instance) start(ctx context.Context) (err error) {
	if i.address, err = freeAddress(); err != nil {
		return err
	}
	i.starts++
	output := filepath.Join(i.dir, fmt.Sprintf("output-%d", i.starts))
	i.process, err = startProcess(ctx, output, i.as, i.program, i.arguments(i.address, filepath.Join(i.dir, "data"))...)
	if err != nil {
		return err
	}
	return i.process.awaitListener(i.address, startTimeout)
}

// end stops the server and removes what it kept.
func (i *instance) end() {
	if i.process != nil {
		i.process.stop()
	}
	if i.dir != "" {
		_ = os.RemoveAll(i.dir) // what is left goes with the benchmark's directory
	}
}

// eventually tries until it succeeds, for as long as a start may take.
func (i *instance) eventually(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(time.Millisecond) {
		err := try()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Footprint is what a server takes before anybody works with it.
type Footprint struct {
	Round    int           `json:"round"`
	Server   string        `json:"server"`
	StartUp  time.Duration `json:"start_up_ns"`    // from the program's start, on the data of the round, to its first answer
	Resident int64         `json:"resident_bytes"` // of its processes after that
	Program  int64         `json:"program_bytes"`  // of the program, or of the package that it comes with
}

// restart stops the server, starts it again on its data and waits until it
// answers with one of its documents.
func (i *instance) restart(ctx context.Context, id string) (Footprint, error) {
	i.process.stop()
	begin := time.Now()
	if err := i.start(ctx); err != nil {
		return Footprint{}, err
	}
	err := i.eventually(ctx, func() error {
		conn, err := i.dial(ctx, i.address)
		if err != nil {
			return err
		}
		return errors.Join(conn.get(ctx, id), conn.Close())
	})
	f := Footprint{Server: i.name, StartUp: time.Since(begin)}
	if err != nil {
		return f, fmt.Errorf("after another start: %w%s", err, i.process.lastOutput())
	}
	if f.Resident, err = residentOf(i.process.pid()); err != nil {
		return f, err
	}
	f.Program, err = i.programSize()
	return f, err
}

// programSize is what somebody who installs the server gets, in bytes.
func (i *instance) programSize() (int64, error) {
	if i.size != nil {
		return i.size(i.program)
	}
	info, err := os.Stat(i.program)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
