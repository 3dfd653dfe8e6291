package killtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	gofirestore "cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	project    = "kill"
	readers    = 3
	countersIn = 4 // counters of each database
)

// patience is how long a server that has just been opened may be unavailable.
const patience = time.Second

// databases are those that the clients share.
var databases = []string{"(default)", "second", "third"}

func databaseName(id string) string { return "projects/" + project + "/databases/" + id }

func documentName(db, path string) string { return databaseName(db) + "/documents/" + path }

// databaseOf returns the name of a document's database.
func databaseOf(name string) string {
	db, _, _ := strings.Cut(name, "/documents/")
	return db
}

// load is a set of clients that write and read until the server is lost, and go
// on where they were when it is back.
type load struct {
	ledger
	counters map[string][]*counter // by database id
	writers  []*writer
	seed     uint64
	rounds   uint64
}

// newLoad returns clients that have not begun; the seed decides what they do.
func newLoad(seed uint64, writers int) *load {
	l := &load{counters: map[string][]*counter{}, seed: seed}
	for _, db := range databases {
		for i := range countersIn {
			c := &counter{name: documentName(db, fmt.Sprintf("counters/%d", i)), told: map[int64]bool{}}
			l.counters[db] = append(l.counters[db], c)
			l.add(c)
		}
	}
	for i := range writers {
		l.writers = append(l.writers, newWriter(l, i))
	}
	return l
}

// connection is how clients reach a server.
type connection struct {
	*grpc.ClientConn
	google map[string]*gofirestore.Client // by database id
	// lost reports whether the power has failed: what arrives after that was
	// never said.
	lost func() bool
}

func connect(ctx context.Context, conn *grpc.ClientConn, lost func() bool) (*connection, error) {
	c := &connection{ClientConn: conn, google: map[string]*gofirestore.Client{}, lost: lost}
	for _, db := range databases {
		g, err := gofirestore.NewClientWithDatabase(ctx, project, db, option.WithGRPCConn(conn))
		if err != nil {
			return nil, err
		}
		c.google[db] = g
	}
	return c, nil
}

// run has the clients work until ctx ends. It returns the first breach of a
// promise that one of them noticed.
func (l *load) run(ctx context.Context, c *connection) error {
	l.rounds++
	var clients sync.WaitGroup
	for _, w := range l.writers {
		clients.Go(func() {
			for ctx.Err() == nil && l.breached() == nil {
				w.step(ctx, c)
			}
		})
	}
	for i := range uint64(readers) {
		rng := rand.New(rand.NewPCG(l.seed<<32|l.rounds, 1<<32|i))
		clients.Go(func() {
			for ctx.Err() == nil && l.breached() == nil {
				l.look(ctx, c, []cell{l.some(rng)}, false)
			}
		})
	}
	clients.Wait()
	return l.breached()
}

// settle repeats every write whose outcome is open until it is known.
func (l *load) settle(ctx context.Context, c *connection) error {
	for _, w := range l.writers {
		for w.open != nil && ctx.Err() == nil && l.breached() == nil {
			w.step(ctx, c)
		}
	}
	return errors.Join(l.breached(), ctx.Err())
}

// check reads cells, and fails if they are not what they must be.
func (l *load) check(ctx context.Context, c *connection, cells []cell) error {
	for part := range slices.Chunk(cells, 200) {
		l.look(ctx, c, part, true)
	}
	return errors.Join(l.breached(), ctx.Err())
}

// look reads cells and notes what it saw. If the server must answer, it may say
// that it is not ready for patience long, and any other error is a breach.
func (l *load) look(ctx context.Context, c *connection, cells []cell, must bool) {
	least := make([]int, len(cells))
	var names []string
	for i, x := range cells {
		least[i] = l.least(x)
		names = append(names, x.names()...)
	}
	found, err := fetch(ctx, c, names)
	for end := time.Now().Add(patience); must && status.Code(err) == codes.Unavailable && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		found, err = fetch(ctx, c, names)
	}
	if c.lost() {
		return
	}
	if err != nil {
		if code := status.Code(err); must || !isOpen(code) && code != codes.Aborted {
			l.breach(fmt.Errorf("reading %s: %w", names[0], err))
		}
		return
	}
	for i, x := range cells {
		docs := make([]*firestorepb.Document, 0, 4)
		for _, n := range x.names() {
			docs = append(docs, found[n])
		}
		if err := l.saw(x, least[i], docs); err != nil {
			l.breach(err)
		}
	}
}

// fetch returns the documents of these names that exist.
func fetch(ctx context.Context, conn grpc.ClientConnInterface, names []string) (map[string]*firestorepb.Document, error) {
	found := map[string]*firestorepb.Document{}
	byDB := map[string][]string{}
	for _, n := range names {
		byDB[databaseOf(n)] = append(byDB[databaseOf(n)], n)
	}
	for db, names := range byDB {
		answered := 0
		s, err := firestorepb.NewFirestoreClient(conn).BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: db, Documents: names})
		for err == nil {
			var r *firestorepb.BatchGetDocumentsResponse
			if r, err = s.Recv(); err != nil {
				break
			}
			if d := r.GetFound(); d != nil {
				found[d.Name] = d
			}
			if r.GetResult() != nil {
				answered++
			}
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		if answered != len(names) {
			return nil, fmt.Errorf("asked for %d documents, got %d answers", len(names), answered)
		}
	}
	return found, nil
}

// list returns the names of all documents of a collection.
func list(ctx context.Context, conn grpc.ClientConnInterface, db, collection string) ([]string, error) {
	var names []string
	req := &firestorepb.ListDocumentsRequest{Parent: databaseName(db) + "/documents", CollectionId: collection, PageSize: 300}
	for {
		r, err := firestorepb.NewFirestoreClient(conn).ListDocuments(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, d := range r.Documents {
			names = append(names, d.Name)
		}
		if req.PageToken = r.NextPageToken; req.PageToken == "" {
			return names, nil
		}
	}
}

// finish settles what is open and then compares everything, exactly: each
// counter counts the increments, and no document is there that nobody wrote.
func (l *load) finish(ctx context.Context, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := l.settle(ctx, c); err != nil {
		return err
	}
	if err := l.check(ctx, c, l.all()); err != nil {
		return err
	}
	want := map[string]bool{}
	for _, x := range l.all() {
		b := x.bounds()
		if b.acked != b.tried || b.seen > b.acked {
			return fmt.Errorf("%s: %d writes were sent, %d are acknowledged, version %d was seen", x.names()[0], b.tried, b.acked, b.seen)
		}
		if r, ok := x.(*register); ok && !r.gone(b.acked) || !ok && b.acked > 0 {
			for _, n := range x.names() {
				want[n] = true
			}
		}
	}
	for _, db := range databases {
		for _, collection := range []string{"counters", "pairs", "others", "cycles", "made"} {
			names, err := list(ctx, c, db, collection)
			if err != nil {
				return err
			}
			for _, n := range names {
				if !want[n] {
					return fmt.Errorf("%s is listed, and is not there or was listed before", n)
				}
				delete(want, n)
			}
		}
	}
	for n := range want {
		return fmt.Errorf("%s is there and is not listed", n)
	}
	return nil
}
