package main

import (
	"os"
	"testing"
	"time"
)

func TestParseProcessorTime(t *testing.T) {
	// The program's name may hold anything, even what looks like the end of it.
	stat := "4711 (a b) R 1) S 1 4711 4711 0 -1 4194560 900 0 3 0 250 130 7 8 20 0 9 0 12345 1000 200"
	got, err := parseProcessorTime(stat)
	if want := 3800 * time.Millisecond; err != nil || got != want {
		t.Errorf("parseProcessorTime = %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2 3", "1 (x) S 1 2 3 4 5 6 7 8 9 10 eleven 12 13"} {
		if got, err := parseProcessorTime(bad); err == nil {
			t.Errorf("parseProcessorTime(%q) = %v, want an error", bad, got)
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

func TestParsePeakMemory(t *testing.T) {
	got, err := parsePeakMemory("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 100 kB\n")
	if err != nil || got != 2<<20 {
		t.Errorf("parsePeakMemory = %d, %v, want %d", got, err, 2<<20)
	}
	if got, err := parsePeakMemory("Name:\tx\n"); err == nil {
		t.Errorf("parsePeakMemory without VmHWM = %d, want an error", got)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := readUsage(os.Getpid())
	if err != nil || u.peakMemory == 0 || u.total < u.busy || u.busy == 0 {
		t.Errorf("readUsage = %+v, %v", u, err)
	}
}
