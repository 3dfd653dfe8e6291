package killtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// insideVar is set for a test that runs in a mount namespace of its own.
const insideVar = "ATOLL_KILLTEST_INSIDE"

// inNamespace runs the calling test again in a user and mount namespace of its
// own, where it may mount file systems that nobody else sees, and reports whether
// this is that run. It skips the test where the kernel does not allow it.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return true
	}
	bin, err := command()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), insideVar+"=1", commandVar+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		t.Skipf("no file system can be mounted here: %v", err)
	case errors.As(err, &exit):
		t.Errorf("%v\n%s", err, out)
	case err != nil:
		t.Fatal(err)
	default:
		t.Logf("\n%s", out)
	}
	return false
}

// mountSmall mounts a file system of a size, such as "64m", in memory.
func mountSmall(t testing.TB, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("small", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes a file until so many bytes are left on its file system.
func fill(t testing.TB, name string, leave uint64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		var s syscall.Statfs_t
		if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
			t.Fatal(err)
		}
		if s.Bavail*uint64(s.Bsize) <= leave {
			return
		}
		if _, err := f.Write(block); err != nil { // full: with less, to the last page
			block = block[:len(block)/2]
		}
	}
}

// TestFullFileSystem fills a real file system under the command: below its
// watermark, then to the last page, and kills it there.
func TestFullFileSystem(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	disk := mountSmall(t, "800m")
	ballast, dir, addr := filepath.Join(disk, "ballast"), filepath.Join(disk, "data"), freeAddress(t)
	room := func() { os.Remove(ballast) }
	ctx := within(t, 90*time.Second)
	p, err := start(ctx, t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(3, 8)
	work(ctx, t, l, p.connection, 200*time.Millisecond, nil)

	fill(t, ballast, 128<<20)
	eventually(t, "below the watermark", func() error { return refused(ctx, p.connection) })
	if err := l.check(ctx, p.connection, l.all()); err != nil {
		t.Fatalf("reads do not go on: %v", err)
	}
	room()
	eventually(t, "with room again", func() error { return write(ctx, p.connection) })

	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.run(working, p.connection) }()
	fill(t, ballast, 0)
	eventually(t, "on a full disk", func() error {
		if status.Code(write(ctx, p.connection)) == codes.OK {
			return errors.New("a write was taken")
		}
		return nil
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	room()
	eventually(t, "after the disk was full", func() error { return write(ctx, p.connection) })
	if err := l.check(ctx, p.connection, l.all()); err != nil {
		t.Fatal(err)
	}

	work(ctx, t, l, p.connection, 200*time.Millisecond, nil)
	fill(t, ballast, 0)
	p.kill()
	soon := within(t, 5*time.Second)
	if p, err = start(soon, t, dir, addr); err == nil {
		t.Log("it opens on a full disk")
		err = write(ctx, p.connection)
		p.kill()
	}
	if err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("on a full disk: %v", err)
	}
	room()
	if p, err = start(ctx, t, dir, addr); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(ctx, p.connection); err != nil {
		t.Error(err)
	}
	t.Log(l.stats)
}

// TestReadOnlyFileSystem starts the command on a data directory that cannot be
// written to: it says so and ends, and nothing is lost.
func TestReadOnlyFileSystem(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	disk := mountSmall(t, "800m")
	dir, addr := filepath.Join(disk, "data"), freeAddress(t)
	ctx := within(t, 90*time.Second)
	p, err := start(ctx, t, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(4, 8)
	work(ctx, t, l, p.connection, 200*time.Millisecond, nil)
	p.kill()
	if err := syscall.Mount("small", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err = start(within(t, 5*time.Second), t, dir, addr); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("on a read-only disk: %v", err)
	}
	if err := syscall.Mount("small", disk, "tmpfs", syscall.MS_REMOUNT, "size=800m"); err != nil {
		t.Fatal(err)
	}
	if p, err = start(ctx, t, dir, addr); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(ctx, p.connection); err != nil {
		t.Error(err)
	}
	t.Log(l.stats)
}
