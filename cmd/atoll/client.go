package main

import (
	"context"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/route"
	"atoll/value"
)

// requestTime bounds one request of the command line.
const requestTime = 30 * time.Second

// target says which node and database a command is about.
type target struct {
	connection
	project, database string
}

func (t *target) flags(cmd *cobra.Command) {
	t.connection.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&t.project, "project", firstOf(os.Getenv("GOOGLE_CLOUD_PROJECT"), "demo"), "`project` of the database; $GOOGLE_CLOUD_PROJECT if set")
	fl.StringVar(&t.database, "database", atoll.DefaultDatabase, "`id` of the database")
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

func (t *target) db() (atoll.Database, error) {
	db := atoll.Database{Project: t.project, ID: t.database}
	return db, db.Check()
}

// client talks to a node's Firestore service.
type client struct {
	firestorepb.FirestoreClient
	cc     *grpc.ClientConn
	over   *connection
	bearer string
	db     atoll.Database
}

func (t *target) dial() (*client, error) {
	db, err := t.db()
	if err != nil {
		return nil, err
	}
	addr, err := t.host()
	if err != nil {
		return nil, err
	}
	c := &client{over: &t.connection, db: db}
	if c.bearer, err = t.connection.bearer(); err != nil {
		return nil, err
	}
	creds, err := t.credentials()
	if err != nil {
		return nil, err
	}
	c.cc, err = grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--addr %q is no address: %v", t.addr, err)
	}
	c.FirestoreClient = firestorepb.NewFirestoreClient(c.cc)
	return c, nil
}

func (c *client) close() { c.cc.Close() }

// context returns a context for one request.
func (c *client) context(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.stream(ctx), requestTime)
}

// stream returns a context for a request that may take as long as the node lets
// it, with the name of the database for routers on the way, as Google's clients
// send it.
func (c *client) stream(ctx context.Context) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", c.db.String())
	if c.bearer != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.bearer)
	}
	return ctx
}

// name returns the full name of a document.
func (c *client) name(p atoll.Path) string { return c.db.String() + "/documents/" + string(p) }

// path cuts the database from a full name.
func (c *client) path(name string) atoll.Path {
	return atoll.Path(strings.TrimPrefix(name, c.db.String()+"/documents/"))
}

// problem turns a status into an error, with what to do about it.
func (c *client) problem(err error) error {
	s, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	if s.Code() == codes.Unavailable && (strings.Contains(s.Message(), "connection error") || strings.Contains(s.Message(), "server preface")) {
		return c.over.unreachable(s.Message())
	}
	return c.over.refused(atoll.Errorf(atoll.Kind(s.Code()), "%s", s.Message()))
}

// commit does one write. The request id makes it safe to be sent again by
// whatever lies between.
func (c *client) commit(ctx context.Context, w *firestorepb.Write) (atoll.Time, error) {
	ctx, cancel := c.context(ctx)
	defer cancel()
	id := route.NewRequestID()
	ctx = metadata.AppendToOutgoingContext(ctx, "atoll-request-id", hex.EncodeToString(id[:]))
	res, err := c.Commit(ctx, &firestorepb.CommitRequest{Database: c.db.String(), Writes: []*firestorepb.Write{w}})
	if err != nil {
		return 0, c.problem(err)
	}
	return atoll.TimeOf(res.GetCommitTime().AsTime()), nil
}

// documentPath checks an argument that names a document.
func documentPath(arg string) (atoll.Path, error) {
	p := atoll.Path(strings.Trim(arg, "/"))
	if err := p.Check(); err != nil {
		return p, err
	}
	if !p.IsDocument() {
		return p, atoll.Errorf(atoll.Invalid, "%q is not the path of a document; it has the form collection/id, or collection/id/collection/id", arg)
	}
	return p, nil
}

// readDocument reads the argument with a document; - means standard input.
func readDocument(db atoll.Database, path atoll.Path, arg string, stdin io.Reader) (value.Value, error) {
	text := []byte(arg)
	if arg == "-" {
		var err error
		if text, err = io.ReadAll(io.LimitReader(stdin, 4*value.MaxDocumentSize)); err != nil {
			return value.Null(), atoll.Errorf(atoll.Invalid, "cannot read the document from standard input: %v", err)
		}
	}
	return plain.Parse(db, path, text)
}
