// Command peers measures Atoll beside other servers on one machine: it builds
// and starts each as a process of its own on loopback with an empty data
// directory, drives it with the same documents, and prints what they reached,
// the ratios between them, and whether Atoll meets its targets. "peers import"
// measures how fast many documents are loaded, and "peers large" the memory
// that Atoll takes while it has very many. They never fail for being slow.
// ../README.md tells how to read the results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The servers that live in this program are started by running it again with
// one of these words, an address and, where there is one, a data directory.
const (
	commandEcho      = "serve-echo"
	commandYardstick = "serve-yardstick"
)

// The other measurements, each with flags of its own.
const (
	commandImport = "import"
	commandLarge  = "large"
)

func main() {
	err := serveOrMeasure(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func serveOrMeasure(args []string) error {
	switch {
	case len(args) == 2 && args[0] == commandEcho:
		return serveEcho(args[1])
	case len(args) == 3 && args[0] == commandYardstick:
		return serveYardstick(args[1], args[2])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case len(args) > 0 && args[0] == commandImport:
		return measureImport(ctx, args[1:])
	case len(args) > 0 && args[0] == commandLarge:
		return measureLarge(ctx, args[1:])
	}
	return measure(ctx, args)
}

// measure parses the flags, runs the benchmark and prints its result.
func measure(ctx context.Context, args []string) error {
	config, err := parseFlags(args)
	if err != nil {
		return err
	}
	cleanUp, err := config.makeDir()
	if err != nil {
		return err
	}
	defer cleanUp()
	result, err := run(ctx, config)
	if err != nil {
		return err
	}
	err = config.write(struct {
		*Result
		Ratios   []Ratio   `json:"ratios"`
		Verdicts []Verdict `json:"verdicts"`
	}{result, result.ratios(), result.verdicts()}, result.print)
	if err == nil && len(result.Failures) > 0 {
		err = fmt.Errorf("%d of the servers could not be measured to the end", len(result.Failures))
	}
	if err != nil {
		return err
	}
	return lacking(result.Missing)
}

func parseFlags(args []string) (config Config, err error) {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.DurationVar(&config.Duration, "duration", 4*time.Second, "how long each workload is measured")
	flags.IntVar(&config.Connections, "connections", 128, "connections, each with one operation under way")
	flags.IntVar(&config.Rounds, "rounds", 3, "rounds; in each, every server runs once")
	flags.IntVar(&config.Seeded, "seed", 5000, "documents in each server before the measurement, at least 1000")
	only := flags.String("only", "", fmt.Sprintf("what to measure, of %v, with commas between", allNames))
	workloads := flags.String("workload", "small,create,get,query,count", fmt.Sprintf("what the servers of documents are asked, of %v", documentWorkloads))
	config.options.flags(flags)
	if err := flags.Parse(args); err != nil {
		return Config{}, err
	}
	if config.Names, err = parseList("only", *only, allNames); err != nil {
		return Config{}, err
	}
	if config.Workloads, err = parseList("workload", *workloads, documentWorkloads); err != nil {
		return Config{}, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("%q is no flag", flags.Arg(0))
	case config.Duration <= 0 || config.Connections < 1 || config.Rounds < 1:
		err = errors.New("--duration, --connections and --rounds must be above 0")
	case config.Seeded < 1000:
		err = errors.New("--seed must be at least 1000, so that every query finds its documents")
	}
	return config, err
}
