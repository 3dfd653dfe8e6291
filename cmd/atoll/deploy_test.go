package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const deployDir = "../../deploy"

// flagsOf checks that a command line is one of this command, with its flags.
func flagsOf(t *testing.T, line []string) {
	t.Helper()
	cmd, rest, err := command().Find(line)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || !cmd.HasParent() {
		t.Errorf("%q is no command line of atoll: %v", line, err)
	}
}

// TestUnit reads the unit of systemd: its command line is understood, and what
// keeps the service in its place is there.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployDir, "atoll.service"))
	if err != nil {
		t.Fatal(err)
	}
	var start string
	lines := strings.Split(string(text), "\n")
	for _, l := range lines {
		if s, ok := strings.CutPrefix(l, "ExecStart=/usr/local/bin/atoll "); ok {
			start = s
		}
	}
	flagsOf(t, strings.Fields(start))
	for _, want := range []string{
		"Type=notify", "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "StateDirectory=atoll",
		"LimitNOFILE=65536", "PrivateTmp=yes", "CapabilityBoundingSet=", "ProtectHome=yes",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the unit lacks %s", want)
		}
	}
	// The Wasm compiler of canisters will need memory that is first written and then run.
	if strings.Contains(string(text), "MemoryDenyWriteExecute") {
		t.Error("the unit forbids what compiled programs need")
	}
	verifyUnit(t, string(text))
}

// verifyUnit has systemd read the unit, where it is installed.
func verifyUnit(t *testing.T, text string) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not installed: the unit was only read as text")
		return
	}
	self, err := os.Executable() // a program that is there
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "atoll.service")
	if err := os.WriteFile(name, []byte(strings.Replace(text, "/usr/local/bin/atoll ", self+" ", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "verify", name).CombinedOutput(); err != nil || strings.Contains(string(out), "atoll.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestContainerfile reads the recipe of the container: the program stands alone,
// runs as nobody, and is asked for its health in words that it understands.
func TestContainerfile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployDir, "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	words := func(instruction string) (list []string) {
		m := regexp.MustCompile(`(?m)^` + instruction + `[^\[\n]*(\[.*\])$`).FindSubmatch(text)
		if m == nil || json.Unmarshal(m[1], &list) != nil {
			t.Fatalf("there is no %s as a list", instruction)
		}
		return list
	}
	if e := words("ENTRYPOINT"); !slices.Equal(e, []string{"/atoll"}) {
		t.Errorf("ENTRYPOINT %q", e)
	}
	flagsOf(t, words("CMD"))
	check := words("HEALTHCHECK")
	if check[0] != "/atoll" {
		t.Errorf("HEALTHCHECK %q", check)
	}
	flagsOf(t, check[1:])
	for _, want := range []string{"\nFROM scratch\n", "\nUSER 65532:65532\n", "CGO_ENABLED=0", "\nSTOPSIGNAL SIGTERM\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the recipe lacks %q", strings.TrimSpace(want))
		}
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	if !strings.Contains(string(text), "golang:"+string(version[1])+" ") {
		t.Errorf("the recipe builds with another Go than %s of go.mod", version[1])
	}
}
