package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that the benchmark started.
type process struct {
	cmd    *exec.Cmd
	output string // the file that its standard output and error go to
	done   chan struct{}
}

// stopTimeout is how long a server may take to stop when asked; then it is
// killed.
const stopTimeout = 10 * time.Second

// startProcess starts program with its output in output. It is killed when ctx
// ends.
func startProcess(ctx context.Context, output, program string, args ...string) (*process, error) {
	file, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Dir = filepath.Dir(output)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p := &process{cmd: cmd, output: output, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // a server that is told to stop need not exit with 0
		close(p.done)
	}()
	return p, nil
}

// pid is the id of the server's process.
func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the server to stop, and kills it if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// awaitListener waits until something accepts connections at address, for as
// long as the server lives and at most for timeout.
func (p *process) awaitListener(address string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return errors.New("the server ended at once" + p.lastOutput())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing listens on %s after %v%s", address, timeout, p.lastOutput())
		}
	}
}

// lastOutput is the end of what the server printed, for an error's text.
func (p *process) lastOutput() string {
	printed, err := os.ReadFile(p.output)
	printed = bytes.TrimSpace(printed)
	if err != nil || len(printed) == 0 {
		return ""
	}
	return "; it printed: " + string(printed[max(0, len(printed)-500):])
}

// freeAddress returns a loopback address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// tick is the unit of processor time in /proc: USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// processorTime returns the user and system time that a process has used.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessorTime(string(stat))
}

// parseProcessorTime reads fields 14 and 15 of /proc/PID/stat. The second field
// is the program's name, which may itself contain spaces and brackets.
func parseProcessorTime(stat string) (time.Duration, error) {
	_, rest := cutLast(stat, ")")
	fields := strings.Fields(rest) // from the third field on
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields after the name, want at least 13", len(fields))
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}

// cutLast splits s around the last sep; without one everything is before it.
func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}

// machineTime returns the processor time that the machine spent at work and in
// all, over all its cores.
func machineTime() (busy, total time.Duration, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseMachineTime(string(stat))
}

// parseMachineTime reads the first line of /proc/stat: "cpu", then user, nice,
// system, idle, iowait, irq, softirq, steal. What follows is contained in user.
func parseMachineTime(stat string) (busy, total time.Duration, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("the first line of /proc/stat is %q, want cpu and 8 numbers", line)
	}
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat: %w", err)
		}
		total += time.Duration(ticks) * tick
		if idle := i == 3 || i == 4; !idle {
			busy += time.Duration(ticks) * tick
		}
	}
	return busy, total, nil
}

// peakMemory returns the largest resident size that a process has had, in bytes.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parsePeakMemory(string(status))
}

// parsePeakMemory reads the line "VmHWM: n kB" of /proc/PID/status.
func parsePeakMemory(status string) (int64, error) {
	_, rest, _ := strings.Cut(status, "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/PID/status has no VmHWM in kB: %w", err)
	}
	return kilobytes << 10, nil
}
