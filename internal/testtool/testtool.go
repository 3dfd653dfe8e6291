// Package testtool finds the programs that some tests need besides Go.
package testtool

import (
	"os"
	"os/exec"
	"testing"
)

// RequireVar is the environment variable under which a missing tool fails a
// test instead of skipping it. "make test" sets it, having installed the tools.
const RequireVar = "ATOLL_REQUIRE_TOOLS"

// Need returns the path of the first of the named programs that is in PATH.
// If none is, the test is skipped with that reason, or fails under RequireVar.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if required(os.Getenv(RequireVar)) {
		t.Fatalf("needs one of %q in PATH, and %s is set; install it, or run plain \"go test\" to skip", names, RequireVar)
	}
	t.Skipf("needs one of %q in PATH; \"make test\" installs it", names)
	return ""
}

// required reads the value of RequireVar: anything but empty and 0 is yes.
func required(value string) bool { return value != "" && value != "0" }
