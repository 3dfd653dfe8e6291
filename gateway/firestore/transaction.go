package firestore

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
)

// A transaction is optimistic. All that it reads is read at one time, and
// noted; its commit carries the notes, and is Aborted by the shards if
// something would be read differently then. The door keeps the notes in its
// memory, so that a transaction ends with it: the client then gets an error on
// which Google's clients begin again.

// transactionIDLen is the length of a transaction's id, which is random.
const transactionIDLen = 16

type transactionID [transactionIDLen]byte

// readWeight is how many bytes of a noted query count as one noted document.
const readWeight = 128

// transaction is one transaction under way.
type transaction struct {
	id       transactionID
	db       atoll.Database
	who      atoll.Principal
	readOnly bool
	begun    time.Time

	// reading is held shared while a read is under way, and alone by the
	// commit: a read that a client has given up may still have to be noted.
	// It is taken before the table's lock.
	reading sync.RWMutex

	// Guarded by the table's lock.
	used      time.Time  // last
	at        atoll.Time // of all reads; 0 before the first
	weight    int        // of what is noted
	documents map[atoll.Path]shard.DocumentCheck
	queries   []shard.QueryCheck
	over      bool            // committed, or given up
	commit    atoll.RequestID // of the commit, if committed
}

// transactions holds the transactions under way, within limits. One that was
// not used for a while is forgotten when the next one begins. It is safe for
// concurrent use.
type transactions struct {
	limits  *Limits
	metrics *Metrics
	clock   func() time.Time

	mu     sync.Mutex // guards what follows and parts of each transaction; held for memory operations alone
	byID   map[transactionID]*transaction
	weight int // of all notes
	swept  time.Time
}

func newTransactions(l *Limits, m *Metrics, clock func() time.Time) *transactions {
	return &transactions{limits: l, metrics: m, clock: clock, byID: make(map[transactionID]*transaction)}
}

// begin starts a transaction; 0 as the time leaves it to the first read.
func (t *transactions) begin(db atoll.Database, who atoll.Principal, readOnly bool, at atoll.Time) (*transaction, error) {
	now := t.clock()
	tx := &transaction{db: db, who: who, readOnly: readOnly, begun: now, used: now, at: at}
	rand.Read(tx.id[:]) // never fails: crypto/rand ends the program instead
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= t.limits.Transactions || now.Sub(t.swept) >= t.limits.TransactionIdle/4 {
		t.sweep(now)
	}
	if len(t.byID) >= t.limits.Transactions {
		t.metrics.refused.WithLabelValues("transactions").Inc()
		return nil, atoll.Errorf(atoll.ResourceExhausted, "%d transactions are under way, which is the limit; try again", len(t.byID))
	}
	t.byID[tx.id] = tx
	t.metrics.transactions.Set(float64(len(t.byID)))
	return tx, nil
}

// sweep forgets what has expired. The lock is held.
func (t *transactions) sweep(now time.Time) {
	t.swept = now
	for _, tx := range t.byID {
		if t.expired(tx, now) {
			t.remove(tx, "expired")
		}
	}
}

func (t *transactions) expired(tx *transaction, now time.Time) bool {
	return now.Sub(tx.used) >= t.limits.TransactionIdle || now.Sub(tx.begun) >= t.limits.TransactionTotal
}

// remove forgets a transaction. The lock is held.
func (t *transactions) remove(tx *transaction, outcome string) {
	if t.byID[tx.id] != tx {
		return
	}
	delete(t.byID, tx.id)
	t.weight -= tx.weight
	if !tx.over {
		t.metrics.ended.WithLabelValues(outcome).Inc()
	}
	t.metrics.transactions.Set(float64(len(t.byID)))
}

// errGone is the answer about a transaction that is not known, or no longer.
// Google's clients begin anew on Aborted, and some also by this text.
func errGone() error {
	return atoll.Errorf(atoll.Aborted, "The referenced transaction has expired or is no longer valid.")
}

// find returns the transaction with the id that a client gave.
func (t *transactions) find(id []byte, db atoll.Database, who atoll.Principal) (*transaction, error) {
	if len(id) != transactionIDLen {
		return nil, atoll.Errorf(atoll.Invalid, "the transaction id of %d bytes is none of this server's", len(id))
	}
	now := t.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	tx := t.byID[transactionID(id)]
	switch {
	case tx == nil || tx.who != who:
		return nil, errGone()
	case tx.db != db:
		return nil, atoll.Errorf(atoll.Invalid, "the transaction belongs to the database %s", tx.db)
	case t.expired(tx, now):
		t.remove(tx, "expired")
		return nil, errGone()
	}
	tx.used = now
	return tx, nil
}

// open is find for who wants to read.
func (t *transactions) open(id []byte, db atoll.Database, who atoll.Principal) (*transaction, error) {
	tx, err := t.find(id, db, who)
	if err != nil {
		return nil, err
	}
	tx.reading.RLock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if tx.over {
		tx.reading.RUnlock()
		return nil, atoll.Errorf(atoll.Invalid, "The transaction has already been committed or rolled back.")
	}
	return tx, nil
}

