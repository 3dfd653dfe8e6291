package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"atoll"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/mem"
	"atoll/log/local"
	"atoll/subnet"
)

// verified is what "dump verify" found out about one subnet.
type verified struct {
	Subnet   atoll.SubnetID `json:"subnet"`
	Height   atoll.Height   `json:"height"`
	Digest   string         `json:"digest"`
	Keys     int64          `json:"keys"`
	Bytes    int64          `json:"bytes"`
	Records  uint64         `json:"records"`
	Replayed uint64         `json:"replayed"` // blocks executed again
	Note     string         `json:"note,omitempty"`
}

func dumpVerify() *cobra.Command {
	var d dump
	var noReplay bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check everything in a data directory",
		Long: `verify checks the data of each subnet three times over: it reads all keys and
compares their hashes and the account of cycles with the head; it reads the whole
log and checks that each record follows the one before; and, if the log reaches
back to its first block, it executes all blocks again in memory and compares the
digest at every height.

The last step needs memory for the whole state; --no-replay leaves it out. Exit
code 4 says that something is damaged; the message says what.`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.each(cmd, func(s atoll.SubnetID, r atoll.Reader, h subnet.Head) error {
				v, err := verify(cmd.Context(), cmd.ErrOrStderr(), s, r, h, !noReplay)
				if err != nil {
					return err
				}
				return d.verified(&v)
			})
		},
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&noReplay, "no-replay", false, "do not execute the log again")
	return cmd
}

func (d *dump) verified(v *verified) error {
	if d.asJSON {
		return writeLine(d.out, v)
	}
	_, err := fmt.Fprintf(d.out, "subnet %d is whole: height %d, %d keys of %d bytes, %d log records, %d blocks executed again\n",
		v.Subnet, v.Height, v.Keys, v.Bytes, v.Records, v.Replayed)
	if err == nil && v.Note != "" {
		_, err = fmt.Fprintf(d.out, "  %s\n", v.Note)
	}
	return err
}

// verifyStep is how many keys are read between two looks at the context.
const verifyStep = 10_000

func verify(ctx context.Context, notes io.Writer, s atoll.SubnetID, r atoll.Reader, h subnet.Head, again bool) (v verified, err error) {
	v = verified{Subnet: s, Height: h.Height, Digest: h.Digest.String()}
	bars := newBars(ctx, notes)
	defer bars.wait()
	if err := audit(ctx, bars, r, h, &v); err != nil {
		return v, err
	}
	first, last, err := local.Bounds(r)
	if err != nil {
		return v, err
	}
	if err := local.Check(r, h); err != nil {
		return v, err
	}
	bar := bars.add("log", int64(last-first+1))
	for _, err := range local.Tail(r, first) {
		if err != nil {
			return v, err
		}
		if ctx.Err() != nil {
			return v, interrupted
		}
		v.Records++
		bar.step(1)
	}
	switch {
	case !again:
		v.Note = "the log was not executed again, as --no-replay asks"
	case first > 1:
		v.Note = fmt.Sprintf("the log begins at position %d and cannot be executed from its first block", first)
	default:
		v.Replayed, err = replay(ctx, bars, s, r, h)
	}
	return v, err
}

// audit compares all keys with the head.
func audit(ctx context.Context, bars *bars, r atoll.Reader, h subnet.Head, v *verified) error {
	var total int64
	for _, s := range h.Slices {
		total += s.Count
	}
	bar := bars.add("keys", total)
	a, err := subnet.NewAudit(r)
	if err != nil {
		return err
	}
	for done := false; !done && err == nil; {
		if ctx.Err() != nil {
			return interrupted
		}
		before := a.Keys
		done, err = a.Step(verifyStep)
		bar.step(a.Keys - before)
	}
	v.Keys, v.Bytes = a.Keys, a.Bytes
	return err
}

// replay executes the whole log again, in memory.
func replay(ctx context.Context, bars *bars, s atoll.SubnetID, r atoll.Reader, h subnet.Head) (n uint64, err error) {
	again := mem.New(mem.WithSplit(keys.Split))
	defer again.Close()
	m, err := subnet.Open(subnet.Config{Subnet: s, Programs: host.Programs()}, again)
	if err != nil {
		return 0, err
	}
	bar := bars.add("blocks", int64(h.Height))
	err = local.Replay(interruptible{r, ctx}, m, again, func(atoll.Height) {
		n++
		bar.step(1)
	})
	if ctx.Err() != nil {
		return n, interrupted
	}
	if err == nil && m.Head() != h {
		err = &atoll.Error{
			Kind: atoll.DataLoss, Msg: fmt.Sprintf("executing the log of subnet %d again leads to another state than the one that is stored", s),
			Detail: fmt.Sprintf("stored %+v, executed %+v", h, m.Head()),
		}
	}
	return n, err
}

// interruptible is a reader whose iterators end with a context.
type interruptible struct {
	atoll.Reader
	ctx context.Context
}

func (r interruptible) Iter(lo, hi []byte) atoll.Iterator {
	return endingIter{r.Reader.Iter(lo, hi), r.ctx}
}

type endingIter struct {
	atoll.Iterator
	ctx context.Context
}

func (i endingIter) Next() bool { return i.ctx.Err() == nil && i.Iterator.Next() }

// bars show progress on a terminal, and nothing elsewhere.
type bars struct{ p *mpb.Progress }

type bar struct{ b *mpb.Bar }

func newBars(ctx context.Context, w io.Writer) *bars {
	f, ok := w.(*os.File)
	if !ok {
		return &bars{}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || runtime.GOOS == "windows" {
		return &bars{}
	}
	return &bars{mpb.NewWithContext(ctx, mpb.WithOutput(w), mpb.WithWidth(48))}
}

func (b *bars) add(name string, total int64) *bar {
	if b.p == nil {
		return &bar{}
	}
	return &bar{b.p.AddBar(total, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: 8})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d / %d "), decor.Percentage()),
	)}
}

func (b *bar) step(n int64) {
	if b.b != nil {
		b.b.IncrInt64(n)
	}
}

// wait ends the drawing, also of bars that were not filled.
func (b *bars) wait() {
	if b.p != nil {
		b.p.Shutdown()
	}
}
