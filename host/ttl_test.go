package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// clock is a clock that a test sets.
type clock struct{ now atomic.Int64 }

func (c *clock) set(t time.Time) { c.now.Store(t.UnixMicro()) }
func (c *clock) get() time.Time  { return time.UnixMicro(c.now.Load()) }

var admin = route.Caller{Principal: route.Administrator}

// noon is when documents of these tests expire.
var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func expiring(t *testing.T, opt host.Options, f shard.FieldIndex) *host.Host {
	t.Helper()
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	opt.CollectEvery = 10 * time.Millisecond
	h := start(t, opt)
	if _, err := h.Router.SetIndexes(t.Context(), db, shard.IndexConfig{Exempt: []shard.FieldIndex{f}}, admin); err != nil {
		t.Fatal(err)
	}
	return h
}

// fields makes a document.
func fields(f ...value.Field) []byte { return value.AppendDocument(nil, value.Map(f...)) }

func put(t *testing.T, h *host.Host, path atoll.Path, v value.Value) {
	t.Helper()
	doc := fields(value.Field{Name: "until", Value: v}, value.Field{Name: "x", Value: value.Int(1)})
	if _, err := h.Router.Commit(t.Context(), db, []shard.Write{{Op: shard.OpSet, Path: path, Doc: doc}}, route.NewRequestID(), admin); err != nil {
		t.Fatal(err)
	}
}

