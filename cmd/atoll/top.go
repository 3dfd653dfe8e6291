package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/account"
)

// topFlags are the flags of "atoll top".
type topFlags struct {
	operator
	sort, database string
	limit          int
	every          time.Duration
	once, asJSON   bool
}

func topCommand() *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show which requests cost a node most",
		Long: `top shows the requests that clients make, by their shape: the method, and what is
asked of which collections with ? for every value. LOAD is what they cost of late,
in thousandths of a processor, estimated from what was read and written; P50 and
P99 are times; KEYS and DOCS are what one request reads on average.

On a terminal the table is written anew every --every; keys and Enter sort it
(l load, n number, e errors, k keys, d documents, p p99, m max, t time), and q ends
it. --once writes it once, --json writes the whole account as one line of JSON.

` + connectionHelp + `
On the machine of the node the operator's door (--addr) and the token in the data
directory (--data) do as well.`,
		Example: `  atoll top
  atoll top --once --sort keys --limit 5
  atoll top --json | jq '.shapes[] | select(.errors > 0)'`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.connection.flags(cmd)
	f.dataFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.sort, "sort", "load", "`figure` to sort by: "+strings.Join(account.Orders(), ", "))
	fl.StringVar(&f.database, "of", "", "show one database alone, by its full `name`: projects/P/databases/D")
	fl.IntVar(&f.limit, "limit", 20, "at most this `number` of shapes")
	fl.DurationVar(&f.every, "every", 2*time.Second, "`time` between two tables")
	fl.BoolVar(&f.once, "once", false, "write the table once")
	fl.BoolVar(&f.asJSON, "json", false, "answer with one line of JSON, once")
	return cmd
}

func (f *topFlags) run(cmd *cobra.Command) error {
	if f.every < 100*time.Millisecond {
		return usageError{"--every is at least 100ms"}
	}
	if f.once || f.asJSON || !isTerminal(cmd.OutOrStdout()) {
		r, err := f.fetch(cmd.Context())
		if err != nil {
			return err
		}
		if f.asJSON {
			return writeLine(cmd.OutOrStdout(), r)
		}
		width := anyWidth
		if isTerminal(cmd.OutOrStdout()) {
			width, _ = terminalSize()
		}
		_, err = io.WriteString(cmd.OutOrStdout(), topTable(&r, f.sort, width, f.limit))
		return err
	}
	return f.live(cmd)
}

// fetch asks the node once.
func (f *topFlags) fetch(ctx context.Context) (account.Report, error) {
	var r account.Report
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	res, err := f.open(ctx, http.MethodGet, "/v1/top", url.Values{
		"sort": {f.sort}, "limit": {strconv.Itoa(f.limit)}, "database": {f.database},
	})
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		return r, atoll.Errorf(atoll.Unavailable, "the node's answer cannot be read: %v", err)
	}
	return r, nil
}

// sortKeys are the keys by which a live table is sorted.
var sortKeys = map[rune]string{'l': "load", 'c': "cost", 'n': "count", 'e': "errors", 'k': "keys", 'd': "read", 'p': "p99", 'm': "max", 't': "time"}

// live writes tables until ctx ends, or q is pressed.
func (f *topFlags) live(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	defer singleKeys()()
	keys := readKeys(cmd.Context(), cmd.InOrStdin())
	if _, err := io.WriteString(out, "\x1b[2J"); err != nil {
		return err
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		r, err := f.fetch(cmd.Context())
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil && atoll.KindOf(err) != atoll.Unavailable {
			return err
		}
		width, height := terminalSize()
		text := topTable(&r, f.sort, width, max(height-8, 1))
		if err != nil {
			text = "atoll top waits for the node: " + atoll.AsError(err).Msg + "\n"
		}
		// Home, then every line with what follows it erased, then the rest.
		if _, err := io.WriteString(out, "\x1b[H"+strings.ReplaceAll(text, "\n", "\x1b[K\n")+"\x1b[J"); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-tick.C:
		case key := <-keys:
			if key == 'q' {
				return nil
			}
			if by, ok := sortKeys[key]; ok {
				f.sort = by
			}
		}
	}
}

