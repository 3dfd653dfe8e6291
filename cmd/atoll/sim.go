package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/planted"
	"atoll/sim"
)

// simulation is what "atoll sim" was asked for.
type simulation struct {
	seeds, from uint64
	steps       int
	defect      string
	trace       bool
	asJSON      bool
	out, notes  io.Writer

	found int
	sum   sim.Counts
}

// simFinding and simSummary are the lines of the answer in JSON.
type simFinding struct {
	Seed uint64 `json:"seed"`
	What string `json:"what"`
}

type simSummary struct {
	Seeds  uint64     `json:"seeds"` // that were run
	Found  int        `json:"found"`
	Counts sim.Counts `json:"counts"`
}

func simCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Look for broken promises in simulated installations",
		Long: `sim runs whole installations on simulated clocks, disks and networks. Power is
cut, processes are killed, syncs fail, disks fill up, clocks step back, letters
are lost; what clients saw is then held against what is there. Everything is
drawn from a seed, so a seed that finds something finds it again.

With --defect a known defect is planted into the code, which shows that the
simulator would find it; the command then fails if it is not found.

` + exitCodes,
		Example: `  atoll sim --seeds 10000
  atoll sim --from 1391 --seeds 1 --trace
  atoll sim --defect stale-appender`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.out, s.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return s.run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.Uint64Var(&s.seeds, "seeds", 1000, "run so many `seeds`")
	fl.Uint64Var(&s.from, "from", 1, "begin with this `seed`")
	fl.IntVar(&s.steps, "steps", sim.DefaultSteps, "`steps` of each run")
	fl.StringVar(&s.defect, "defect", "", "plant this `defect`: "+strings.Join(defectNames(), ", "))
	fl.BoolVar(&s.trace, "trace", false, "print every event; with --seeds 1")
	fl.BoolVar(&s.asJSON, "json", false, "answer with a line of JSON for each finding, and one for all seeds")
	return cmd
}

func defectNames() (names []string) {
	for _, d := range planted.All {
		names = append(names, d.Name)
	}
	return names
}

// options checks the flags.
func (s *simulation) options() (opt sim.Options, err error) {
	opt.Steps = s.steps
	for _, d := range planted.All {
		if d.Name == s.defect {
			opt.Planted = d.Set
		}
	}
	switch {
	case s.defect != "" && opt.Planted == 0:
		return opt, usageError{fmt.Sprintf("there is no defect %q; there are %s", s.defect, strings.Join(defectNames(), ", "))}
	case s.trace && s.seeds != 1:
		return opt, usageError{"--trace shows one run: add --seeds 1"}
	case s.seeds == 0 || s.steps <= 0:
		return opt, usageError{"--seeds and --steps are at least 1"}
	case s.trace:
		opt.Trace = s.out
	}
	return opt, nil
}

func (s *simulation) run(ctx context.Context) error {
	opt, err := s.options()
	if err != nil {
		return err
	}
	began, ran := time.Now(), uint64(0)
	bars := newBars(ctx, s.notes)
	bar := bars.add("seeds", int64(s.seeds))
	sim.RunSeeds(ctx, s.from, s.seeds, opt, func(r sim.Report, found error) bool {
		ran++
		bar.step(1)
		s.sum.Add(r.Counts)
		if found != nil {
			err = s.tell(r.Seed, found)
		}
		return err == nil && (found == nil || s.defect == "")
	})
	bars.wait()
	if err != nil {
		return err
	}
	if err := s.summary(ran, time.Since(began)); err != nil {
		return err
	}
	switch {
	case s.defect != "" && s.found > 0:
		return nil
	case ctx.Err() != nil:
		return interrupted
	case s.defect != "":
		return atoll.Errorf(atoll.NotFound, "%s was not found in %d seeds", s.defect, ran)
	case s.found > 0:
		return atoll.Errorf(atoll.Internal, "%d of %d seeds found a broken promise", s.found, ran)
	}
	return nil
}

func (s *simulation) tell(seed uint64, found error) error {
	s.found++
	if s.asJSON {
		return writeLine(s.out, simFinding{seed, found.Error()})
	}
	_, err := fmt.Fprintln(s.out, found)
	return err
}

func (s *simulation) summary(ran uint64, took time.Duration) error {
	if s.asJSON {
		return writeLine(s.out, simSummary{ran, s.found, s.sum})
	}
	c := &s.sum
	_, err := fmt.Fprintf(s.out, `%d seeds in %s, %d findings
  %d blocks, %d commits, %d reads, %d changes followed, %d letters
  %d power cuts, %d kills, %d failing syncs, %d full disks, %d pauses, %d take-overs, %d clocks stepped back
`, ran, took.Round(time.Millisecond), s.found,
		c.Blocks, c.Acked, c.Reads+c.PastReads, c.Changes, c.Letters,
		c.PowerCuts, c.Kills, c.FailedSync, c.FullDisks, c.Pauses, c.TakeOvers, c.BackSteps)
	return err
}
