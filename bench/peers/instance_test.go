package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestServers drives every server that keeps documents, built from source or
// installed: all workloads, what was acknowledged, and another start.
func TestServers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the servers; not in -short")
	}
	// t.TempDir is closed to the user that PostgreSQL runs as.
	config := quickConfig(t)
	config.options.dir = ""
	cleanUp, err := config.makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp()
	bin := filepath.Join(config.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers("", config.Connections) {
		if !s.stores {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			program, err := s.build(t.Context(), bin)
			if _, ok := errors.AsType[missingTool](err); ok && !required() {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			i, err := launch(t.Context(), s, program, config.dir)
			defer i.end()
			if err != nil {
				t.Fatal(err)
			}
			testServer(t, i, config)
		})
	}
}

func testServer(t *testing.T, i *instance, config Config) {
	seeded, err := i.seed(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	testWorkloads(t, i, seeded)
	if slices.Contains(bulkNames, i.name) {
		docs := partOf(bulkConfig{Documents: 1200, Parts: 1}, 1)
		load, err := i.loader(t.Context(), docs)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := load(); err != nil {
			t.Fatal(err)
		}
		if err := i.readBack(t.Context(), []string{docs[0].ID, docs[1199].ID}); err != nil {
			t.Error(err)
		}
	}
	if err := i.readBack(t.Context(), []string{"missing"}); err == nil {
		t.Error("a document that is not there is found")
	}
	f, err := i.restart(t.Context(), seeded[0])
	if err != nil || f.StartUp <= 0 || f.Resident <= 0 || f.Program < 1<<20 {
		t.Errorf("after another start %+v, %v", f, err)
	}
}

// testWorkloads does each operation on several connections.
func testWorkloads(t *testing.T, i *instance, seeded []string) {
	conns, closeAll, err := dialAll(t.Context(), i, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	sources := newSources(len(conns), 1, seeded)
	for _, w := range i.workloads {
		for n, conn := range conns {
			if err := conn.do(t.Context(), w, sources[n]); err != nil {
				t.Errorf("%s: %v", w, err)
			}
		}
	}
	if err := readBack(t.Context(), conns, sources); err != nil {
		t.Error(err)
	}
}

// TestInstanceThatEndsAtOnce: a server that cannot run says what it printed.
func TestInstanceThatEndsAtOnce(t *testing.T) {
	s := server{name: "x", arguments: func(string, string) []string { return []string{"-c", "echo no room; exit 1"} }}
	i, err := launch(t.Context(), s, "/bin/sh", t.TempDir())
	defer i.end()
	if err == nil || !errors.Is(err, errEnded) {
		t.Errorf("launch: %v, want that it ended", err)
	}
}

// TestEventually gives up with its context, and with the last error.
func TestEventually(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	tries, refused := 0, errors.New("refused")
	err := (&instance{}).eventually(ctx, func() error { tries++; return refused })
	if !errors.Is(err, refused) || tries < 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
