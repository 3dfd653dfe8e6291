package main

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/account"
	"atoll/host"
)

// nodeFlags are the flags of every command that runs a node.
type nodeFlags struct {
	data, cache, minFree string
	subnets              int
	retention            time.Duration
	logLevel             string
	logJSON              bool
	budgets              account.Budgets
	ttlEvery             time.Duration
	ttlRate              int
}

func (f *nodeFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", defaultData, "`directory` that holds all data; made if it is not there")
	fl.IntVar(&f.subnets, "subnets", 0, "`number` of logs over which new databases are spread; 0: as many as the data has, or 1")
	fl.StringVar(&f.cache, "cache", "256MiB", "memory for stored blocks, as a `size`")
	fl.StringVar(&f.minFree, "min-free", "256MiB", "free disk space, as a `size`, below which writes are refused")
	fl.DurationVar(&f.retention, "retention", host.DefaultRetention.Versions, "`time` for which old versions of documents can be read")
	fl.DurationVar(&f.ttlEvery, "ttl-every", 30*time.Second, "`time` after which documents whose time-to-live has passed are looked for again")
	fl.IntVar(&f.ttlRate, "ttl-rate", 1000, "documents, a `number`, that expire each second in one database at most")
	b := account.DefaultBudgets
	fl.IntVar(&f.budgets.Keys, account.KeysFlag, b.Keys, "index entries and versions, a `number`, that one query may read; 0: any")
	fl.IntVar(&f.budgets.Documents, account.DocumentsFlag, b.Documents, "documents, a `number`, that one query may read; 0: any")
	fl.DurationVar(&f.budgets.Time, account.TimeFlag, b.Time, "`time` that one query may take; 0: as long as any request")
	fl.IntVar(&f.budgets.CallerKeys, account.CallerKeysFlag, b.CallerKeys, "keys, a `number`, that one caller may read in a minute; 0: any")
	fl.StringVar(&f.logLevel, "log-level", "info", "`level` from which messages are logged: debug, info, warn or error")
	fl.BoolVar(&f.logJSON, "log-json", false, "log as JSON")
}

// options reads the flags.
func (f *nodeFlags) options(stderr io.Writer) (host.Options, error) {
	opt := host.Options{Dir: f.data, Retention: host.DefaultRetention}
	cache, err := parseSize(f.cache)
	if err != nil {
		return opt, usageError{"--cache: " + err.Error()}
	}
	if opt.MinFree, err = parseSize(f.minFree); err != nil {
		return opt, usageError{"--min-free: " + err.Error()}
	}
	opt.CacheBytes = int64(cache)
	if err := f.budgets.Check(); err != nil {
		return opt, usageError{"--query-... and --caller-keys: " + atoll.AsError(err).Msg}
	}
	if f.retention < time.Minute {
		return opt, usageError{fmt.Sprintf("--retention %s is below one minute", f.retention)}
	}
	opt.Retention.Versions = f.retention
	if f.ttlEvery < 100*time.Millisecond || f.ttlRate < 1 {
		return opt, usageError{fmt.Sprintf("--ttl-every %s and --ttl-rate %d must be at least 100ms and 1", f.ttlEvery, f.ttlRate)}
	}
	opt.Expiry = host.Expiry{Every: f.ttlEvery, Rate: f.ttlRate}
	opt.Retention.Latest = max(opt.Retention.Latest, f.retention)
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return opt, usageError{fmt.Sprintf("--log-level %q is not debug, info, warn or error", f.logLevel)}
	}
	var handler slog.Handler = slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})
	if f.logJSON {
		handler = slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level})
	}
	opt.Log = slog.New(handler)
	if f.data == "" {
		return opt, usageError{"--data is empty"}
	}
	opt.Subnets, err = subnetsFor(f.data, f.subnets)
	return opt, err
}
