package backup_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"atoll"
	"atoll/backup"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// everything returns all documents of a collection at a time, with their paths,
// contents, times and revisions, by path.
func everything(t *testing.T, h *host.Host, d atoll.Database, at atoll.Time) map[atoll.Path]shard.Document {
	t.Helper()
	all := map[atoll.Path]shard.Document{}
	req := shard.ListRequest{Collection: "c", Limit: shard.MaxPage, At: at}
	for {
		page, err := h.Router.List(t.Context(), d, req, who)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range page.Documents {
			all[doc.Path] = doc
			req.After = doc.Path.ID()
		}
		if !page.More {
			return all
		}
	}
}

// indexed returns the documents that an index finds, in the order of n, which
// names them.
func indexed(t *testing.T, h *host.Host, d atoll.Database, at atoll.Time) []atoll.Path {
	t.Helper()
	var out []atoll.Path
	q := query.Query{Collection: "c", Order: []query.Order{{Field: "n"}}}
	_, err := h.Router.Query(t.Context(), d, q, route.QueryOptions{At: at}, who, func(_ atoll.Time, f *shard.Found) error {
		if f != nil {
			out = append(out, f.Path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// recomputed is what an index of n must find among documents.
func recomputed(t *testing.T, docs map[atoll.Path]shard.Document) []atoll.Path {
	t.Helper()
	numbers := map[atoll.Path]int64{}
	for path, doc := range docs { // order does not matter
		v, err := value.DecodeDocument(doc.Doc)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := v.Get("n")
		numbers[path] = n.Int()
	}
	return slices.SortedFunc(maps.Keys(docs), func(a, b atoll.Path) int {
		if numbers[a] != numbers[b] {
			return int(numbers[a] - numbers[b])
		}
		return strings.Compare(string(a), string(b))
	})
}

// churn creates, changes and deletes documents until it is stopped.
func churn(ctx context.Context, t *testing.T, h *host.Host, d atoll.Database, w int) {
	for n := 0; ctx.Err() == nil; n++ {
		path := atoll.Path(fmt.Sprintf("c/%d-%d", w, n*7%40))
		write := shard.Write{Op: shard.OpDelete, Path: path}
		if n%5 != 0 {
			write.Op = shard.OpSet
			write.Doc = value.AppendDocument(nil, value.Map(value.Field{Name: "n", Value: value.Int(int64(n % 13))}))
		}
		if _, err := h.Router.Commit(ctx, d, []shard.Write{write}, route.NewRequestID(), who); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

// stored is how many bytes of files a backup added.
func stored(m backup.Manifest) (n int64) {
	for _, p := range m.Subnets {
		for _, o := range p.Checkpoint {
			n += o.Size
		}
		for _, o := range p.Logs {
			n += o.Size
		}
	}
	return n
}

// TestRestoredEqualsSource makes a full backup and incremental ones while
// documents are created, changed and deleted, and restores each elsewhere: it
// has just the documents that the source had at its time, by digest and by what
// the nodes answer, and its indexes find what its documents say.
func TestRestoredEqualsSource(t *testing.T) {
	const links = 5
	dir := filepath.Join(t.TempDir(), "backups")
	h := start(t, t.TempDir(), 2)
	dbs := []atoll.Database{{Project: "p", ID: "one"}, {Project: "p", ID: "two"}, {Project: "q", ID: "three"}}
	for i := range 300 { // so that there is something that incremental backups need not hold
		if _, err := set(t.Context(), h, dbs[i%3], fmt.Sprint("c/old-", i), i); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w, d := range dbs {
		writers.Go(func() { churn(ctx, t, h, d, w) })
	}
	var made []backup.Manifest
	for range 1 + links {
		m, err := h.Backup(t.Context(), dir, false, quiet)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, m)
	}
	stop()
	writers.Wait()
	for i, m := range made {
		if i > 0 && (m.Kind != backup.Incremental || stored(m) >= stored(made[0])) {
			t.Errorf("backup %d is %s and has %d bytes, the full one %d", i+1, m.Kind, stored(m), stored(made[0]))
		}
		to, _, err := restore(t, dir, i+1)
		if err != nil {
			t.Fatalf("backup %d: %v", i+1, err)
		}
		target := backup.Target{Dir: to, SubnetDir: host.SubnetDir}
		if _, err := backup.Compare(t.Context(), dir, i+1, target, quiet); err != nil {
			t.Errorf("backup %d by digest: %v", i+1, err)
		}
		if _, err := backup.Compare(t.Context(), dir, len(made), target, quiet); i < links && atoll.KindOf(err) != atoll.FailedPrecondition {
			t.Errorf("backup %d is taken for the last one: %v", i+1, err)
		}
		again := start(t, to, 2)
		for _, d := range dbs {
			want, got := everything(t, h, d, m.Time), everything(t, again, d, m.Time)
			if !maps.EqualFunc(got, want, func(a, b shard.Document) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("backup %d of %s: %s has %v, the source %v", i+1, m.UTC, d, got, want)
			}
			if found, want := indexed(t, again, d, 0), recomputed(t, got); !slices.Equal(found, want) {
				t.Errorf("backup %d: in %s an index finds %v, and the documents say %v", i+1, d, found, want)
			}
		}
		again.Close()
	}
}

// reseal changes a manifest and gives it the hash that belongs to it.
func reseal(t *testing.T, name string, change func(*backup.Manifest)) {
	t.Helper()
	b, err := os.ReadFile(name)
	var m backup.Manifest
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(&m)
	m.Sum = ""
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	m.Sum = hex.EncodeToString(sum[:])
	if b, err = json.Marshal(m); err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBrokenChain takes away and exchanges the links of a chain, and has one
// tell another digest of the documents: nothing is restored of it.
func TestBrokenChain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	h := start(t, t.TempDir(), 1)
	for i := range 4 {
		if _, err := set(t.Context(), h, atoll.Database{Project: "p", ID: "db"}, "c/d", i); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Backup(t.Context(), dir, false, quiet); err != nil {
			t.Fatal(err)
		}
	}
	name := func(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("backup-%06d.json", n)) }
	move := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct { // order does not matter
		change func(t *testing.T, dir string)
		want   string
	}{
		"missing":       {func(t *testing.T, dir string) { move(t, name(dir, 3), name(t.TempDir(), 3)) }, "backup 3 is missing"},
		"first missing": {func(t *testing.T, dir string) { move(t, name(dir, 1), name(t.TempDir(), 1)) }, "backup 1 is missing"},
		"exchanged": {func(t *testing.T, dir string) {
			move(t, name(dir, 2), name(dir, 9))
			move(t, name(dir, 3), name(dir, 2))
			move(t, name(dir, 9), name(dir, 3))
		}, "is another backup's manifest"},
		"left out and renumbered": {func(t *testing.T, dir string) {
			move(t, name(dir, 3), name(dir, 2))
			reseal(t, name(dir, 2), func(m *backup.Manifest) { m.Number = 2 })
		}, "does not follow backup 1"},
		"other documents": {func(t *testing.T, dir string) {
			reseal(t, name(dir, 4), func(m *backup.Manifest) { m.Subnets[0].Documents.Hash = strings.Repeat("0", 64) })
		}, "and the source of the backup had"},
	} {
		t.Run(what, func(t *testing.T) {
			broken := filepath.Join(t.TempDir(), "backups")
			if err := os.CopyFS(broken, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			c.change(t, broken)
			to, _, err := restore(t, broken, 0)
			if atoll.KindOf(err) != atoll.DataLoss || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Stat(to); !os.IsNotExist(err) {
				t.Error("there is a data directory")
			}
		})
	}
}
