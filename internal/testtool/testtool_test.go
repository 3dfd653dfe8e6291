package testtool

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recorder is a testing.TB that remembers how Need ended.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }

func need(t *testing.T, names ...string) (r recorder, path string) {
	r.TB = t
	done := make(chan struct{})
	go func() {
		defer close(done)
		path = Need(&r, names...)
	}()
	<-done
	return r, path
}

func TestNeed(t *testing.T) {
	t.Setenv(RequireVar, "")
	if r, path := need(t, "no-such-tool-here", "go"); r.skipped || r.failed || !strings.HasPrefix(filepath.Base(path), "go") {
		t.Errorf("a tool that is there: path %q, skipped %v, failed %v", path, r.skipped, r.failed)
	}
	if r, _ := need(t, "no-such-tool-here"); !r.skipped || r.failed {
		t.Errorf("a missing tool: skipped %v, failed %v; want a skip", r.skipped, r.failed)
	}
	t.Setenv(RequireVar, "1")
	if r, _ := need(t, "no-such-tool-here"); r.skipped || !r.failed {
		t.Errorf("a missing tool that is required: skipped %v, failed %v; want a failure", r.skipped, r.failed)
	}
}
