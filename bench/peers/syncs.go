package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tracedCreates is how many creates, one after the other, are made while a
// server's system calls are watched.
const tracedCreates = 10

// syncCall matches the start of a sync in strace's output; the lines on which
// an interrupted call resumes do not match, so that each call counts once.
var syncCall = regexp.MustCompile(`\bf(data)?sync\(`)

// countSyncs makes tracedCreates creates and returns how many fsync and
// fdatasync calls the server made meanwhile. A server that waits for the disk
// before each acknowledgement makes at least as many. It needs strace and the
// right to trace; without them it returns an error that says so.
func countSyncs(ctx context.Context, conn connection, s *source, pid int, dir string) (int, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return 0, errors.New("strace is not installed")
	}
	output := filepath.Join(dir, "strace.out")
	tree, err := processTree(pid)
	if err != nil {
		return 0, err
	}
	args := []string{"-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", output}
	for _, pid := range tree {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	tracer, err := startProcess(ctx, filepath.Join(dir, "strace.log"), nil, strace, args...)
	if err != nil {
		return 0, err
	}
	defer tracer.stop()
	if err := awaitTracer(tracer, tree); err != nil {
		return 0, err
	}
	for range tracedCreates {
		if err := conn.do(ctx, workloadCreate, s); err != nil {
			return 0, err
		}
	}
	if err := tracer.cmd.Process.Signal(syscall.SIGINT); err != nil { // detaches
		return 0, err
	}
	<-tracer.done
	trace, err := os.ReadFile(output)
	if err != nil {
		return 0, err
	}
	return len(syncCall.FindAll(trace, -1)), nil
}

// awaitTracer waits until every thread of the processes is traced.
func awaitTracer(tracer *process, pids []int) error {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if !slices.ContainsFunc(pids, func(pid int) bool { return !everyThreadTraced(pid) }) {
			return nil
		}
		select {
		case <-tracer.done:
			return fmt.Errorf("strace may not trace%s", tracer.lastOutput())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("strace did not attach within 5 s")
}

func everyThreadTraced(pid int) bool {
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(statuses) == 0 {
		return false
	}
	for _, status := range statuses {
		text, err := os.ReadFile(status)
		if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return true
}
