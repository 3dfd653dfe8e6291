package docstest

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"atoll/internal/testtool"
)

// address is where README's node listens; the test gives it another port.
const address = "127.0.0.1:4943"

// README imports all of Go's API files, and asks of what some of them hold; the
// test imports these.
const (
	apiFiles = "/api/go1*.txt"
	apiFew   = "/api/go1.2[12].txt"
)

// TestQuickStart does what README's quick start says: it builds the binary,
// starts a node, runs every snippet that is marked as runnable, in order, and
// compares its output with the "text" that follows it. Then it kills the node
// and finds the document in the next one.
func TestQuickStart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and Google's client; not in -short")
	}
	dir := t.TempDir()
	build(t, filepath.Join(dir, "bin", "atoll"))
	free := freeAddress(t)
	env := append(os.Environ(), "FIRESTORE_EMULATOR_HOST="+free)
	node := start(t, dir, free)

	all := snippets(t, "README.md")
	ran := 0
	for i, s := range all {
		if !s.run {
			continue
		}
		ran++
		text := strings.NewReplacer(address, free, apiFiles, apiFew).Replace(s.text)
		if strings.Contains(text, "atoll import") { // again, which is to change nothing
			run(t, s, text, dir, env)
		}
		out := run(t, s, text, dir, env)
		if i+1 < len(all) && all[i+1].lang == "text" && out != all[i+1].text {
			t.Errorf("README.md:%d printed\n%swhich differs from\n%s", s.line, out, all[i+1].text)
		}
	}
	if ran < 6 {
		t.Fatalf("README.md has %d runnable snippets; they have not been read", ran)
	}
	t.Run("console", func(t *testing.T) { testConsole(t, dir, free, env) })

	before := get(t, dir, env)
	if err := node.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	node.Wait() // with the error that it was killed
	start(t, dir, free)
	if after := get(t, dir, env); after != before || !strings.Contains(after, "Lisbon") {
		t.Errorf("after a kill the document is\n%sbefore it was\n%s", after, before)
	}
}

// consoleLink finds README's links into the console.
var consoleLink = regexp.MustCompile(`\]\(http://` + regexp.QuoteMeta(address) + `(/#[^)]*)\)`)

// testConsole signs a browser in, follows README's link into the console and
// finds there what Google's client found.
func testConsole(t *testing.T, dir, listen string, env []string) {
	browser := testtool.Need(t, "chromium", "chromium-browser", "google-chrome")
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := consoleLink.FindAllStringSubmatch(string(readme), -1)
	if len(links) != 1 {
		t.Fatalf("README.md has %d links into the console; one is expected", len(links))
	}
	cmd := exec.Command(filepath.Join(dir, "bin", "atoll"), "console", "--addr", listen)
	cmd.Dir, cmd.Env = dir, env
	printed, err := cmd.Output()
	login := regexp.MustCompile(`http://\S+`).Find(printed)
	if err != nil || login == nil {
		t.Fatalf("atoll console: %v\n%s", err, printed)
	}
	profile := t.TempDir() // keeps the session
	open := func(page string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// The page's time runs while it waits for nobody, and then ends at once.
		cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
			"--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
			"--virtual-time-budget=10000", "--user-data-dir="+profile, "--dump-dom", page)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", browser, err)
		}
		return string(out)
	}
	open(string(login))
	page := open("http://" + listen + links[0][1])
	for _, want := range []string{"FileServerFS", "SetPathValue"} {
		if !strings.Contains(page, want) {
			t.Errorf("the console does not show %s:\n%s", want, page)
		}
	}
}

func build(t *testing.T, to string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, "./cmd/atoll")
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

// freeAddress returns a loopback address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs README's node in dir until the end of the test, and returns when
// it is healthy.
func start(t *testing.T, dir, listen string) *exec.Cmd {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(dir, "bin", "atoll"), "dev", "--listen", listen, "--data", "./.atoll")
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // an error means that it has ended
		cmd.Wait()
		if t.Failed() {
			t.Logf("the node said:\n%s", log.Bytes())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + listen + "/healthz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return cmd
			}
		}
	}
	t.Fatal("the node was not healthy within 30 seconds")
	return nil
}

// run executes one snippet and returns what it printed.
func run(t *testing.T, s snippet, text, dir string, env []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var cmd *exec.Cmd
	switch s.lang {
	case "sh":
		cmd = exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
		cmd.Dir = dir
	case "go":
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// In the repository, so that its go.mod names the client's version.
		cmd = exec.CommandContext(ctx, "go", "run", file)
		cmd.Dir = repository
	default:
		t.Fatalf("README.md:%d: cannot run %q", s.line, s.lang)
	}
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("README.md:%d: %v\n%s%s", s.line, err, out, stderr.Bytes())
	}
	return string(out)
}

// get returns the document of the quick start, by the command line.
func get(t *testing.T, dir string, env []string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "bin", "atoll"), "get", "cities/lisbon")
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("atoll get: %v\n%s", err, out)
	}
	return string(out)
}
