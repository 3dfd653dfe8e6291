package firestore

import (
	"bytes"
	"container/list"
	"encoding/json"
	"math"
	"os"
	"sync"
	"time"

	"atoll"
)

// Rate bounds how much of something may happen. The zero value does not.
type Rate struct {
	PerSecond float64 `json:"perSecond"`
	Burst     float64 `json:"burst"` // at once, after a pause; at least PerSecond if less
}

// top is the most that can be had at once.
func (r Rate) top() float64 { return max(r.Burst, r.PerSecond, 1) }

// Quota bounds one caller, or one database.
type Quota struct {
	Requests Rate `json:"requests"` // requests; in a stream, messages received
	Bytes    Rate `json:"bytes"`    // bytes of messages, both ways
}

// Quotas bound what is asked of a node.
type Quotas struct {
	// Caller is for everybody who signed in, and for each address of those who
	// did not.
	Caller Quota `json:"caller"`
	// Database is for what all callers together ask of one database. Only who
	// is let in counts: a stranger cannot use it up.
	Database Quota `json:"database"`
	// Tracked is how many callers, and how many databases, are kept account
	// of. Above, the one that was idle for longest is forgotten.
	Tracked int `json:"tracked"`
}

// DefaultQuotas are those of a node that is told nothing else: far above what
// one well-behaved client asks for, and below what one machine does.
var DefaultQuotas = Quotas{
	Caller:   Quota{Requests: Rate{10_000, 20_000}, Bytes: Rate{64 << 20, 128 << 20}},
	Database: Quota{Requests: Rate{50_000, 100_000}, Bytes: Rate{256 << 20, 512 << 20}},
	Tracked:  10_000,
}

// maxTracked bounds Quotas.Tracked: about 200 bytes each.
const maxTracked = 1_000_000

// ReadQuotas reads a file of JSON; what it does not name is as in
// DefaultQuotas. It fails with Invalid, saying what is wrong.
func ReadQuotas(name string) (Quotas, error) {
	q := DefaultQuotas
	text, err := os.ReadFile(name)
	if err != nil {
		return q, atoll.Errorf(atoll.Invalid, "cannot read the quotas: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, atoll.Errorf(atoll.Invalid, "%s holds no quotas: %v", name, err)
	}
	return q, q.Check()
}

// Check fails with Invalid if a number makes no sense.
func (q Quotas) Check() error {
	for _, r := range []Rate{q.Caller.Requests, q.Caller.Bytes, q.Database.Requests, q.Database.Bytes} {
		if !(r.PerSecond >= 0 && r.Burst >= 0) || math.IsInf(r.PerSecond, 0) || math.IsInf(r.Burst, 0) {
			return atoll.Errorf(atoll.Invalid, "a quota is %v per second with bursts of %v; both must be 0 or more", r.PerSecond, r.Burst)
		}
	}
	if q.Tracked < 1 || q.Tracked > maxTracked {
		return atoll.Errorf(atoll.Invalid, "the quotas track %d callers; 1 to %d are allowed", q.Tracked, maxTracked)
	}
	return nil
}

// bucket holds what may be spent now, and fills up with time. It can be
// overdrawn: what an answer costs is known when it is there. That, and asking
// two buckets at once, is why it is not one of a library.
type bucket struct {
	level float64
	at    time.Time
}

// fill brings a bucket up to date.
func (b *bucket) fill(r Rate, now time.Time) {
	top := r.top()
	if b.at.IsZero() {
		b.level = top
	} else if d := now.Sub(b.at); d > 0 {
		b.level = min(top, b.level+d.Seconds()*r.PerSecond)
	}
	b.at = now
}

// wait is how long it takes until n are there.
func (b *bucket) wait(r Rate, n float64) time.Duration {
	if r.PerSecond == 0 || b.level >= n {
		return 0
	}
	return time.Duration((n - b.level) / r.PerSecond * float64(time.Second))
}

// balance is what one caller or database has left.
type balance struct {
	who             string
	requests, bytes bucket
}

// accounts are those that were used last, at most limit of them.
type accounts struct {
	quota Quota
	limit int
	clock func() time.Time

	mu      sync.Mutex // guards what follows; nothing else is locked under it
	byName  map[string]*list.Element
	recent  list.List // of *balance, the one used last in front
	evicted uint64
}

func newAccounts(q Quota, limit int, clock func() time.Time) *accounts {
	return &accounts{quota: q, limit: limit, clock: clock, byName: map[string]*list.Element{}}
}

// get returns an account, filled; the caller holds mu.
func (a *accounts) get(who string) *balance {
	now := a.clock()
	e, ok := a.byName[who]
	if ok {
		a.recent.MoveToFront(e)
	} else {
		if len(a.byName) >= a.limit {
			last := a.recent.Back()
			delete(a.byName, a.recent.Remove(last).(*balance).who)
			a.evicted++
		}
		e = a.recent.PushFront(&balance{who: who})
		a.byName[who] = e
	}
	c := e.Value.(*balance)
	c.requests.fill(a.quota.Requests, now)
	c.bytes.fill(a.quota.Bytes, now)
	return c
}

// spend takes a request of so many bytes from an account, or says how long to
// wait. What is larger than all that the account can hold passes when it is
// full, and overdraws it.
func (a *accounts) spend(who string, size int) (wait time.Duration, what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.get(who)
	if w := c.requests.wait(a.quota.Requests, 1); w > 0 {
		return w, "requests"
	}
	if w := c.bytes.wait(a.quota.Bytes, min(float64(size), a.quota.Bytes.top())); w > 0 {
		return w, "bytes"
	}
	c.requests.level--
	c.bytes.level -= float64(size)
	return 0, ""
}

// charge takes bytes that were sent already.
func (a *accounts) charge(who string, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.get(who).bytes.level -= float64(size)
}

// empty reports whether nothing is left of an account's requests, and take
// takes one that was not asked for: together they bound failures, which are
// known only afterwards.
func (a *accounts) empty(who string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.byName[who]
	if !ok {
		return 0 // most callers never fail, and need no account
	}
	c := e.Value.(*balance)
	c.requests.fill(a.quota.Requests, a.clock())
	return c.requests.wait(a.quota.Requests, 1)
}

func (a *accounts) take(who string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.get(who)
	c.requests.level = max(0, c.requests.level-1)
}

// size is how many accounts are kept, and forgotten how many are not any more.
func (a *accounts) size() (kept int, forgotten uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.byName), a.evicted
}
