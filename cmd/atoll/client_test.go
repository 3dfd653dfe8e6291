package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"atoll"
)

// run executes a command line within the test's process.
func runCommand(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// write makes a file in a new directory.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// everyCommand are the commands that reach a node, with what they print; those
// behind need what those before wrote.
var everyCommand = []struct {
	stdin string
	args  []string
	want  string
}{
	{"", []string{"set", "cities/lisbon", `{"name": "Lisbon", "n": 1}`}, "cities/lisbon written at"},
	{`{"path": "cities/porto", "document": {"name": "Porto", "n": 2}}`, []string{"import", "--format", "jsonl", "-"}, "1 documents of 1 rows imported"},
	{"", []string{"get", "cities/lisbon"}, `"Lisbon"`},
	{"", []string{"get", "cities"}, "cities/porto"},
	{"", []string{"export", "cities"}, `"cities/porto"`},
	{"", []string{"query", "cities", "--where", "n > 1"}, "cities/porto"},
	{"", []string{"count", "cities"}, "2\n"},
	{"", []string{"explain", "cities"}, "Results    2"},
	{"", []string{"top", "--once"}, "RunQuery cities where n > ?"},
	{"", []string{"tail", "--after", "oldest", "--count", "2"}, "cities/lisbon"},
	{"", []string{"delete", "cities/porto"}, "cities/porto deleted at"},
	{"", []string{"indexes"}, "there are no composite indexes"},
	{`{"indexes": []}`, []string{"indexes", "apply", "-", "--wait"}, "all is as the file has it"},
	{"", []string{"indexes", "export"}, `"fieldOverrides": []`},
}

// TestCommandsOverTLS runs every command against a node of "atoll serve", with
// its certificate and key, and without.
func TestCommandsOverTLS(t *testing.T) {
	s := startServe(t, t.TempDir())
	ca, key := filepath.Join(s.dir, "tls.cert.pem"), write(t, s.key+"\n")
	wrongKey := write(t, "atoll_admin_"+strings.Repeat("A", 43))
	otherDir := t.TempDir()
	other := startServe(t, otherDir)
	at := "https://" + s.data
	for i, c := range everyCommand {
		with := func(more ...string) []string { return append(append([]string{}, c.args...), more...) }
		got, err := runCommand(t, c.stdin, with("--addr", at, "--ca", ca, "--key", key)...)
		if err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", c.args[0], got, err, c.want)
		}
		for _, bad := range []struct {
			args []string
			kind atoll.Kind
			want string
		}{
			{with("--addr", at, "--ca", ca, "--key", wrongKey), atoll.Unauthenticated, "does not take the key in " + wrongKey},
			{with("--addr", at, "--ca", filepath.Join(other.dir, "tls.cert.pem"), "--key", key), atoll.Unauthenticated, "name the right one with --ca"},
			{with("--addr", at, "--key", key), atoll.Unauthenticated, "name the right one with --ca"},
			{with("--addr", at, "--ca", key, "--key", key), atoll.Invalid, "holds no certificate"},
			{with("--addr", at, "--ca", ca, "--key", ca), atoll.Invalid, "does not hold a key"},
			{with("--addr", "http://"+s.data, "--ca", ca, "--key", key), atoll.Invalid, "is not over TLS"},
			{with("--addr", "https://"+s.operator, "--ca", ca, "--key", key), atoll.FailedPrecondition, "does not speak TLS"},
		} {
			if i >= 9 && slices.Contains(bad.args, wrongKey) {
				continue // an address has ten wrong keys
			}
			_, err := runCommand(t, c.stdin, bad.args...)
			if atoll.KindOf(err) != bad.kind || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%v: %v; want %v with %q", bad.args, err, bad.kind, bad.want)
			}
		}
		_, err = runCommand(t, c.stdin, with("--addr", at, "--ca", ca)...)
		if kind := atoll.KindOf(err); kind != atoll.PermissionDenied && kind != atoll.Unauthenticated || !strings.Contains(err.Error(), "name a file that holds it with --key") {
			t.Errorf("%v without a key: %v", c.args, err)
		}
		if c.args[0] == "tail" || c.args[0] == "top" {
			if got, err := runCommand(t, c.stdin, with("--addr", s.operator, "--data", s.dir)...); err != nil || !strings.Contains(got, c.want) {
				t.Errorf("%s at the operator's door: %q, %v", c.args[0], got, err)
			}
		} else if _, err := runCommand(t, c.stdin, with("--addr", s.data)...); c.args[0] != "import" && c.args[0] != "export" && (err == nil || !strings.Contains(err.Error(), "--addr https://")) {
			t.Errorf("%s without TLS: %v", c.args[0], err)
		}
	}
	t.Setenv("ATOLL_ADDR", at)
	t.Setenv("ATOLL_CA", ca)
	t.Setenv("ATOLL_KEY", key)
	if got, err := runCommand(t, "", "get", "cities/lisbon"); err != nil || !strings.Contains(got, "Lisbon") {
		t.Errorf("by the environment: %q, %v", got, err)
	}
}
