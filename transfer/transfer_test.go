package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"atoll"
	"atoll/transfer"
	"atoll/value"
)

var db = atoll.Database{Project: "p", ID: atoll.DefaultDatabase}

// shelf keeps what an import sends, once for each request id.
type shelf struct {
	mu      sync.Mutex
	docs    map[atoll.Path]value.Value
	seen    map[atoll.RequestID]bool // applied
	lost    map[atoll.RequestID]bool // not applied, once
	applied int                      // documents
	flying  map[atoll.Path]bool
	twice   bool // two batches wrote one document at the same time
	limit   int  // batches after which nothing is answered; 0: none
	refuse  func(atoll.Path) error
}

func newShelf() *shelf {
	return &shelf{docs: map[atoll.Path]value.Value{}, seen: map[atoll.RequestID]bool{}, lost: map[atoll.RequestID]bool{}, flying: map[atoll.Path]bool{}}
}

func (s *shelf) send(_ context.Context, b transfer.Batch) ([]error, error) {
	s.mu.Lock()
	for _, d := range b.Documents {
		s.twice = s.twice || s.flying[d.Path]
		s.flying[d.Path] = true
	}
	s.mu.Unlock()
	slow := b.ID[0]%4 == 0
	if slow { // so that batches overtake each other
		time.Sleep(2 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := slow && !s.lost[b.ID] // on its way, the first time
	if s.limit > 0 && (lost || len(s.seen) >= s.limit) {
		s.lost[b.ID] = true
		for _, d := range b.Documents {
			delete(s.flying, d.Path)
		}
		return nil, atoll.Errorf(atoll.Canceled, "there is no connection")
	}
	errs := make([]error, len(b.Documents))
	for i, d := range b.Documents {
		delete(s.flying, d.Path)
		if s.refuse != nil {
			errs[i] = s.refuse(d.Path)
		}
		if errs[i] == nil && !s.seen[b.ID] {
			s.docs[d.Path] = d.Fields
			s.applied++
		}
	}
	s.seen[b.ID] = true
	if s.limit > 0 && len(s.seen) >= s.limit {
		return nil, atoll.Errorf(atoll.Canceled, "the connection is lost")
	}
	return errs, nil
}

func file(name string, text []byte) transfer.File {
	format, _ := transfer.FormatOf(name)
	return transfer.File{Name: name, Format: format, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text)), nil
	}}
}

func load(s *shelf, m transfer.Mapping, files ...transfer.File) (*transfer.Place, error) {
	p := transfer.NewPlace("", make([]transfer.Mark, len(files)))
	m.Database = db
	return p, (&transfer.Import{Files: files, Mapping: m, Place: p, Parallel: 4, Send: s.send}).Run(context.Background())
}

// names are fields' names; CSV can hold them all.
var names = rapid.SampledFrom([]string{"a", "b", "$timestamp", "$x", "", "é", "a,b", `say "x"`, "line\nbreak", "path", "document"})

func values(depth int) *rapid.Generator[value.Value] {
	texts := rapid.OneOf(rapid.String().Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }),
		rapid.SampledFrom([]string{"", "null", "true", "42", "-1e5", "007", `"quoted"`, "{}", "[1", " 1", "1 ", "a\r\nb", "\r", "\ufeffx", "NaN", "$path", `{"$int": 1}`}))
	all := []*rapid.Generator[value.Value]{
		rapid.Just(value.Null()),
		rapid.Map(rapid.Bool(), value.Bool),
		rapid.Map(rapid.Int64(), value.Int),
		rapid.Map(rapid.Float64(), value.Double),
		rapid.Map(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1 << 60}), value.Double),
		rapid.Map(texts, value.String),
		rapid.Map(rapid.SliceOf(rapid.Byte()), value.Bytes),
		rapid.Map(rapid.Int64Range(int64(atoll.MinTime), int64(atoll.MaxTime)), func(t int64) value.Value { return value.Timestamp(atoll.Time(t)) }),
		rapid.Just(value.ReferenceTo(db, "c/d")),
		rapid.Map(rapid.Float64Range(-90, 90), func(f float64) value.Value { return value.GeoPoint(f, f) }),
		rapid.Map(rapid.SliceOf(rapid.Float64()), value.Vector),
	}
	if depth > 0 {
		elem := values(depth - 1)
		flat := elem.Filter(func(v value.Value) bool { return v.Kind() != value.KindArray })
		all = append(all,
			rapid.Map(rapid.SliceOfN(flat, 0, 3), func(e []value.Value) value.Value { return value.Array(e...) }),
			rapid.Map(rapid.MapOfN(names, elem, 0, 3), mapOf))
	}
	return rapid.OneOf(all...)
}

func mapOf(m map[string]value.Value) value.Value {
	var fields []value.Field
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, value.Field{Name: name, Value: m[name]})
	}
	return value.Map(fields...)
}

// TestRoundTrip writes documents in each format, in two parts, and reads the
// same documents back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := rapid.MapOfN(rapid.StringMatching(`[a-z\-0-9é]{1,4}`), rapid.Map(rapid.MapOfN(names, values(2), 0, 4), mapOf), 0, 8).Draw(t, "documents")
		ids := slices.Sorted(maps.Keys(docs))
		half := rapid.IntRange(0, len(ids)).Draw(t, "half")
		for _, format := range []transfer.Format{transfer.JSONL, transfer.JSON, transfer.CSV} {
			var columns transfer.Columns
			for _, id := range ids {
				columns.Add(docs[id])
			}
			out := export(t, format, columns.Names, docs, ids, half)
			s := newShelf()
			if _, err := load(s, transfer.Mapping{}, file("x."+string(format), out)); err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			if len(s.docs) != len(docs) {
				t.Fatalf("%d documents became %d in\n%s", len(docs), len(s.docs), out)
			}
			for id, want := range docs {
				if got := s.docs[atoll.Path("c/"+id)]; !value.Identical(got, want) {
					t.Fatalf("%s: %v became %v in\n%s", format, want, got, out)
				}
			}
		}
	})
}

