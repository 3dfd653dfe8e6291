package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/backup"
	"atoll/gateway/admin"
	"atoll/host"
)

func backupCommand() *cobra.Command {
	var t target
	var o operator
	var full, asJSON bool
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Back up a running node to a folder",
		Long: `backup has a node on this machine write a backup of everything it holds, as of one
time, while it goes on serving. The first backup in a folder is full; the next
ones hold what came since the one before, unless --full asks for all. The node
keeps its last 65,000 blocks at least, so an incremental backup wants to be made
before as many have come; if it is too late, it says so.

"atoll restore" makes a data directory of a backup. The token for programs and
the administrator's key are not in it.`,
		Example: `  atoll backup /var/backups/atoll
  atoll backup verify /var/backups/atoll
  atoll restore /var/backups/atoll --data ./restored`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.addr = t.addr
			m, err := o.backup(cmd, args[0], full)
			if err != nil {
				return err
			}
			return tellBackup(cmd, "made", m, asJSON)
		},
	}
	t.addrFlag(cmd)
	o.dataFlag(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "write everything, also if there is a backup before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with the backup's manifest, as JSON")
	cmd.AddCommand(verifyBackupCommand())
	return cmd
}

// backup has the node make a backup, and shows how far it has come.
func (o *operator) backup(cmd *cobra.Command, dir string, full bool) (m backup.Manifest, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return m, atoll.Errorf(atoll.Invalid, "%q is no name of a folder", dir)
	}
	res, err := o.open(cmd.Context(), http.MethodPost, "/v1/backup", url.Values{"dir": {dir}, "full": {fmt.Sprint(full)}})
	if err != nil {
		return m, err
	}
	defer res.Body.Close()
	p := newProgress(cmd, "bytes")
	defer p.end()
	lines := json.NewDecoder(res.Body)
	for {
		var l admin.BackupLine
		if err := lines.Decode(&l); err != nil {
			return m, &atoll.Error{Kind: atoll.Unavailable, Msg: "the node ended the backup; there is none. Make another", Detail: err.Error()}
		}
		switch {
		case l.Error != nil:
			return m, atoll.Errorf(l.Error.Kind, "%s", l.Error.Message)
		case l.Manifest != nil:
			return *l.Manifest, nil
		case l.Progress != nil:
			p.set(l.Progress.Bytes, 0, 0)
		}
	}
}

// tellBackup says what a backup is of.
func tellBackup(cmd *cobra.Command, what string, m backup.Manifest, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return writeLine(out, m)
	}
	if _, err := fmt.Fprintf(out, "backup %d (%s) of %s %s\n", m.Number, m.Kind, m.UTC, what); err != nil {
		return err
	}
	for s, p := range m.Subnets {
		line := fmt.Sprintf("  subnet %d at height %d, digest %s", s, p.End.Height, p.End.Digest)
		if d := p.Documents; d != nil {
			line += fmt.Sprintf(", %d documents, hash %s", d.Count, d.Hash)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

func verifyBackupCommand() *cobra.Command {
	var asJSON bool
	var data string
	var number int
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check every file of the backups in a folder",
		Long: `verify checks the hash of every file of all backups in a folder, and that the
records of their logs follow each other without a gap. It executes nothing: that
the logs lead to the digests is checked by "atoll restore".

With --data it also compares the documents that a data directory had at the time
of the last backup, or of that which --number names, with those that the source
had: their paths, contents, create and update times and revisions. No node may run
on the directory meanwhile, and it must still keep the versions of that time
(--retention).

Exit code 4 says that something is damaged; the message says what.`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := backup.Verify(cmd.Context(), args[0], newBackupNotes(cmd))
			if err != nil {
				return err
			}
			for _, m := range all {
				if err := tellBackup(cmd, "is whole", m, asJSON); err != nil {
					return err
				}
			}
			if data == "" {
				return nil
			}
			m, err := backup.Compare(cmd.Context(), args[0], number, dataTarget(data), newBackupNotes(cmd))
			if err != nil {
				return err
			}
			return tellBackup(cmd, "equals "+data, m, asJSON)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data `directory` to compare with")
	cmd.Flags().IntVar(&number, "number", 0, "`number` of the backup to compare with; 0: the last")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with the manifests, as lines of JSON")
	return cmd
}

// newBackupNotes returns a function that shows progress in bytes or blocks.
func newBackupNotes(cmd *cobra.Command) func(backup.Progress) {
	p := newProgress(cmd, "bytes")
	return func(b backup.Progress) {
		if b.Bytes > 0 {
			p.set(b.Bytes, 0, 0)
		}
	}
}

func restoreCommand() *cobra.Command {
	var data string
	var number int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a data directory of a backup",
		Long: `restore makes a data directory of a backup: of the last one in the folder, or of
the one that --number names. It checks every file against its hash, executes the
log behind the checkpoint and compares the digest at every height, and reads all
keys against the hashes that the state keeps of itself. The directory is there
when all of that is done, and not before; one that is not empty is refused.

Start a node on it with "atoll dev --data" or "atoll serve --data".`,
		Example: `  atoll restore /var/backups/atoll --data ./restored
  atoll restore /var/backups/atoll --data ./restored --number 3`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				return usageError{"restore needs --data, the directory to make"}
			}
			m, err := restore(cmd.Context(), args[0], number, data, newBackupNotes(cmd))
			if err != nil {
				return err
			}
			return tellBackup(cmd, "restored to "+data, m, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&data, "data", "", "data `directory` to make")
	fl.IntVar(&number, "number", 0, "`number` of the backup; 0: the last")
	fl.BoolVar(&asJSON, "json", false, "answer with the backup's manifest, as JSON")
	return cmd
}

func restore(ctx context.Context, dir string, number int, data string, tell func(backup.Progress)) (backup.Manifest, error) {
	return backup.Restore(ctx, dir, number, dataTarget(data), tell)
}

// dataTarget says how a data directory is laid out.
func dataTarget(dir string) backup.Target {
	return backup.Target{Dir: dir, SubnetDir: host.SubnetDir, Programs: host.Programs()}
}
