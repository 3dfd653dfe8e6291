package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestImportOfTheYardstick loads documents and finds them again.
func TestImportOfTheYardstick(t *testing.T) {
	config := bulkConfig{Documents: 3000, Parts: 3, Names: []string{nameDisk, nameYardstick}, options: options{dir: t.TempDir(), progress: t.Logf}}
	r, err := runImport(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Samples) != 3 || r.Disk <= 0 || r.rate(nameYardstick) <= 0 || r.Stored[nameYardstick] < 3000*bodySize {
		t.Errorf("result %+v", r)
	}
	for n, s := range r.Samples {
		if s.Part != n+1 || s.Documents != 1000 || s.Seconds <= 0 || s.Resident <= 0 {
			t.Errorf("sample %+v", s)
		}
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"3000 documents", "\ndisk", "\nyardstick"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestRateIsOverAllParts(t *testing.T) {
	r := BulkResult{Samples: []BulkSample{
		{Server: nameAtoll, Documents: 1000, Seconds: 1}, {Server: nameAtoll, Documents: 1000, Seconds: 3}, {Server: nameYardstick, Documents: 9, Seconds: 1},
	}}
	if got := r.rate(nameAtoll); got != 500 { // not 667, the mean of the parts' rates
		t.Errorf("rate is %v, want 500", got)
	}
	if got := r.rate(namePostgres); got != 0 {
		t.Errorf("rate of what was not measured is %v", got)
	}
}

func TestPartsDiffer(t *testing.T) {
	config := bulkConfig{Documents: 400, Parts: 2}
	seen := make(map[string]bool)
	for part := 1; part <= 2; part++ {
		for _, doc := range partOf(config, part) {
			seen[doc.ID] = true
		}
	}
	if len(seen) != 400 {
		t.Errorf("%d different documents of 400", len(seen))
	}
	if again := partOf(config, 2)[199].ID; !seen[again] {
		t.Errorf("made up again, part 2 ends with %s, which it did not have before", again)
	}
}

// TestDocumentSize holds the documents to what the targets speak of.
func TestDocumentSize(t *testing.T) {
	docs := partOf(bulkConfig{Documents: 1000, Parts: 1}, 1)
	lines, err := jsonLines(docs)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(lines) / len(docs); size < 370 || size > 430 {
		t.Errorf("documents have %d bytes, want about 400", size)
	}
	if got := len(firestoreDocument(docs[0]).Fields); got != 10 {
		t.Errorf("documents have %d fields, want 10", got)
	}
}

func TestSmallDocuments(t *testing.T) {
	const documents = 100 * largeAuthor
	ids, authors := make(map[string]bool), make(map[string]int)
	for n := range int64(documents) {
		ids[smallID(n)] = true
		authors[smallAuthor(n, documents)]++
	}
	if len(ids) != documents || len(authors) != documents/largeAuthor {
		t.Errorf("%d ids and %d authors of %d documents", len(ids), len(authors), documents)
	}
	for author, n := range authors {
		if n != largeAuthor {
			t.Errorf("%s has %d documents, want %d", author, n, largeAuthor)
		}
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	if m, err := memoryOf(os.Getpid()); err != nil || m.Resident == 0 || m.Peak < m.Resident/2 {
		t.Errorf("memory %+v, %v", m, err)
	}
}

// TestLacking: where every tool is to be there, a peer that is not is a failure.
func TestLacking(t *testing.T) {
	missing := []Failure{{Server: namePostgres, Reason: errNoPostgres.advice}}
	for _, no := range []string{"", "0"} {
		t.Setenv(requireTools, no)
		if err := lacking(missing); err != nil {
			t.Errorf("on any machine, with %q: %v", no, err)
		}
	}
	t.Setenv(requireTools, "1")
	if err := lacking(missing); err == nil {
		t.Error("a missing peer is no failure where it is required")
	}
	if err := lacking(nil); err != nil {
		t.Errorf("with all peers: %v", err)
	}
}

func TestOtherFlags(t *testing.T) {
	for _, bad := range [][]string{{"--documents=0"}, {"--parts=0"}, {"--only=pocketbase"}, {"x"}} {
		if err := measureImport(t.Context(), bad); err == nil {
			t.Errorf("import %v gives no error", bad)
		}
	}
	for _, bad := range [][]string{{"--documents=150"}, {"--documents=0"}, {"--duration=0s"}, {"--connections=0"}, {"x"}} {
		if err := measureLarge(t.Context(), bad); err == nil {
			t.Errorf("large %v gives no error", bad)
		}
	}
}