// export writes documents, with a new writer behind the first half of them.
func export(t *rapid.T, format transfer.Format, columns []string, docs map[string]value.Value, ids []string, half int) []byte {
	var out bytes.Buffer
	w, err := transfer.NewWriter(format, &out, columns, 0)
	for i, id := range ids {
		if err == nil && i == half && i > 0 {
			w, err = transfer.NewWriter(format, &out, columns, int64(i))
		}
		if err == nil {
			err = w.Write(transfer.Document{Path: atoll.Path("c/" + id), Fields: docs[id]})
		}
	}
	if err == nil {
		err = w.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// lines returns rows of JSON in which documents occur again, and some are bad.
func lines(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		if i%97 == 13 {
			out.WriteString("{\n")
			continue
		}
		fmt.Fprintf(&out, "{\"k\": %d, \"row\": %d}\n", i%900, i)
	}
	return out.Bytes()
}

// TestResume loses the connection over and over, goes on from the place in a
// file, which may be an old one, and compares with an import in one piece.
func TestResume(t *testing.T) {
	text := lines(2500)
	id := transfer.FieldTemplate("k")
	want := newShelf()
	m := transfer.Mapping{Database: db, Into: "c", ID: id}
	whole := transfer.NewPlace("", make([]transfer.Mark, 2))
	skipped := 0
	skip := func(*transfer.RowError) error { skipped++; return nil }
	files := []transfer.File{file("a.jsonl", text), file("b.jsonl", text[:len(text)/3])}
	if err := (&transfer.Import{Files: files, Mapping: m, Place: whole, Parallel: 4, Send: want.send, Skip: skip}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want.twice {
		t.Error("two batches wrote one document at the same time")
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		keep := filepath.Join(t.TempDir(), "place")
		got := newShelf()
		p := transfer.NewPlace("", make([]transfer.Mark, 2))
		if err := p.Save(keep); err != nil {
			t.Fatal(err)
		}
		for tries := 0; ; tries++ {
			p, ok, err := transfer.LoadPlace(keep, "", make([]transfer.Mark, 2))
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			got.limit = len(got.seen) + 1 + rng.IntN(6)
			saves := rng.IntN(5)
			im := &transfer.Import{Files: files, Mapping: m, Place: p, Parallel: 3, Send: got.send, Skip: skip}
			im.Moved = func(int64) error {
				if saves--; saves < 0 && tries < 30 {
					return nil // killed before it was kept
				}
				return p.Save(keep)
			}
			if err := im.Run(t.Context()); err == nil {
				if p.Summary != whole.Summary {
					t.Fatalf("%+v in parts, %+v in one piece", p.Summary, whole.Summary)
				}
				break
			}
		}
		if got.applied != want.applied || got.twice || !maps.EqualFunc(got.docs, want.docs, value.Identical) {
			t.Fatalf("%d documents were applied, not %d, or they differ (seed %d)", got.applied, want.applied, seed)
		}
	}
}

func TestErrorsAreInOrder(t *testing.T) {
	s := newShelf()
	s.refuse = func(p atoll.Path) error {
		if p == "c/7" {
			return atoll.Errorf(atoll.PermissionDenied, "no")
		}
		return nil
	}
	var got []string
	p := transfer.NewPlace("", make([]transfer.Mark, 1))
	err := (&transfer.Import{
		Files: []transfer.File{file("f.jsonl", lines(200))}, Place: p, Send: s.send,
		Mapping: transfer.Mapping{Database: db, Into: "c", ID: transfer.FieldTemplate("k")},
		Skip:    func(e *transfer.RowError) error { got = append(got, fmt.Sprintf("%d %s", e.Line, e.Path)); return nil },
	}).Run(t.Context())
	if want := []string{"8 c/7", "14 ", "111 "}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %q, want %q", err, got, want)
	}
	if want := (transfer.Summary{Rows: 200, Documents: 197, Skipped: 3}); p.Summary != want {
		t.Errorf("%+v, want %+v", p.Summary, want)
	}
	if _, err := load(newShelf(), transfer.Mapping{Into: "c"}, file("f.jsonl", lines(200))); err == nil || !strings.Contains(err.Error(), "f.jsonl:14:1: malformed JSON") {
		t.Errorf("without Skip: %v", err)
	}
}

// FuzzRead reads any bytes as each format: it ends, and names a place.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"{\"a\": 1}\n", "[{\"path\": \"c/d\", \"document\": {}}]", "a,b\n1,\"x\ny\"\n", "$path,a\nc/d,\n", "pkg a, b", "[1,\n2", "\"\n\n\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range []transfer.Mapping{{}, {Into: "c"}} {
			for _, name := range []string{"f.jsonl", "f.json", "f.csv"} {
				s := newShelf()
				if _, err := load(s, m, file(name, text)); err != nil && atoll.KindOf(err) != atoll.Invalid {
					t.Errorf("%s: %v", name, err)
				}
				for p, d := range s.docs { // order does not matter
					if err := value.CheckDocument(p, d); err != nil || !p.IsDocument() {
						t.Errorf("%s: %q: %v", name, p, err)
					}
				}
			}
		}
	})
}
