// Command atoll runs a node of Atoll and talks to one: documents are written
// with Firestore's clients or with this command, and are there after a crash.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

// run executes the command line and returns the exit code.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "atoll: "+err.Error())
		return 1
	}
	return 0
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "atoll",
		Short:         "A document database on actors, spoken to with Firestore's clients",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(devCommand())
	return root
}
