package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/spf13/cobra"

	"atoll/host"
)

// TestMigratingEndsWithTheCommand sends a signal while data is migrated: the start
// ends after the batch at hand, but for the last one, and an uninterrupted one
// that is quick says nothing.
func TestMigratingEndsWithTheCommand(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := new(cobra.Command)
	cmd.SetContext(ctx)
	var notes bytes.Buffer
	cmd.SetErr(&notes)
	tell := migrating(cmd)
	if err := tell(host.Migrating{From: 1, To: 2, Documents: 5}); err != nil || notes.Len() > 0 {
		t.Errorf("%v, and it says %q", err, &notes)
	}
	cancel()
	if err := tell(host.Migrating{From: 1, To: 2, Documents: 9}); err != interrupted {
		t.Errorf("after a signal: %v", err)
	}
	if err := tell(host.Migrating{From: 1, To: 2, Documents: 12, Done: true}); err != nil {
		t.Errorf("a signal after the last batch: %v", err)
	}
}
