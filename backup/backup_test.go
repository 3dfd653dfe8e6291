package backup_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"atoll"
	"atoll/backup"
	"atoll/host"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

var who = route.Caller{Principal: atoll.Anonymous}

func quiet(backup.Progress) {}

func start(t *testing.T, dir string, subnets int) *host.Host {
	t.Helper()
	h, err := host.Start(host.Options{Dir: dir, Subnets: subnets, Log: slog.New(slog.DiscardHandler), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func set(ctx context.Context, h *host.Host, d atoll.Database, path string, n int) (atoll.Time, error) {
	doc := value.AppendDocument(nil, value.Map(value.Field{Name: "n", Value: value.Int(int64(n))}))
	reply, err := h.Router.Commit(ctx, d, []shard.Write{{Op: shard.OpSet, Path: atoll.Path(path), Doc: doc}}, route.NewRequestID(), who)
	return reply.Time, err
}

// documents returns a collection as it is at a time, as text.
func documents(t *testing.T, h *host.Host, d atoll.Database, at atoll.Time) string {
	t.Helper()
	var out strings.Builder
	req := shard.ListRequest{Collection: "c", Limit: shard.MaxPage, At: at}
	for {
		page, err := h.Router.List(t.Context(), d, req, who)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range page.Documents {
			fmt.Fprintf(&out, "%s %x %s\n", doc.Path, doc.Doc, doc.Updated)
			req.After = doc.Path.ID()
		}
		if !page.More {
			return out.String()
		}
	}
}

func restore(t *testing.T, dir string, number int) (string, backup.Manifest, error) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	m, err := backup.Restore(t.Context(), dir, number, backup.Target{Dir: to, SubnetDir: host.SubnetDir, Programs: host.Programs()}, quiet)
	return to, m, err
}

// TestWhileWriting makes backups of a node of several subnets while writers are
// at work and new databases send letters between the subnets. Each is restored,
// has the digests that it says, and gives the same as the source at its time.
func TestWhileWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	h := start(t, t.TempDir(), 3)
	dbs := make([]atoll.Database, 12)
	for i := range dbs {
		dbs[i] = atoll.Database{Project: "p", ID: fmt.Sprint("db", i)}
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				d := dbs[min(n/20, len(dbs)/4-1)*4+w%4]
				if _, err := set(ctx, h, d, fmt.Sprintf("c/%d-%d", w, n%50), n); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var made []backup.Manifest
	for i := range 6 {
		m, err := h.Backup(t.Context(), dir, i == 3, quiet)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, m)
	}
	stop()
	writers.Wait()
	if _, err := backup.Verify(t.Context(), dir, quiet); err != nil {
		t.Fatal(err)
	}
	for i, want := range made {
		to, m, err := restore(t, dir, i+1)
		if err != nil {
			t.Fatalf("backup %d: %v", i+1, err)
		}
		if m.Sum != want.Sum {
			t.Errorf("backup %d is another one than was made", i+1)
		}
		again := start(t, to, 3)
		for _, d := range dbs {
			if got, want := documents(t, again, d, m.Time), documents(t, h, d, m.Time); got != want {
				t.Errorf("backup %d of %s, %s: restored\n%s\nsource\n%s", i+1, m.UTC, d, got, want)
			}
		}
		if _, err := set(t.Context(), again, atoll.Database{Project: "p", ID: "new"}, "c/new", 1); err != nil {
			t.Errorf("backup %d: the restored node takes no write: %v", i+1, err)
		}
		again.Close()
	}
}

// TestDamage damages each file of a backup in turn: none passes.
func TestDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	h := start(t, t.TempDir(), 1)
	for i := range 2 {
		if _, err := set(t.Context(), h, atoll.Database{Project: "p", ID: "db"}, "c/d", i); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Backup(t.Context(), dir, false, quiet); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		whole, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		half := append([]byte(nil), whole...)
		if len(half) > 0 {
			half[len(half)/2] ^= 1
		}
		for what, bad := range map[string][]byte{"flipped": half, "longer": append(append([]byte(nil), whole...), 'x'), "missing": nil} { // order does not matter
			if len(whole) == 0 && what == "flipped" {
				continue
			}
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				return err
			}
			if bad != nil {
				if err := os.WriteFile(name, bad, 0o600); err != nil {
					return err
				}
			}
			all, err := backup.Verify(t.Context(), dir, quiet)
			// Nothing can tell that the last backup is missing altogether.
			if last := what == "missing" && strings.HasSuffix(name, "backup-000002.json"); err == nil && (!last || len(all) != 1) {
				t.Errorf("%s %s passes the check", name, what)
			}
			if to, _, err := restore(t, dir, 2); err == nil {
				t.Errorf("%s %s is restored", name, what)
			} else if _, err := os.Stat(to); !os.IsNotExist(err) {
				t.Errorf("%s %s leaves a data directory", name, what)
			}
		}
		return os.WriteFile(name, whole, 0o600)
	})
	if err != nil || files < 8 {
		t.Fatalf("%d files: %v", files, err)
	}
	if _, _, err := restore(t, dir, 2); err != nil {
		t.Errorf("the whole backup: %v", err)
	}
}
