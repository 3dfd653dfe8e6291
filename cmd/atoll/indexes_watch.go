package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"atoll"
	"atoll/gateway/indexes"
	"atoll/host"
	"atoll/route"
)

const (
	// watchEvery is how often a file of indexes is looked at.
	watchEvery = 500 * time.Millisecond
	// applyTime bounds one attempt to set indexes.
	applyTime = 30 * time.Second
)

const indexesFlagHelp = "`file` firestore.indexes.json whose indexes the database $GOOGLE_CLOUD_PROJECT (or demo) gets, now and whenever it changes; " +
	"PROJECT=FILE and PROJECT/DATABASE=FILE name another. May be given several times"

// indexFile is a file that says what the indexes of a database are.
type indexFile struct {
	db   atoll.Database
	name string
	seen os.FileInfo // when it was read last; nil: never
}

// parseIndexFlag reads the value of --indexes.
func parseIndexFlag(text string) (*indexFile, error) {
	f := &indexFile{db: atoll.Database{Project: firstOf(os.Getenv("GOOGLE_CLOUD_PROJECT"), "demo"), ID: atoll.DefaultDatabase}, name: text}
	if db, name, ok := strings.Cut(text, "="); ok {
		f.name = name
		project, id, named := strings.Cut(db, "/")
		if f.db.Project = project; named {
			f.db.ID = id
		}
	}
	if f.name == "" {
		return nil, usageError{"--indexes names no file"}
	}
	if err := f.db.Check(); err != nil {
		return nil, usageError{"--indexes: " + atoll.AsError(err).Msg}
	}
	return f, nil
}

// changed reports whether the file is another than the one that was read last.
func (f *indexFile) changed() (os.FileInfo, bool) {
	now, err := os.Stat(f.name)
	if err != nil {
		return nil, false // it is being replaced, or gone: what was set stays
	}
	return now, f.seen == nil || !now.ModTime().Equal(f.seen.ModTime()) || now.Size() != f.seen.Size()
}

// apply sets the indexes that the file has now.
func (f *indexFile) apply(ctx context.Context, h *host.Host, log *slog.Logger) error {
	now, _ := f.changed()
	file, err := readIndexFile(f.name, nil)
	if err != nil {
		f.seen = now
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTime)
	defer cancel()
	who := route.Caller{Principal: route.Administrator}
	set, err := h.Router.Indexes(ctx, f.db, who)
	if err != nil {
		return err
	}
	// A configuration that is there already is left alone: setting it would
	// be a change to all shards.
	if !indexes.FileOf(set).Same(file) || set.Problem != "" {
		if _, err := h.Router.SetIndexes(ctx, f.db, file.Config(), who); err != nil {
			return err
		}
	}
	f.seen = now
	log.Info("the indexes are set", "file", f.name, "database", f.db.String(), "composites", len(file.Indexes), "overrides", len(file.Overrides))
	return nil
}

// keepIndexes sets the indexes of files, now and whenever these change, until
// ctx ends or the function that it returns is called. It fails if one of them
// cannot be set now.
func keepIndexes(ctx context.Context, files []*indexFile, h *host.Host, log *slog.Logger) (end func(), err error) {
	for _, f := range files {
		if err := f.apply(ctx, h, log); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	if len(files) > 0 {
		watching.Go(func() { watchIndexes(ctx, files, h, log) })
	}
	return func() { cancel(); watching.Wait() }, nil
}

// watchIndexes sets the indexes of files whenever these change, until ctx ends.
// A file that cannot be used is told of once, and changes nothing.
func watchIndexes(ctx context.Context, files []*indexFile, h *host.Host, log *slog.Logger) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, f := range files {
			if _, changed := f.changed(); !changed {
				continue
			}
			if err := f.apply(ctx, h, log); err != nil && ctx.Err() == nil {
				log.Error("the indexes were not set; the ones before stay", "file", f.name, "error", err)
			}
		}
	}
}

// registerExpiry has the registry collect what became of documents whose
// time-to-live has passed.
func registerExpiry(registry *prometheus.Registry, h *host.Host) {
	for name, of := range map[string]struct {
		help string
		read func(host.Expired) uint64
	}{
		"deleted_total": {"Documents deleted because their time-to-live had passed.", func(e host.Expired) uint64 { return e.Deleted }},
		"kept_total":    {"Documents that were changed when they were about to expire, and stayed.", func(e host.Expired) uint64 { return e.Kept }},
		"failed_total":  {"Attempts to find or delete expired documents that failed; they are repeated.", func(e host.Expired) uint64 { return e.Failed }},
	} {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "atoll", Subsystem: "ttl", Name: name, Help: of.help},
			func() float64 { return float64(of.read(h.Expired())) }))
	}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "atoll", Subsystem: "ttl", Name: "lag_seconds", Help: "For how long the document that is overdue most has been waiting to be deleted.",
	}, func() float64 { return h.Expired().Lag.Seconds() }))
}