// left returns the paths of the documents of a collection group.
func left(t *testing.T, h *host.Host, collection string) (paths []string) {
	t.Helper()
	q, err := query.Normalize(query.Query{Collection: collection, Descendants: true}, db)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Router.Query(t.Context(), db, q, route.QueryOptions{}, admin, func(_ atoll.Time, f *shard.Found) error {
		paths = append(paths, string(f.Path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// eventually waits until a collection group holds so many documents.
func eventually(t *testing.T, h *host.Host, collection string, want int) []string {
	t.Helper()
	var got []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = left(t, h, collection); len(got) == want {
			return got
		}
	}
	t.Fatalf("%d documents are left of %s, want %d: %.300v", len(got), collection, want, got)
	return nil
}

// TestExpiry has documents expire by a field that is indexed, and by one that
// is not: those alone whose timestamp has passed, in all collections of the
// group and in no other, and those that come later too.
func TestExpiry(t *testing.T) {
	for name, f := range map[string]shard.FieldIndex{
		"indexed":     {Collection: "c", Field: "until", Group: true, TTL: true},
		"not indexed": {Collection: "c", Field: "until", Off: true, TTL: true},
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			c.set(noon.Add(-time.Hour))
			h := expiring(t, host.Options{Expiry: host.Expiry{Every: 10 * time.Millisecond, Clock: c.get}}, f)
			at := func(d time.Duration) value.Value { return value.Timestamp(atoll.TimeOf(noon.Add(d))) }
			for i := range 250 {
				put(t, h, atoll.Path(fmt.Sprintf("c/%03d", i)), at(time.Duration(i-249)*time.Second))
			}
			put(t, h, "c/deep/c/below", at(0))
			put(t, h, "other/noon", at(0))
			keep := map[atoll.Path]value.Value{
				"c/later": at(time.Microsecond), "c/text": value.String("2000-01-01T00:00:00Z"), "c/number": value.Int(0), "c/null": value.Null(),
				"c/list": value.Array(at(-time.Hour)), "c/map": value.Map(value.Field{Name: "until", Value: at(-time.Hour)}),
			}
			for p, v := range keep {
				put(t, h, p, v)
			}
			time.Sleep(100 * time.Millisecond)
			if n := len(left(t, h, "c")); n != 251+len(keep) {
				t.Errorf("%d documents are there before their time, of %d", n, 251+len(keep))
			}
			c.set(noon)
			for _, p := range eventually(t, h, "c", len(keep)) {
				if _, ok := keep[atoll.Path(p)]; !ok {
					t.Errorf("%s should have expired", p)
				}
			}
			if got := h.Expired(); got.Deleted != 251 || got.Kept != 0 || got.Failed != 0 {
				t.Errorf("counted %+v", got)
			}
			if n := len(left(t, h, "other")); n != 1 {
				t.Errorf("%d documents are left of another collection", n)
			}
			put(t, h, "c/late", at(-time.Hour))
			eventually(t, h, "c", len(keep))
			c.set(noon.Add(time.Second))
			eventually(t, h, "c", len(keep)-1)
		})
	}
}

// TestExpiryIsCommitted checks that documents that expire go as any others: the
// change feed tells, and a read of the past finds them.
func TestExpiryIsCommitted(t *testing.T) {
	var c clock
	c.set(noon)
	h := expiring(t, host.Options{Expiry: host.Expiry{Every: 10 * time.Millisecond, Clock: c.get}}, shard.FieldIndex{Collection: "c", Field: "until", Group: true, TTL: true})
	put(t, h, "c/x", value.Timestamp(atoll.TimeOf(noon.Add(time.Hour))))
	before, err := h.Router.Get(t.Context(), db, []atoll.Path{"c/x"}, 0, admin)
	if err != nil || before.Documents[0].Doc == nil {
		t.Fatal(before, err)
	}
	c.set(noon.Add(time.Hour))
	eventually(t, h, "c", 0)
	past, err := h.Router.Get(t.Context(), db, []atoll.Path{"c/x"}, before.Time, admin)
	if err != nil || past.Documents[0].Doc == nil {
		t.Errorf("a read of the past finds %+v, %v", past, err)
	}
	feed, err := h.Router.Feed(t.Context(), db, shard.FeedCursor{Time: before.Time}, 10, admin)
	if err != nil || len(feed.Changes) != 1 || feed.Changes[0].Doc.Path != "c/x" || feed.Changes[0].Doc.Doc != nil {
		t.Errorf("the feed tells %+v, %v", feed, err)
	}
}

// TestExpiryEnds takes the time-to-live off a field: nothing is deleted by it
// any more.
func TestExpiryEnds(t *testing.T) {
	var c clock
	c.set(noon)
	h := expiring(t, host.Options{Expiry: host.Expiry{Every: 10 * time.Millisecond, Clock: c.get}}, shard.FieldIndex{Collection: "c", Field: "until", Off: true, TTL: true})
	put(t, h, "c/x", value.Timestamp(atoll.TimeOf(noon)))
	eventually(t, h, "c", 0)
	off := []shard.FieldIndex{{Collection: "c", Field: "until", Off: true}}
	if _, err := h.Router.SetIndexes(t.Context(), db, shard.IndexConfig{Exempt: off}, admin); err != nil {
		t.Fatal(err)
	}
	// A page that was begun before may still be under way.
	time.Sleep(50 * time.Millisecond)
	put(t, h, "c/y", value.Timestamp(atoll.TimeOf(noon)))
	time.Sleep(100 * time.Millisecond)
	if n := len(left(t, h, "c")); n != 1 {
		t.Error("a document expired by a field that is no time-to-live field any more")
	}
}

// TestExpiryYields moves the times of documents while they are being deleted:
// none is lost whose time was moved before it was deleted.
func TestExpiryYields(t *testing.T) {
	var c clock
	c.set(noon.Add(-time.Second))
	h := expiring(t, host.Options{Expiry: host.Expiry{Every: time.Millisecond, Rate: 1_000_000, Clock: c.get}}, shard.FieldIndex{Collection: "c", Field: "until", Group: true, TTL: true})
	const docs = 800
	path := func(i int) atoll.Path { return atoll.Path(fmt.Sprintf("c/%03d", i)) }
	for i := range docs {
		put(t, h, path(i), value.Timestamp(atoll.TimeOf(noon)))
	}
	later := fields(value.Field{Name: "until", Value: value.Timestamp(atoll.TimeOf(noon.Add(time.Hour)))})
	exists := true
	var saved sync.Map
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := docs - 1 - w; i >= 0; i -= 4 { // from the other end than the sweeper
				if i == docs-1-100 {
					c.set(noon)
				}
				move := shard.Write{Op: shard.OpSet, Path: path(i), Doc: later, Exists: &exists}
				_, err := h.Router.Commit(t.Context(), db, []shard.Write{move}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous})
				switch {
				case err == nil:
					saved.Store(string(path(i)), true)
				case atoll.KindOf(err) != atoll.NotFound:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c.set(noon)
	want := 0
	saved.Range(func(any, any) bool { want++; return true })
	for _, p := range eventually(t, h, "c", want) {
		if _, ok := saved.Load(p); !ok {
			t.Errorf("%s is left, and nobody moved its time", p)
		}
	}
	t.Logf("%d of %d were moved in time; %+v", want, docs, h.Expired())
}

// TestExpiryRate checks that no more documents are deleted each second than
// may be, so that a million that expire at once leave room for users.
func TestExpiryRate(t *testing.T) {
	for name, f := range map[string]shard.FieldIndex{
		"indexed":     {Collection: "c", Field: "until", Group: true, TTL: true},
		"not indexed": {Collection: "c", Field: "until", Off: true, TTL: true},
	} {
		t.Run(name, func(t *testing.T) {
			var c clock
			c.set(noon.Add(-time.Hour))
			const rate, docs = 200, 1000
			h := expiring(t, host.Options{Expiry: host.Expiry{Every: time.Millisecond, Rate: rate, Clock: c.get}}, f)
			for i := range docs / 100 {
				var writes []shard.Write
				for j := range 100 {
					writes = append(writes, shard.Write{Op: shard.OpSet, Path: atoll.Path(fmt.Sprintf("c/%d-%d", i, j)), Doc: fields(value.Field{Name: "until", Value: value.Timestamp(atoll.TimeOf(noon))})})
				}
				if _, err := h.Router.Commit(t.Context(), db, writes, route.NewRequestID(), admin); err != nil {
					t.Fatal(err)
				}
			}
			begun := time.Now()
			c.set(noon)
			time.Sleep(time.Second)
			deleted := h.Expired().Deleted
			if most := rate*time.Since(begun).Seconds() + 500; float64(deleted) > most || deleted == 0 {
				t.Errorf("%d documents were deleted in %s, with %d a second allowed", deleted, time.Since(begun), rate)
			}
			put(t, h, "other/x", value.Int(1)) // users are served meanwhile
		})
	}
}

// TestExpiryGoesOn stops an installation while it deletes, and starts it again.
func TestExpiryGoesOn(t *testing.T) {
	var c clock
	c.set(noon.Add(-time.Hour))
	opt := host.Options{Dir: t.TempDir(), Expiry: host.Expiry{Every: time.Millisecond, Rate: 500, Clock: c.get}}
	h := expiring(t, opt, shard.FieldIndex{Collection: "c", Field: "until", Group: true, TTL: true})
	for i := range 300 {
		put(t, h, atoll.Path(fmt.Sprintf("c/%d", i)), value.Timestamp(atoll.TimeOf(noon)))
	}
	put(t, h, "c/stays", value.Timestamp(atoll.TimeOf(noon.Add(time.Second))))
	c.set(noon)
	for h.Expired().Deleted == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	opt.Log = slog.New(slog.DiscardHandler)
	h = start(t, opt)
	if got := eventually(t, h, "c", 1); got[0] != "c/stays" {
		t.Errorf("%v is left", got)
	}
}

// TestExpiryLag tells for how long documents are overdue.
func TestExpiryLag(t *testing.T) {
	var c clock
	c.set(noon)
	// One page of one document, and then nothing for a long time.
	h := expiring(t, host.Options{Expiry: host.Expiry{Every: 10 * time.Millisecond, Rate: 1, Clock: c.get}}, shard.FieldIndex{Collection: "c", Field: "until", Group: true, TTL: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	put(t, h, "c/x", value.Timestamp(atoll.TimeOf(noon.Add(-time.Hour))))
	put(t, h, "c/y", value.Timestamp(atoll.TimeOf(noon.Add(-time.Hour))))
	want := time.Hour
	for h.Expired().Lag < want && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if got := h.Expired().Lag; got != want {
		t.Errorf("the lag is %s, want %s", got, want)
	}
}