// note makes room for n more notes, and lets add make them.
func (t *transactions) note(tx *transaction, n int, add func()) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tx.used = t.clock()
	if tx.weight+n > t.limits.TransactionReads {
		t.metrics.refused.WithLabelValues("transaction_reads").Inc()
		return atoll.Errorf(atoll.Invalid, "the transaction reads too much; a transaction can read up to %d documents", t.limits.TransactionReads)
	}
	if t.weight+n > t.limits.AllTransactionReads {
		t.metrics.refused.WithLabelValues("all_transaction_reads").Inc()
		return atoll.Errorf(atoll.ResourceExhausted, "the transactions under way have read as many documents as the server can note; try again")
	}
	if t.byID[tx.id] == tx {
		tx.weight += n
		t.weight += n
	}
	add()
	return nil
}

// finish ends a transaction. One that is committed is kept until it expires,
// so that the same commit can be sent again, without what it has read.
func (t *transactions) finish(tx *transaction, outcome string, commit atoll.RequestID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if outcome != "committed" {
		t.remove(tx, outcome)
		tx.over = true
		return
	}
	if !tx.over && t.byID[tx.id] == tx {
		t.metrics.ended.WithLabelValues(outcome).Inc()
		t.weight -= tx.weight
	}
	tx.over, tx.commit, tx.weight, tx.documents, tx.queries = true, commit, 0, nil, nil
}

// reads returns what a commit has to check.
func (t *transactions) reads(tx *transaction) (reads route.Reads) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range tx.documents {
		reads.Documents = append(reads.Documents, c)
	}
	slices.SortFunc(reads.Documents, func(a, b shard.DocumentCheck) int { return strings.Compare(string(a.Path), string(b.Path)) })
	reads.Queries = tx.queries
	return reads
}

// toOptions reads what kind of transaction a client wants.
func toOptions(o *firestorepb.TransactionOptions) (readOnly bool, at atoll.Time, err error) {
	if o.GetReadOnly() != nil {
		at, err = readTime(o.GetReadOnly().GetReadTime())
		return true, at, err
	}
	if id := o.GetReadWrite().GetRetryTransaction(); len(id) > 0 && len(id) != transactionIDLen {
		return false, 0, atoll.Errorf(atoll.Invalid, "retry_transaction is none of this server's transactions")
	}
	return false, 0, nil
}

// BeginTransaction starts a transaction.
func (s *Service) BeginTransaction(ctx context.Context, req *firestorepb.BeginTransactionRequest) (*firestorepb.BeginTransactionResponse, error) {
	db, err := atoll.ParseDatabase(req.GetDatabase())
	if err != nil {
		return nil, err
	}
	readOnly, at, err := toOptions(req.GetOptions())
	if err != nil {
		return nil, err
	}
	tx, err := s.transactions.begin(db, callerOf(ctx).Principal, readOnly, at)
	if err != nil {
		return nil, err
	}
	return &firestorepb.BeginTransactionResponse{Transaction: tx.id[:]}, nil
}

