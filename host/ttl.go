package host

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"atoll"
	"atoll/node"
	"atoll/program/accounts"
	"atoll/program/shard"
	"atoll/route"
	"atoll/wire"
)

// Expiry says how documents whose time has come are deleted: those that hold, in
// the time-to-live field of their collection group, a timestamp that has passed.
// Zero values are defaults.
type Expiry struct {
	// Every is how often a database is looked at: about as long as a document
	// may outlive its time, if not too many do. 30 s.
	Every time.Duration
	// Rate is how many documents of one database are deleted each second at
	// most, so that those who use it hardly notice. 1,000.
	Rate int
	// Clock tells which timestamps have passed; time.Now if nil. Pauses are
	// measured by the real one.
	Clock func() time.Time
}

const (
	// expirePage is how many documents are found and deleted at once.
	expirePage = 100
	// scanPage and scanRate are for fields that are not indexed: how many
	// documents are looked at at once, and each second, in one database.
	scanPage = 500
	scanRate = 5000
	// scanRest is how many times as long as a look at all documents took
	// nothing is done before the next one.
	scanRest = 9
	// expireTime bounds one page.
	expireTime = 30 * time.Second
)

func (e Expiry) withDefaults() Expiry {
	if e.Every <= 0 {
		e.Every = 30 * time.Second
	}
	if e.Rate <= 0 {
		e.Rate = 1000
	}
	if e.Clock == nil {
		e.Clock = time.Now
	}
	return e
}

// Expired counts what became of documents whose time had come.
type Expired struct {
	Deleted uint64
	Kept    uint64 // they were changed while they were to be deleted
	Failed  uint64 // pages that could not be read or deleted; they are tried again
	// Lag is for how long the document that is overdue most has been there for
	// nothing, as of the last look at each database.
	Lag time.Duration
}

// Expired tells what was deleted since the installation was started.
func (h *Host) Expired() Expired {
	c := &h.sweeper.counts
	return Expired{c.deleted.Load(), c.kept.Load(), c.failed.Load(), time.Duration(c.lag.Load())}
}

// sweeper deletes documents whose time has come, as the administrator and by
// ordinary commits. All databases take turns of one page for each of their
// fields; each has a rate of its own. It keeps nothing that matters: what is
// not deleted when it stops is found again.
type sweeper struct {
	node   *node.Node
	router *route.Router
	opt    Expiry
	log    *slog.Logger
	counts struct {
		deleted, kept, failed atomic.Uint64
		lag                   atomic.Int64 // a time.Duration
	}
	// turns has one entry for each database. Only the goroutine of run uses it.
	turns map[atoll.Database]*turn
	stop  context.CancelFunc
	done  chan struct{}
}

// turn is what is known of one database between its turns.
type turn struct {
	due   time.Time
	lag   time.Duration
	scans map[fieldKey]*scan // of fields that are not indexed
}

// fieldKey names a field of a collection group.
type fieldKey struct{ collection, field string }

// administrator is in whose name documents expire.
var administrator = route.Caller{Principal: route.Administrator}

// startSweeper begins to delete, until close.
func startSweeper(n *node.Node, r *route.Router, opt Expiry, log *slog.Logger) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sweeper{node: n, router: r, opt: opt.withDefaults(), log: log, turns: map[atoll.Database]*turn{}, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
	return s
}

// close returns when no page is under way any more.
func (s *sweeper) close() {
	s.stop()
	<-s.done
}

// run gives every database its turns until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	var listed time.Time
	for {
		if now := time.Now(); listed.IsZero() || now.Sub(listed) >= s.opt.Every {
			if err := s.list(ctx); err != nil {
				s.fail(ctx, "looking for databases", err)
			}
			listed = now
		}
		next := listed.Add(s.opt.Every)
		for _, db := range slices.SortedFunc(maps.Keys(s.turns), compareDatabases) {
			t := s.turns[db]
			if !time.Now().Before(t.due) {
				pause, err := s.sweep(ctx, db, t)
				if err != nil {
					pause = s.opt.Every
					s.fail(ctx, "deleting expired documents of "+db.String(), err)
				}
				t.due = time.Now().Add(pause)
			}
			if t.due.Before(next) {
				next = t.due
			}
		}
		s.noteLag()
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
	}
}

func compareDatabases(a, b atoll.Database) int {
	return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.ID, b.ID))
}

func (s *sweeper) fail(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	s.counts.failed.Add(1)
	s.log.Warn(what, "error", err)
}

func (s *sweeper) noteLag() {
	var most time.Duration
	for _, t := range s.turns { // order does not matter
		most = max(most, t.lag)
	}
	s.counts.lag.Store(int64(most))
}

// list finds the databases that there are.
func (s *sweeper) list(ctx context.Context) error {
	found := map[atoll.Database]*turn{}
	req := accounts.ListRequest{Limit: 1000}
	for {
		raw, err := s.node.Query(ctx, Root, atoll.Question{Method: accounts.MethodList, Payload: wire.Marshal(req)})
		if err != nil {
			return err
		}
		var reply accounts.ListReply
		if err := wire.Unmarshal(raw, &reply); err != nil {
			return err
		}
		for _, e := range reply.Entries {
			req.After = e.Database
			if found[e.Database] = s.turns[e.Database]; found[e.Database] == nil {
				found[e.Database] = &turn{scans: map[fieldKey]*scan{}}
			}
		}
		if !reply.More {
			s.turns = found
			return nil
		}
	}
}

// sweep is one turn of a database: a page of each of its fields. It asks first
// which these are, so that a field that is no time-to-live field any more has
// no document deleted after the page at hand. It returns how long the database
// is to be left alone.
func (s *sweeper) sweep(ctx context.Context, db atoll.Database, t *turn) (pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, expireTime)
	defer cancel()
	set, err := s.router.Indexes(ctx, db, administrator)
	if err != nil {
		return 0, err
	}
	pause = s.opt.Every
	t.lag = 0
	var spent time.Duration
	scans := map[fieldKey]*scan{}
	for _, f := range set.Fields {
		if !f.TTL {
			continue
		}
		var p page
		switch {
		case f.Group && f.State == shard.IndexReady:
			p, err = s.pageByIndex(ctx, db, f.FieldIndex)
		case f.Off:
			key := fieldKey{f.Collection, f.Field}
			if scans[key] = t.scans[key]; scans[key] == nil {
				scans[key] = &scan{}
			}
			p, err = s.pageByScan(ctx, db, f.FieldIndex, scans[key])
		default: // its index is being built
			continue
		}
		if err != nil {
			return 0, err
		}
		if p.more {
			pause = 0
		}
		t.lag = max(t.lag, p.lag)
		spent += time.Duration(p.deleted)*time.Second/time.Duration(s.opt.Rate) + time.Duration(p.looked)*time.Second/scanRate
	}
	t.scans = scans
	return max(pause, spent), nil
}
