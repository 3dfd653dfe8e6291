package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"atoll/transfer"
)

// process starts the command in a directory, and ends it with the test.
func process(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("atoll", args...)
	cmd.Dir = dir
	cmd.Stderr = new(bytes.Buffer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// node runs a node until it is killed.
func node(t *testing.T, dir, addr string) *exec.Cmd {
	t.Helper()
	cmd := process(t, dir, "dev", "--listen", addr, "--data", "data")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + addr + "/healthz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return cmd
			}
		}
	}
	t.Fatalf("the node is not ready: %s", cmd.Stderr)
	return nil
}

// TestKilledImport kills an import, and once the node under it, in the middle,
// and goes on. Each document is created, so one that was applied twice would be
// an error.
func TestKilledImport(t *testing.T) {
	const rows = 12_000
	dir := t.TempDir()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&text, "{\"n\": %d, \"text\": \"row %d\"}\n", i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "rows.jsonl"), text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := node(t, dir, addr)
	load := func() *exec.Cmd {
		return process(t, dir, "import", "rows.jsonl", "--into", "c", "--id", "n", "--create", "--resume", "place", "--parallel", "2", "--addr", addr)
	}
	// row waits until the place has moved on.
	var done int64
	row := func(behind int64) int64 {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			var p transfer.Place
			b, err := os.ReadFile(filepath.Join(dir, "place"))
			if err == nil && json.Unmarshal(b, &p) == nil && (p.Row > behind || p.Done) {
				return p.Row
			}
		}
		t.Fatal("the import does not move on")
		return 0
	}
	kills := 0
	for round := range 3 {
		im := load()
		if done = row(done); done < rows {
			kills++
		}
		if round == 1 { // the node goes, too, and comes back while the import tries again
			run.Process.Kill()
			run.Wait()
			run = node(t, dir, addr)
			row(done)
		}
		im.Process.Kill()
		im.Wait()
	}
	if kills == 0 {
		t.Fatal("every kill came too late")
	}
	if im := load(); im.Wait() != nil {
		t.Fatalf("the last import: %s", im.Stderr)
	}
	out, err := exec.Command("atoll", "export", "c", "--addr", addr).Output()
	if n := bytes.Count(out, []byte("\n")); err != nil || n != rows {
		t.Errorf("%d documents, want %d: %v", n, rows, err)
	}
	killedExport(t, dir, addr, out)
}

// killedExport kills an export to a file in the middle, over and over, and
// compares what it ends up with.
func killedExport(t *testing.T, dir, addr string, want []byte) {
	t.Helper()
	place := filepath.Join(dir, "export-place")
	load := func() *exec.Cmd {
		return process(t, dir, "export", "--out", "out.jsonl", "--resume", "export-place", "--addr", addr)
	}
	kills := 0
	var last int64
	for range 4 {
		ex := load()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			var p transfer.ExportPlace
			b, err := os.ReadFile(place)
			if err == nil && json.Unmarshal(b, &p) == nil && (p.Count > last || p.Done) {
				if !p.Done {
					kills++
				}
				last = p.Count
				break
			}
		}
		ex.Process.Kill()
		ex.Wait()
	}
	if kills == 0 {
		t.Error("every kill of the export came too late")
	}
	if ex := load(); ex.Wait() != nil {
		t.Fatalf("the last export: %s", ex.Stderr)
	}
	got, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the export in parts has %d bytes, in one piece %d: %v", len(got), len(want), err)
	}
}
