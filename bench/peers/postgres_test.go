package main

import (
	"errors"
	"os"
	"testing"
)

// TestPostgres runs every workload on PostgreSQL, where it is installed.
func TestPostgres(t *testing.T) {
	s := serverOf(namePostgres, "", 2)
	program, err := s.build(t.Context(), "")
	if _, ok := errors.AsType[missingTool](err); ok && os.Getenv(requireTools) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "atoll-bench-test-") // t.TempDir is closed to the user that it runs as
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	i, err := launch(t.Context(), s, program, dir)
	defer i.end()
	if err != nil {
		t.Fatal(err)
	}
	conns, closeAll, err := dialAll(t.Context(), i, 2)
	if err != nil {
		t.Fatal(err)
	}
	docs := partOf(bulkConfig{Documents: 4000, Parts: 1}, 1)
	var ids []string
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	if err := conns[0].(bulkLoader).bulk(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	sources := newSources(2, 1, ids)
	for _, w := range documentWorkloads {
		for n, conn := range conns {
			if err := conn.do(t.Context(), w, sources[n]); err != nil {
				t.Errorf("%s: %v", w, err)
			}
		}
	}
	if err := conns[1].get(t.Context(), "missing"); err == nil {
		t.Error("a document that is not there is found")
	}
	if err := readBack(t.Context(), conns, sources); err != nil {
		t.Error(err)
	}
	closeAll()
	f, err := i.restart(t.Context(), ids[0])
	if err != nil || f.StartUp <= 0 || f.Resident <= 0 || f.Program < 1<<20 {
		t.Errorf("after another start %+v, %v", f, err)
	}
}
