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

// process is a server that the benchmark started, with its children.
type process struct {
	cmd    *exec.Cmd
	output string // the file that its standard output and error go to
	done   chan struct{}
}

// stopTimeout is how long a server may take to stop when asked; then it is
// killed.
const stopTimeout = 10 * time.Second

// startProcess starts program as a user (nil: the caller) with its output in
// output. It is stopped when ctx ends.
func startProcess(ctx context.Context, output string, as *syscall.Credential, program string, args ...string) (*process, error) {
	file, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Dir = filepath.Dir(output)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	// A server that has children ends them when it is told to stop, and cannot
	// when it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopTimeout
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

// errEnded is a server that does not stay.
var errEnded = errors.New("the server ended at once")

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
			return fmt.Errorf("%w%s", errEnded, p.lastOutput())
		case <-time.After(time.Millisecond):
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

// processorTime returns the user and system time that a process has used, with
// and without that of the children for which it has waited.
func processorTime(pid int) (own, withChildren time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	p, err := parseStat(string(stat))
	return p.own, p.own + p.children, err
}

// treeTime returns what the processes of a tree have used, those that have
// ended included. One that ends meanwhile counts for its parent.
func treeTime(pids []int) (total time.Duration, err error) {
	for i, pid := range pids {
		_, t, err := processorTime(pid)
		if err != nil && i == 0 { // others may end at any time
			return 0, err
		}
		total += t
	}
	return total, nil
}

// processStat is what is read of /proc/PID/stat.
type processStat struct {
	parent        int
	own, children time.Duration // processor time; of the children for which the process has waited
}

// parseStat reads fields 4 and 14 to 17 of /proc/PID/stat. The second field is
// the program's name, which may itself contain spaces and brackets.
func parseStat(stat string) (p processStat, err error) {
	_, rest := cutLast(stat, ")")
	fields := strings.Fields(rest) // from the third field on
	if len(fields) < 15 {
		return p, fmt.Errorf("/proc/PID/stat has %d fields after the name, want at least 15", len(fields))
	}
	var ticks [4]int64
	p.parent, err = strconv.Atoi(fields[1])
	for i, field := range fields[11:15] {
		n, e := strconv.ParseInt(field, 10, 64)
		ticks[i], err = n, errors.Join(err, e)
	}
	p.own = time.Duration(ticks[0]+ticks[1]) * tick
	p.children = time.Duration(ticks[2]+ticks[3]) * tick
	return p, err
}

// processTree returns a process and its descendants, itself first.
func processTree(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		children[p.parent] = append(children[p.parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
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

// residentSize returns the memory that the processes of a tree occupy, in
// bytes. What several share counts once: each has its share of it.
func residentSize(pids []int) (total int64, err error) {
	for i, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err == nil {
			var size int64
			size, err = parseKilobytes(string(text), "Pss:")
			total += size
		}
		if err != nil && i == 0 { // others may end at any time
			return 0, fmt.Errorf("the server's memory: %w", err)
		}
	}
	return total, nil
}

// parseKilobytes reads a line "name: n kB" of a file in /proc, in bytes.
func parseKilobytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		return kilobytes << 10, err
	}
	return 0, fmt.Errorf("there is no line %s in kB", name)
}
