package main

import (
	"errors"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// The program's name may hold anything, even what looks like the end of it.
	stat := "4711 (a b) R 1) S 1 4711 4711 0 -1 4194560 900 0 3 0 250 130 7 8 20 0 9 0 12345 1000 200"
	got, err := parseStat(stat)
	if want := (processStat{parent: 1, own: 3800 * time.Millisecond, children: 150 * time.Millisecond}); err != nil || got != want {
		t.Errorf("parseStat = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2 3", "1 (x) S 1 2 3 4 5 6 7 8 9 10 eleven 12 13 14"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestParseMachineTime(t *testing.T) {
	busy, total, err := parseMachineTime("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
	if wantBusy, wantTotal := 81*tick, 531*tick; err != nil || busy != wantBusy || total != wantTotal {
		t.Errorf("parseMachineTime = %v, %v, %v, want %v, %v", busy, total, err, wantBusy, wantTotal)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu 1 2 3 four 5 6 7 8"} {
		if _, _, err := parseMachineTime(bad); err == nil {
			t.Errorf("parseMachineTime(%q) gives no error", bad)
		}
	}
}

func TestParseKilobytes(t *testing.T) {
	got, err := parseKilobytes("00400000-7fff rollup\nRss:\t  999 kB\nPss:\t   2048 kB\nPss_Dirty:\t 100 kB\n", "Pss:")
	if err != nil || got != 2<<20 {
		t.Errorf("parseKilobytes = %d, %v, want %d", got, err, 2<<20)
	}
	for _, bad := range []string{"Rss:\t 1 kB\n", "Pss: many kB\n"} {
		if got, err := parseKilobytes(bad, "Pss:"); err == nil {
			t.Errorf("parseKilobytes(%q) = %d, want an error", bad, got)
		}
	}
}

// TestUsageCountsChildren: a server's work is that of all its processes, those
// that have ended included.
func TestUsageCountsChildren(t *testing.T) {
	const work = `spin() { i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; }; (spin) & wait; (spin; echo done; read x); read x`
	cmd := exec.Command("sh", "-c", work)
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // with whatever the shell makes of the end of its input
	defer stdin.Close()
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	tree, err := processTree(cmd.Process.Pid)
	if err != nil || len(tree) != 2 {
		t.Fatalf("the tree is %v, %v, want a shell and its child", tree, err)
	}
	u, err := readUsage(cmd.Process.Pid)
	if err != nil || u.total < u.busy || u.busy == 0 {
		t.Errorf("readUsage = %+v, %v", u, err)
	}
	_, ended, err := processorTime(tree[0])
	live, _, liveErr := processorTime(tree[1])
	if err := errors.Join(err, liveErr); err != nil || ended == 0 || live == 0 || u.server < ended+live {
		t.Errorf("%v of the tree, want at least %v of the ended child and %v of the live one (%v)", u.server, ended, live, err)
	}
	one, oneErr := residentSize(tree[:1])
	both, bothErr := residentSize(tree)
	if err := errors.Join(oneErr, bothErr); err != nil || one == 0 || both <= one {
		t.Errorf("the shell has %d bytes and with its child %d (%v)", one, both, err)
	}
}