// readKeys passes on what is typed. Its goroutine ends with the input, or with
// the process.
func readKeys(ctx context.Context, in io.Reader) <-chan rune {
	keys := make(chan rune)
	go func() {
		for r := bufio.NewReader(in); ; {
			key, _, err := r.ReadRune()
			if err != nil {
				return
			}
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
	}()
	return keys
}

const (
	defaultWidth  = 80
	defaultHeight = 24
	anyWidth      = 1 << 20 // for files and other programs
)

// terminalSize returns the size of the terminal in characters, as stty(1) knows
// it, or a usual one.
func terminalSize() (width, height int) {
	cmd := exec.Command("stty", "size")
	cmd.Stdin = os.Stdin
	out, err := cmd.Output()
	if err == nil {
		if _, err := fmt.Sscan(string(out), &height, &width); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return defaultWidth, defaultHeight
}

// singleKeys has the terminal pass on every key at once, and returns a function
// that takes it back. Without a terminal both do nothing; then, as where there
// is no stty(1), keys are read when Enter was pressed.
func singleKeys() (restore func()) {
	stty := func(args ...string) (string, error) {
		cmd := exec.Command("stty", args...)
		cmd.Stdin = os.Stdin
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	before, err := stty("-g")
	if err != nil {
		return func() {}
	}
	if _, err := stty("-icanon", "-echo", "min", "1"); err != nil {
		return func() {}
	}
	return func() { stty(before) } // an error leaves a terminal that "reset" mends
}

// topTable writes a report as a table of at most so many shapes, whose lines are
// no wider than width.
func topTable(r *account.Report, by string, width, limit int) string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(clipWidth(fmt.Sprintf(format, args...), width) + "\n") }
	up := time.Duration(r.Now-r.Started) * time.Millisecond
	line("%s requests, %s failed, in %s; load %s; %s keys, %s documents read, %s written",
		short(float64(r.Total.Count)), short(float64(r.Total.Errors)), up.Round(time.Second), load(r.Load),
		short(float64(r.Total.Keys)), short(float64(r.Total.DocumentsRead)), short(float64(r.Total.DocumentsWritten)))
	over := uint64(0)
	for _, n := range r.OverBudget { // a sum: the order does not matter
		over += n
	}
	line("%d of %d shapes kept, %s forgotten; %s over budget; by %s", r.Tracked, r.Limit, short(float64(r.Evicted)), short(float64(over)), by)
	line("")
	line("%6s %6s %5s %6s %6s %6s %6s %s", "LOAD", "COUNT", "ERR", "P50", "P99", "KEYS", "DOCS", "REQUEST")
	for i := range r.Shapes[:min(len(r.Shapes), limit)] {
		s := &r.Shapes[i]
		n := float64(max(s.Count, 1))
		line("%6s %6s %5s %6s %6s %6s %6s %s", load(s.Load), short(float64(s.Count)), short(float64(s.Errors)),
			micros(s.P50Micros), micros(s.P99Micros), short(float64(s.Keys)/n), short(float64(s.DocumentsRead)/n), s.Method+" "+s.Text)
	}
	return b.String()
}

// load writes a load in thousandths of a processor: it is in microseconds a
// second.
func load(l float64) string { return short(l / 1000) }

// micros writes a time in at most six characters.
func micros(us int64) string {
	switch {
	case us < 1000:
		return strconv.FormatInt(us, 10) + "us"
	case us < 1_000_000:
		return short(float64(us)/1000) + "ms"
	}
	return short(float64(us)/1e6) + "s"
}

// short writes a number in at most five characters.
func short(n float64) string {
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		switch {
		case n < 9.95 && n != float64(int64(n)):
			return strconv.FormatFloat(n, 'f', 1, 64) + unit
		case n < 999.5:
			return strconv.FormatFloat(n, 'f', 0, 64) + unit
		}
		n /= 1000
	}
	return "a lot"
}

// clipWidth cuts a line to a width.
func clipWidth(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width-1, 0)]) + "…"
}

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
