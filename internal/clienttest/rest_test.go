package clienttest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"atoll/internal/testtool"
)

// TestREST has both clients that speak REST make a tour of a node.
func TestREST(t *testing.T) {
	node := testtool.Need(t, "node")
	packages(t)
	address := start(t)
	for _, program := range []string{"admin.test.mjs", "lite.test.mjs"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), node, "--test", program)
			cmd.Dir = "node"
			cmd.Env = append(os.Environ(), "FIRESTORE_EMULATOR_HOST="+address)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// packages installs what the lockfile names, if that has not been done.
func packages(t *testing.T) {
	t.Helper()
	want, err := os.Stat(filepath.Join("node", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	if have, err := os.Stat(filepath.Join("node", "node_modules", ".package-lock.json")); err == nil && !have.ModTime().Before(want.ModTime()) {
		return
	}
	cmd := exec.CommandContext(t.Context(), testtool.Need(t, "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = "node"
	if out, err := cmd.CombinedOutput(); err != nil {
		if required := os.Getenv(testtool.RequireVar); required != "" && required != "0" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("the packages cannot be installed: %v\n%s", err, out)
	}
}

// start builds the command and runs a node until the test ends. It returns the
// node's address.
func start(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "atoll")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "atoll/cmd/atoll").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "dev", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		stuck := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer stuck.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node ended with %v\n%s", err, &log)
		}
	})
	address, err := announced(stdout)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// announced reads the address from what a node says when it is ready.
func announced(stdout io.Reader) (string, error) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, address, ok := strings.Cut(lines.Text(), "FIRESTORE_EMULATOR_HOST="); ok {
			return address, nil
		}
	}
	return "", errors.New("the node did not say where it is")
}
