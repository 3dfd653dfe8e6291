// Command atoll runs a node of Atoll and talks to one: documents are written
// with Firestore's clients or with this command, and are there after a crash.
//
// Exit codes: 0 for success, 1 for a failure, 2 for a command line that cannot
// be understood, 3 for a document, database or file that is not there, 4 for
// stored data that is damaged.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"atoll"
)

// Exit codes.
const (
	exitFailure  = 1
	exitUsage    = 2
	exitNotFound = 3
	exitDamaged  = 4
)

const exitCodes = `Exit codes:
  0  success
  1  failure
  2  the command line cannot be understood
  3  a document, database or file is not there
  4  stored data is damaged`

func main() { os.Exit(run()) }

// run executes the command line and returns the exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	root := command()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	complain(os.Stderr, cmd, err)
	return exitCode(err)
}

// complain tells a person what went wrong.
func complain(w io.Writer, cmd *cobra.Command, err error) {
	var usage usageError
	var e *atoll.Error
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(w, "atoll: %s\nTry \"%s --help\".\n", usage.msg, cmd.CommandPath())
	case errors.As(err, &e):
		fmt.Fprintf(w, "atoll: %s: %s\n", e.Kind, e.Msg)
		if e.Detail != "" {
			fmt.Fprintf(w, "  %s\n", e.Detail)
		}
	default:
		fmt.Fprintf(w, "atoll: %v\n", err)
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	switch atoll.KindOf(err) {
	case atoll.NotFound:
		return exitNotFound
	case atoll.DataLoss:
		return exitDamaged
	}
	return exitFailure
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "atoll",
		Short: "A durable document database that speaks Firestore's protocol",
		Long: `Atoll is a document database in one program that speaks Firestore's protocol.

Start a node with "atoll dev" and point Google's clients, or the commands below,
at it. What it acknowledged is on disk.

` + exitCodes,
		Example: `  atoll dev
  atoll set cities/lisbon '{"name": "Lisbon", "visits": 1}'
  atoll get cities/lisbon
  atoll tail --after oldest`,
		Args:          arguments(0),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err.Error()} })
	root.AddCommand(
		devCommand(), serveCommand(), adminKeyCommand(), healthCommand(), consoleCommand(),
		getCommand(), setCommand(), deleteCommand(), tailCommand(),
		queryCommand(), countCommand(), explainCommand(), topCommand(),
		indexesCommand(), importCommand(), exportCommand(), backupCommand(), restoreCommand(),
		dumpCommand(), simCommand(), versionCommand(),
	)
	return root
}

// arguments accepts as many arguments as there are names for.
func arguments(n int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return nil
		case cmd.HasSubCommands() && len(args) > 0:
			return usageError{fmt.Sprintf("there is no command %q", args[0])}
		case n == 0:
			return usageError{fmt.Sprintf("%s takes no arguments; it was given %q", cmd.Name(), args)}
		}
		return usageError{fmt.Sprintf("%s takes %s; it was given %d arguments", cmd.Name(), strings.Join(names, " and "), len(args))}
	}
}
