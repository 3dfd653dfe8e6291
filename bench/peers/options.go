package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// options are what all runs are told.
type options struct {
	dir          string // where the servers keep their data
	atollProgram string // a built Atoll; empty to build one
	asJSON       bool
	progress     func(format string, args ...any) // tells what goes on
}

func (o *options) flags(flags *flag.FlagSet) {
	flags.StringVar(&o.dir, "dir", "", "where to keep the servers' data, on a disk; the system's temporary directory by default")
	flags.StringVar(&o.atollProgram, "atoll", "", "a built atoll; by default it is built from ../../cmd/atoll")
	flags.BoolVar(&o.asJSON, "json", false, "print everything as JSON")
	o.progress = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
}

// makeDir makes the run's own directory below dir. cleanUp removes it.
func (o *options) makeDir() (cleanUp func(), err error) {
	dir, err := os.MkdirTemp(o.dir, "atoll-bench-")
	if err != nil {
		return nil, err
	}
	cleanUp = func() { _ = os.RemoveAll(dir) } // what is left is in a temporary directory
	if o.dir, err = filepath.Abs(dir); err == nil {
		err = os.Chmod(dir, 0o755) // PostgreSQL may run as somebody else
	}
	if err != nil {
		cleanUp()
		return nil, err
	}
	return cleanUp, nil
}

// write prints a result, as JSON or for a person.
func (o *options) write(result any, print func(io.Writer)) error {
	if !o.asJSON {
		print(os.Stdout)
		return nil
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// requireTools is the variable that makes the lack of a peer a failure, as it
// does in the tests of the main module.
const requireTools = "ATOLL_REQUIRE_TOOLS"

// required reads it: anything but empty and 0 is yes.
func required() bool {
	value := os.Getenv(requireTools)
	return value != "" && value != "0"
}

// lacking fails if a peer is missing where all of them are to be there.
func lacking(missing []Failure) error {
	if len(missing) > 0 && required() {
		return fmt.Errorf("%s is set, and %d of the peers are not there", requireTools, len(missing))
	}
	return nil
}

func printVerdicts(out io.Writer, verdicts []Verdict) {
	fmt.Fprintln(out, "\nTargets:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		got := "–"
		if v.Got > 0 {
			got = fmt.Sprintf("got %.2f %s", v.Got, v.Unit)
		}
		fmt.Fprintf(table, "  %s\t%g %s\t%s\t%s\n", v.Target, v.Want, v.Unit, got, v.Answer)
	}
	_ = table.Flush()
}

func printMissing(out io.Writer, missing []Failure) {
	for _, m := range missing {
		fmt.Fprintf(out, "\n%s was not measured: %s\n", m.Server, m.Reason)
	}
}
