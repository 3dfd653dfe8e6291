package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"atoll/host"
)

// startExtension asks the service manager for a minute more until the node is
// ready, so that it does not take a long migration for a start that hangs.
const startExtension = "EXTEND_TIMEOUT_USEC=60000000"

// migrating tells, while a node starts on data of an earlier format, how far it
// has come: in one line that changes on a terminal, and with a line once in a
// while elsewhere. A signal ends the start; the next one goes on from there.
func migrating(cmd *cobra.Command) func(host.Migrating) error {
	notes := cmd.ErrOrStderr()
	every, end := noteEvery, "\n"
	if terminal(notes) {
		every, end = 200*time.Millisecond, "\r"
	}
	noted := time.Now()
	return func(m host.Migrating) error {
		// Where the manager cannot be told, it will not wait either, and starts
		// the node again, which goes on.
		_ = notifyManager(startExtension)
		if time.Since(noted) >= every || m.Done && end == "\r" {
			noted = time.Now()
			fmt.Fprintf(notes, "atoll: bringing subnet %d from format %d to %d: %d documents done%s", m.Subnet, m.From, m.To, m.Documents, end)
			if m.Done && end == "\r" {
				io.WriteString(notes, "\n")
			}
		}
		if cmd.Context().Err() != nil && !m.Done {
			return interrupted
		}
		return nil
	}
}

// terminal reports whether what is written is seen as it comes.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
