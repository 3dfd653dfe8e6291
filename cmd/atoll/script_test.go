package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"atoll": main})
}

// TestScripts runs the real command, as processes, through the scripts in
// testdata/script. Each has a free port in $ADDR, and nodes keep their data in
// the script's own directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			addr, err := freeAddress()
			e.Setenv("ADDR", addr)
			e.Setenv("FIRESTORE_EMULATOR_HOST", addr)
			e.Setenv("HOME", e.WorkDir)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":  ready,
			"exit":   exit,
			"damage": damage,

			"eventually": eventually,
		},
	})
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until the node at $ADDR answers and all is well.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: ready")
	}
	last := "no answer"
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + ts.Getenv("ADDR") + "/healthz")
		if err != nil {
			last = err.Error()
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		last = res.Status
	}
	ts.Fatalf("the node is not ready: %s", last)
}

// exit runs a command that must end with an exit code.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit code command [argument...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "exit status 0"
	if err != nil {
		got = err.Error()
	}
	if got != "exit status "+args[0] {
		ts.Fatalf("%s ended with %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// eventually runs a command until what it prints matches a pattern; with ! until
// it does not.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] eventually pattern command [argument...]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if out = ts.ReadFile("stdout"); pattern.MatchString(out) != neg {
			return
		}
	}
	ts.Fatalf("%s goes on to print\n%s", strings.Join(args[1:], " "), out)
}

// damage turns over one bit in the last place where a file below a directory
// holds a text.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage directory text")
	}
	found := false
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		at := bytes.LastIndex(b, []byte(args[1]))
		if at < 0 || found {
			return nil
		}
		found = true
		b[at] ^= 1
		return os.WriteFile(name, b, 0o600)
	})
	ts.Check(err)
	if !found {
		ts.Check(fmt.Errorf("no file below %s holds %q", args[0], args[1]))
	}
}
