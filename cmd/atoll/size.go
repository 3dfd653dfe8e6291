package main

import (
	"fmt"
	"strconv"
	"strings"
)

// sizes are the units of parseSize, longest names first.
var sizes = []struct {
	unit  string
	bytes uint64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// parseSize reads a number of bytes with its unit, such as 256MiB.
func parseSize(text string) (uint64, error) {
	for _, s := range sizes {
		digits, ok := strings.CutSuffix(text, s.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
		if err != nil || n > (1<<62)/s.bytes {
			break
		}
		return n * s.bytes, nil
	}
	return 0, fmt.Errorf("%q is not a size such as 512MiB or 2GiB", text)
}
