package killtest

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	gofirestore "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// writer is one client that writes, one operation after the other. Every second
// one is Google's.
type writer struct {
	load   *load
	id     int
	db     string
	google bool
	rng    *rand.Rand
	pair   *register // three documents in two collections, written together
	cycle  *register // one document, written and deleted in turns
	made   int
	open   *operation // sent, and its outcome is not known
}

func newWriter(l *load, id int) *writer {
	w := &writer{load: l, id: id, db: databases[id%len(databases)], google: id%2 == 0, rng: rand.New(rand.NewPCG(l.seed, uint64(id)))}
	name := func(format string) string { return documentName(w.db, fmt.Sprintf(format, id)) }
	w.pair = &register{docs: []string{name("pairs/%d-a"), name("others/%d"), name("pairs/%d-b")}}
	w.cycle = &register{docs: []string{name("cycles/%d")}, deletes: true}
	l.add(w.pair)
	l.add(w.cycle)
	return w
}

// operation is one commit. It is sent with the same id until it is acknowledged.
type operation struct {
	id       string // hexadecimal
	counters []*counter
	reg      *register
	version  int // of reg after it
	create   bool
	attempts int
}

// next decides what to do, and enters it into the ledger.
func (w *writer) next() *operation {
	var id [16]byte
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	op := &operation{id: hex.EncodeToString(id[:])}
	switch p := w.rng.IntN(100); {
	case p < 45:
		all := w.load.counters[w.db]
		i := w.rng.IntN(len(all))
		op.counters = all[i : i+1]
		if w.rng.IntN(4) == 0 && i+1 < len(all) {
			op.counters = all[i : i+2]
		}
	case p < 70:
		op.reg = w.pair
	case p < 85:
		op.reg = w.cycle
	default:
		op.reg = &register{docs: []string{documentName(w.db, fmt.Sprintf("made/%d-%d", w.id, w.made))}}
		op.create = true
		w.made++
		w.load.add(op.reg)
	}
	w.load.mu.Lock()
	defer w.load.mu.Unlock()
	for _, c := range op.counters {
		c.b.tried++
	}
	if op.reg != nil {
		op.reg.b.tried++
		op.version = op.reg.b.tried
	}
	return op
}

// isOpen reports whether an answer leaves open what became of a write, or says
// that now is not the time.
func isOpen(c codes.Code) bool {
	switch c {
	case codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return true
	}
	return false
}

// step sends one operation, the one before again if its outcome is open. Some
// answers are not waited for.
func (w *writer) step(ctx context.Context, c *connection) {
	if w.open == nil {
		w.open = w.next()
	}
	op := w.open
	op.attempts++
	if w.rng.IntN(30) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(200+w.rng.IntN(4000))*time.Microsecond)
		defer cancel()
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "atoll-request-id", op.id)
	send := op.sendRaw
	if w.google {
		send = op.sendGoogle
	}
	values, err := send(ctx, c, w.db)
	switch {
	case c.lost() || isOpen(status.Code(err)):
		w.load.mu.Lock()
		w.load.stats.unknown++
		w.load.mu.Unlock()
		time.Sleep(time.Millisecond)
		return
	case err != nil:
		w.load.breach(fmt.Errorf("%s, attempt %d: %w", op, op.attempts, err))
		return
	}
	w.open = nil
	if err := w.load.acked(op, values); err != nil {
		w.load.breach(err)
	}
}

// acked notes an acknowledged operation and what its counters were answered.
func (l *load) acked(op *operation, values []int64) error {
	for i, c := range op.counters {
		if err := l.counted(c, values[i]); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if op.reg != nil {
		op.reg.b.acked = op.version
	}
	l.stats.acked++
	if op.attempts > 1 {
		l.stats.again++
	}
	return nil
}

func (op *operation) String() string {
	if op.reg == nil {
		return fmt.Sprintf("increment of %s and %d more", op.counters[0].name, len(op.counters)-1)
	}
	return fmt.Sprintf("version %d of %s", op.version, op.reg.docs[0])
}

// sendRaw sends the operation as a Commit, and returns the values of its
// counters after it.
func (op *operation) sendRaw(ctx context.Context, c *connection, db string) ([]int64, error) {
	req := &firestorepb.CommitRequest{Database: databaseName(db)}
	for _, x := range op.counters {
		req.Writes = append(req.Writes, incrementBy1(x.name))
	}
	if op.reg != nil {
		for _, name := range op.reg.docs {
			w := &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: name}}
			if !op.reg.gone(op.version) {
				w.Operation = &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: content(name, op.version)}}
			}
			if op.create {
				w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
			}
			req.Writes = append(req.Writes, w)
		}
	}
	r, err := firestorepb.NewFirestoreClient(c).Commit(ctx, req)
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(op.counters))
	for i := range values {
		values[i] = r.WriteResults[i].GetTransformResults()[0].GetIntegerValue()
	}
	return values, nil
}

func incrementBy1(name string) *firestorepb.Write {
	return &firestorepb.Write{
		Operation:  &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name}},
		UpdateMask: &firestorepb.DocumentMask{},
		UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{{
			FieldPath: "n", TransformType: &firestorepb.DocumentTransform_FieldTransform_Increment{Increment: integer(1)},
		}},
	}
}

// sendGoogle sends the operation through Google's client, which does not tell
// the values of counters.
func (op *operation) sendGoogle(ctx context.Context, c *connection, db string) ([]int64, error) {
	g := c.google[db]
	ref := func(name string) *gofirestore.DocumentRef { return g.Doc(name[len(databaseName(db)+"/documents/"):]) }
	data := func(name string) map[string]any {
		f := content(name, op.version)
		return map[string]any{"v": f["v"].GetIntegerValue(), "pad": f["pad"].GetBytesValue()}
	}
	//lint:ignore SA1019 many programs use batches, and a transaction would read first
	b := g.Batch()
	for _, x := range op.counters {
		b.Set(ref(x.name), map[string]any{"n": gofirestore.Increment(1)}, gofirestore.MergeAll)
	}
	if op.reg != nil {
		for _, name := range op.reg.docs {
			switch {
			case op.reg.gone(op.version):
				b.Delete(ref(name))
			case op.create:
				b.Create(ref(name), data(name))
			default:
				b.Set(ref(name), data(name))
			}
		}
	}
	_, err := b.Commit(ctx)
	return make([]int64, len(op.counters)), err
}
