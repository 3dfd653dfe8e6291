package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// noteEvery is how often progress is written where there is no terminal.
const noteEvery = 10 * time.Second

// progress tells how far a long command has come: with a bar on a terminal,
// with a line once in a while elsewhere.
type progress struct {
	what  string
	notes io.Writer
	bars  *bars

	mu    sync.Mutex // guards what follows
	bar   *bar
	drawn int64
	start time.Time
	noted time.Time
}

func newProgress(cmd *cobra.Command, what string) *progress {
	// The bars end with the command and not with its context, so that what an
	// interrupted command says stands below them.
	now := time.Now()
	return &progress{
		what: what, notes: cmd.ErrOrStderr(), start: now, noted: now,
		bars: newBars(context.WithoutCancel(cmd.Context()), cmd.ErrOrStderr()),
	}
}

// set tells that count things are done, which is part of a total; 0 is unknown.
func (p *progress) set(count, part, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars.p != nil {
		if total > 0 {
			if p.bar == nil {
				p.bar = p.bars.add(p.what, total)
			}
			p.bar.step(part - p.drawn)
			p.drawn = part
		}
		return
	}
	if time.Since(p.noted) < noteEvery {
		return
	}
	p.noted = time.Now()
	var line strings.Builder
	fmt.Fprintf(&line, "atoll: %d %s", count, p.what)
	if total > 0 {
		fmt.Fprintf(&line, ", %d%%", min(100*part/total, 100))
	}
	fmt.Fprintf(&line, ", after %s\n", time.Since(p.start).Round(time.Second))
	io.WriteString(p.notes, line.String())
}

func (p *progress) end() { p.bars.wait() }
