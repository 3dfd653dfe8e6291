package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

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
	var l location
	cmd := &cobra.Command{
		Use:   "backup DIR|s3://BUCKET/PREFIX",
		Short: "Back up a running node to a folder or to S3",
		Long: `backup has a node on this machine write a backup of everything it holds, as of one
time, while it goes on serving. The first backup in a folder is full; the next
ones hold what came since the one before, unless --full asks for all. The node
keeps its last 65,000 blocks at least, so an incremental backup wants to be made
before as many have come; if it is too late, it says so.

A backup that was interrupted is repeated with the same command; what it stored
already is not stored again.

"atoll restore" makes a data directory of a backup. The token for programs and
the administrator's key are not in it.

` + locationHelp,
		Example: `  atoll backup /var/backups/atoll
  atoll backup s3://backups/atoll --endpoint https://s3.example.com
  atoll backup verify /var/backups/atoll
  atoll restore /var/backups/atoll --data ./restored`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.addr = t.addr
			at, err := l.of(args[0])
			if err != nil {
				return err
			}
			m, err := o.backup(cmd, at, full)
			if err != nil {
				return err
			}
			return tellBackup(cmd, "made", m, asJSON)
		},
	}
	t.addrFlag(cmd)
	o.dataFlag(cmd)
	l.flags(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "write everything, also if there is a backup before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with the backup's manifest, as JSON")
	cmd.AddCommand(verifyBackupCommand())
	return cmd
}

// location is how flags say where backups are.
type location struct{ endpoint, region string }

const locationHelp = `Backups in a bucket are read and written by the protocol of Amazon S3, at the
--endpoint, or $AWS_ENDPOINT_URL, or Amazon's own. The credentials are those in
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN: in the
environment of the node, which writes the backups, and in that of the commands
that verify and restore them.`

func (l *location) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&l.endpoint, "endpoint", "", "`URL` of the server that has the bucket")
	fl.StringVar(&l.region, "region", "", "`region` of the bucket; us-east-1 if neither this nor $AWS_REGION says another")
}

// of returns the location that an argument and the flags name: a bucket, or a
// folder by its absolute name.
func (l *location) of(arg string) (string, error) {
	if !backup.IsBucket(arg) {
		if l.endpoint != "" || l.region != "" {
			return "", usageError{"--endpoint and --region belong to a bucket, s3://BUCKET/PREFIX"}
		}
		dir, err := filepath.Abs(arg)
		if err != nil {
			return "", atoll.Errorf(atoll.Invalid, "%q is no name of a folder", arg)
		}
		return dir, nil
	}
	q := url.Values{}
	for name, value := range map[string]string{"endpoint": l.endpoint, "region": l.region} { // order does not matter
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return arg, nil
	}
	if strings.Contains(arg, "?") {
		return "", usageError{"the location says what --endpoint and --region say; leave one of them out"}
	}
	return arg + "?" + q.Encode(), nil
}

// backup has the node make a backup, and shows how far it has come.
func (o *operator) backup(cmd *cobra.Command, dir string, full bool) (m backup.Manifest, err error) {
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
	var l location
	cmd := &cobra.Command{
		Use:   "verify DIR|s3://BUCKET/PREFIX",
		Short: "Check every file of the backups in a folder or a bucket",
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
			at, err := l.of(args[0])
			if err != nil {
				return err
			}
			all, err := backup.Verify(cmd.Context(), at, newBackupNotes(cmd))
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
			m, err := backup.Compare(cmd.Context(), at, number, dataTarget(data), newBackupNotes(cmd))
			if err != nil {
				return err
			}
			return tellBackup(cmd, "equals "+data, m, asJSON)
		},
	}
	l.flags(cmd)
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
	var l location
	cmd := &cobra.Command{
		Use:   "restore DIR|s3://BUCKET/PREFIX",
		Short: "Make a data directory of a backup",
		Long: `restore makes a data directory of a backup: of the last one in the folder, or of
the one that --number names. It checks every file against its hash, executes the
log behind the checkpoint and compares the digest at every height, and reads all
keys against the hashes that the state keeps of itself, and its documents with
those that the source had at the time of the backup. The directory is there
when all of that is done, and not before; one that is not empty is refused.

Start a node on it with "atoll dev --data" or "atoll serve --data".`,
		Example: `  atoll restore /var/backups/atoll --data ./restored
  atoll restore /var/backups/atoll --data ./restored --number 3`,
		Args: arguments(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				return usageError{"restore needs --data, the directory to make"}
			}
			at, err := l.of(args[0])
			if err != nil {
				return err
			}
			m, err := restore(cmd.Context(), at, number, data, newBackupNotes(cmd))
			if err != nil {
				return err
			}
			return tellBackup(cmd, "restored to "+data, m, asJSON)
		},
	}
	l.flags(cmd)
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
