package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/route"
	"atoll/value"
)

// emulatorVar is the variable by which Google's clients find an emulator.
const emulatorVar = "FIRESTORE_EMULATOR_HOST"

// requestTime bounds one request of the command line.
const requestTime = 30 * time.Second

// target says which node and database a command is about.
type target struct{ addr, project, database string }

func (t *target) flags(cmd *cobra.Command) {
	t.addrFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&t.project, "project", firstOf(os.Getenv("GOOGLE_CLOUD_PROJECT"), "demo"), "`project` of the database; $GOOGLE_CLOUD_PROJECT if set")
	fl.StringVar(&t.database, "database", atoll.DefaultDatabase, "`id` of the database")
}

func (t *target) addrFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.addr, "addr", firstOf(os.Getenv(emulatorVar), defaultAddress), "`address` of the node; $"+emulatorVar+" if set")
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
	cc   *grpc.ClientConn
	addr string
	db   atoll.Database
}

func (t *target) dial() (*client, error) {
	db, err := t.db()
	if err != nil {
		return nil, err
	}
	cc, err := grpc.NewClient("passthrough:///"+t.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--addr %q is no address: %v", t.addr, err)
	}
	return &client{firestorepb.NewFirestoreClient(cc), cc, t.addr, db}, nil
}

func (c *client) close() { c.cc.Close() }

// context returns a context for one request, with the name of the database for
// routers on the way, as Google's clients send it.
func (c *client) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer owner", "google-cloud-resource-prefix", c.db.String())
	return context.WithTimeout(ctx, requestTime)
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
	if s.Code() == codes.Unavailable && strings.Contains(s.Message(), "connection error") {
		return &atoll.Error{
			Kind: atoll.Unavailable, Detail: s.Message(),
			Msg: fmt.Sprintf("no node answers at %s; start one with \"atoll dev\", or name its address with --addr or $%s", c.addr, emulatorVar),
		}
	}
	return atoll.Errorf(atoll.Kind(s.Code()), "%s", s.Message())
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