// Rollback ends a transaction without changing anything. One that has ended
// already is no error.
func (s *Service) Rollback(ctx context.Context, req *firestorepb.RollbackRequest) (*emptypb.Empty, error) {
	db, err := atoll.ParseDatabase(req.GetDatabase())
	if err != nil {
		return nil, err
	}
	tx, err := s.transactions.find(req.GetTransaction(), db, callerOf(ctx).Principal)
	switch atoll.KindOf(err) {
	case atoll.OK:
		s.transactions.finish(tx, "rolled back", atoll.RequestID{})
	case atoll.Aborted:
	default:
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// view says at which time a request reads, and for which transaction. end must
// be called when the reading is over.
type view struct {
	s     *Service
	at    atoll.Time // 0 is now
	tx    *transaction
	newID []byte // of the transaction that the request began
}

// begin returns the view that a request asks for: at most one of a
// transaction's id, the wish for a new transaction, and a time.
func (s *Service) begin(ctx context.Context, db atoll.Database, id []byte, fresh *firestorepb.TransactionOptions, at *timestamppb.Timestamp) (*view, error) {
	v := &view{s: s}
	var err error
	switch {
	case len(id) > 0:
	case fresh != nil:
		readOnly, at, err := toOptions(fresh)
		if err != nil {
			return nil, err
		}
		tx, err := s.transactions.begin(db, callerOf(ctx).Principal, readOnly, at)
		if err != nil {
			return nil, err
		}
		id, v.newID = tx.id[:], tx.id[:]
	default:
		v.at, err = readTime(at)
		return v, err
	}
	if v.tx, err = s.transactions.open(id, db, callerOf(ctx).Principal); err != nil {
		return nil, err
	}
	if v.at, err = s.timeIn(ctx, v.tx); err != nil {
		v.end()
		return nil, err
	}
	return v, nil
}

// timeIn returns the time at which a transaction reads: that of its first read.
func (s *Service) timeIn(ctx context.Context, tx *transaction) (atoll.Time, error) {
	s.transactions.mu.Lock()
	at := tx.at
	s.transactions.mu.Unlock()
	if at != 0 {
		return at, nil
	}
	now, err := s.timeOf(ctx, tx.db, 0)
	if err != nil {
		return 0, err
	}
	s.transactions.mu.Lock()
	defer s.transactions.mu.Unlock()
	if tx.at == 0 { // no other read was first
		tx.at = now
	}
	return tx.at, nil
}

// end lets the transaction be committed.
func (v *view) end() {
	if v.tx != nil {
		v.tx.reading.RUnlock()
	}
}

// notes reports whether the view's reads must be noted.
func (v *view) notes() bool { return v.tx != nil && !v.tx.readOnly }

// recordDocument notes what was read of one document.
func (v *view) recordDocument(d *shard.Document) error {
	if !v.notes() {
		return nil
	}
	check := shard.DocumentCheck{Path: d.Path}
	if d.Doc != nil {
		check.Revision, check.Updated = d.Revision, d.Updated
	}
	return v.s.transactions.note(v.tx, 1, func() {
		if v.tx.documents == nil {
			v.tx.documents = make(map[atoll.Path]shard.DocumentCheck)
		}
		v.tx.documents[d.Path] = check
	})
}

// record notes the result of one query.
type record struct {
	v      *view
	q      *query.Query
	digest *query.Digest
}

func (v *view) recordQuery(q *query.Query) *record {
	if !v.notes() {
		return &record{}
	}
	return &record{v: v, q: q, digest: query.NewDigest()}
}

func (r *record) add(f *shard.Found) {
	if r.digest != nil {
		r.digest.Add(f.Path, f.Updated)
	}
}

// done notes the result; failed is why it may be incomplete. Then what the
// client may have seen of it is noted, as the result of a query that is
// limited to it. It returns failed, or why the result cannot be noted.
func (r *record) done(failed error) error {
	if r.digest == nil || failed != nil && r.digest.Count() == 0 {
		return failed
	}
	check := shard.QueryCheck{Query: *r.q, Count: r.digest.Count(), Digest: r.digest.Sum()}
	if failed != nil {
		check.Query.Limit = check.Count
	}
	values := 0
	for _, c := range []*query.Cursor{r.q.Start, r.q.End} {
		if c != nil {
			for _, v := range c.Values {
				values += len(v)
			}
		}
	}
	weight := 1 + (values+len(r.q.Parent)+filterSize(r.q.Where))/readWeight
	err := r.v.s.transactions.note(r.v.tx, weight, func() { r.v.tx.queries = append(r.v.tx.queries, check) })
	if failed != nil {
		return failed
	}
	return err
}

// filterSize is about what a filter takes in memory, in bytes.
func filterSize(f *query.Filter) int {
	if f == nil {
		return 0
	}
	size := readWeight/2 + len(f.Field) + len(f.Value)
	for i := range f.Parts {
		size += filterSize(&f.Parts[i])
	}
	return size
}

// commitIn commits the writes of a transaction.
func (s *Service) commitIn(ctx context.Context, db atoll.Database, transaction []byte, writes []shard.Write, id atoll.RequestID) (shard.CommitReply, error) {
	tx, err := s.transactions.find(transaction, db, callerOf(ctx).Principal)
	if err != nil {
		return shard.CommitReply{}, err
	}
	tx.reading.Lock()
	defer tx.reading.Unlock()
	s.transactions.mu.Lock()
	over, again := tx.over, tx.commit == id
	s.transactions.mu.Unlock()
	switch {
	case over && !again:
		return shard.CommitReply{}, atoll.Errorf(atoll.Invalid, "The transaction has already been committed or rolled back.")
	case tx.readOnly && len(writes) > 0:
		return shard.CommitReply{}, atoll.Errorf(atoll.Invalid, "Cannot modify entities in a read-only transaction.")
	}
	if len(writes) == 0 { // all was read at one time: there is nothing to check
		now, err := s.timeOf(ctx, db, 0)
		if err == nil {
			s.transactions.finish(tx, "committed", id)
		}
		return shard.CommitReply{Time: now}, err
	}
	reply, err := s.router.CommitIf(ctx, db, writes, s.transactions.reads(tx), id, callerOf(ctx))
	switch atoll.KindOf(err) {
	case atoll.OK:
		s.metrics.writes.Add(float64(len(writes)))
		s.transactions.finish(tx, "committed", id)
	case atoll.Unknown, atoll.DeadlineExceeded, atoll.Canceled, atoll.Unavailable, atoll.ResourceExhausted:
		// It may be committed, or can still be.
	case atoll.Aborted:
		s.transactions.finish(tx, "aborted", id)
	default:
		s.transactions.finish(tx, "failed", id)
	}
	return reply, err
}
