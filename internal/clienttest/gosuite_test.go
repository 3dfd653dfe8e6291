package clienttest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"atoll/internal/testtool"
)

const (
	goClient  = "cloud.google.com/go/firestore"
	goSuite   = "TestIntegration_DefaultDB"
	goVerdict = "testdata/go-suite.txt"
)

// TestGoSuite runs the integration tests that are part of Google's own Go
// client, from a copy of its module, against a node. testdata/go-suite.txt
// says what becomes of each of them. It builds the client's tests, which takes
// a minute, and so runs only where testtool.RequireVar is set.
func TestGoSuite(t *testing.T) {
	if v := os.Getenv(testtool.RequireVar); v == "" || v == "0" {
		t.Skipf("runs if %s is set: it builds for a minute", testtool.RequireVar)
	}
	want := verdicts(t)
	suite := buildGoSuite(t)
	var listen []string
	for name, verdict := range want {
		if verdict == "listen" { // the client crashes on the refusal
			listen = append(listen, name)
		}
	}
	slices.Sort(listen)
	cmd := exec.CommandContext(t.Context(), suite, "-test.v", "-test.run", "^"+goSuite+"$", "-test.timeout", "8m",
		"-test.skip", "^"+goSuite+"$/^("+strings.Join(listen, "|")+")$")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "FIRESTORE_EMULATOR_HOST="+start(t), "GCLOUD_TESTS_GOLANG_FIRESTORE_PROJECT_ID=suite",
		"GCLOUD_TESTS_GOLANG_FIRESTORE_KEY="+serviceAccount(t))
	out, err := cmd.CombinedOutput() // fails if any of the tests does
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^    --- (PASS|FAIL|SKIP): `+goSuite+`/(\S+) `).FindAllSubmatch(out, -1) {
		got[string(m[2])] = strings.ToLower(string(m[1]))
	}
	wrong := len(got) == 0
	for name, verdict := range want {
		if got[name] != verdict && verdict != "listen" {
			t.Errorf("%s: %q; %s says %s", name, got[name], goVerdict, verdict)
			wrong = true
		}
	}
	for name, verdict := range got {
		if want[name] == "" {
			t.Errorf("%s: %s; %s does not list it", name, verdict, goVerdict)
		}
	}
	if wrong {
		t.Errorf("the suite ended with %v\n%s", err, out)
	}
}

// verdicts reads the list of subtests.
func verdicts(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(goVerdict))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if words := strings.Fields(line); len(words) == 2 {
			want[words[1]] = words[0]
		} else if len(words) > 0 {
			t.Fatalf("%s: %q is not a verdict and a name", goVerdict, line)
		}
	}
	return want
}

// buildGoSuite builds the client's tests in a copy of its module, with the
// replacements of this repository.
func buildGoSuite(t *testing.T) (binary string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "module")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(output(t, ".", "go", "list", "-m", "-f", "{{.Dir}}", goClient)))); err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal([]byte(output(t, filepath.Join("..", ".."), "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Replace {
		output(t, dir, "go", "mod", "edit", "-replace", r.Old.Path+"="+r.New.Path+"@"+r.New.Version)
	}
	binary = filepath.Join(dir, "suite")
	output(t, dir, "go", "test", "-mod=mod", "-c", "-o", binary, ".")
	return binary
}

// output runs a command and returns what it prints.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// serviceAccount writes the key file that the suite wants to see. Its key is
// made for this run, and nobody asks for it.
func serviceAccount(t *testing.T) (file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "suite", "client_email": "suite@localhost", "token_uri": "http://127.0.0.1:1/",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
