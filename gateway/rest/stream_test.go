package rest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"atoll"
	"atoll/gateway/firestore"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	routing "atoll/route"
	"atoll/value"
)

// counting is the router of an installation. It counts the bytes of documents
// that were handed to the door above, and tells when a stream has ended.
type counting struct {
	*routing.Router
	bytes atomic.Int64
	ended chan error
}

func (c *counting) Query(ctx context.Context, db atoll.Database, q query.Query, o routing.QueryOptions, who routing.Caller, each func(atoll.Time, *shard.Found) error) (routing.QueryResult, error) {
	result, err := c.Router.Query(ctx, db, q, o, who, func(at atoll.Time, f *shard.Found) error {
		c.bytes.Add(int64(len(f.Doc)))
		return each(at, f)
	})
	c.ended <- err
	return result, err
}

func (c *counting) Each(ctx context.Context, db atoll.Database, paths []atoll.Path, at atoll.Time, who routing.Caller, found func(atoll.Time, int, *shard.Document) error) error {
	err := c.Router.Each(ctx, db, paths, at, who, func(at atoll.Time, i int, d *shard.Document) error {
		c.bytes.Add(int64(len(d.Doc)))
		return found(at, i, d)
	})
	c.ended <- err
	return err
}

const (
	bigDocuments = 40
	bigDocument  = 900_000 // bytes
	// held is how many bytes may be under way to a client that does not read:
	// a page or two of documents, what the windows and the channel of the door
	// take, and the buffers of the system, which grow to about 10 MB.
	held = 24 * bigDocument
)

// large serves an installation with far more documents, in bytes, than may be
// under way. Queries say how to ask for all of them.
func large(t *testing.T, stall time.Duration) (c *counting, base string, bodies map[string]string) {
	t.Helper()
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	db := atoll.Database{Project: "p", ID: atoll.DefaultDatabase}
	doc := value.Encode(value.Map(value.Field{Name: "b", Value: value.Bytes(bytes.Repeat([]byte("x"), bigDocument))}))
	var names []string
	for i := range bigDocuments {
		path := atoll.Path(fmt.Sprintf("c/%03d", i))
		names = append(names, `"`+root+"/"+string(path)+`"`)
		if _, err := h.Router.Commit(t.Context(), db, []shard.Write{{Op: shard.OpSet, Path: path, Doc: doc}}, routing.NewRequestID(), routing.Caller{Principal: firestore.Administrator}); err != nil {
			t.Fatal(err)
		}
	}
	c = &counting{Router: h.Router, ended: make(chan error, 10)}
	s := firestore.New(firestore.Options{Router: c, Auth: firestore.Auth{Dev: true}})
	base = open(t, s.Server(LocalOptions()...), func(o *Options) { o.Stall = stall })
	return c, base + "/v1/" + root, map[string]string{
		":runQuery": `{"structuredQuery": {"from": [{"collectionId": "c"}]}}`,
		":batchGet": `{"documents": [` + strings.Join(names, ",") + `]}`,
	}
}

// start sends a request over a connection of its own, and reads the head of the
// answer.
func start(t *testing.T, url, body string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return conn, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// wait returns the error by which a stream ended.
func (c *counting) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the stream did not end")
		return nil
	}
}

// TestStreamsWaitForTheReader checks, with the service and its storage behind
// the door, that a client which stops reading stops the reading of documents,
// and gets all of them if it goes on.
func TestStreamsWaitForTheReader(t *testing.T) {
	c, base, bodies := large(t, time.Minute)
	for verb, body := range bodies {
		c.bytes.Store(0)
		res := start(t, base+verb, body)
		settled := int64(-1)
		for n := c.bytes.Load(); n != settled; n = c.bytes.Load() { // nothing was handed over for a while
			settled = n
			time.Sleep(300 * time.Millisecond)
		}
		if settled == 0 || settled > held {
			t.Errorf("%s: %d bytes were read for a client that reads nothing; %d may be", verb, settled, held)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil || bytes.Count(b, []byte(`"name"`)) != bigDocuments || !bytes.HasSuffix(b, []byte("]\n")) {
			t.Errorf("%s: %d bytes with %d documents, %v", verb, len(b), bytes.Count(b, []byte(`"name"`)), err)
		}
		if err := c.wait(t); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestStreamsEndWithTheClient checks that nothing goes on for a client who has
// gone, or who never reads.
func TestStreamsEndWithTheClient(t *testing.T) {
	c, base, bodies := large(t, 500*time.Millisecond)
	for verb, body := range bodies {
		for _, leave := range []bool{true, false} {
			c.bytes.Store(0)
			res := start(t, base+verb, body)
			if leave {
				res.Body.Close()
			}
			if err := c.wait(t); err == nil {
				t.Errorf("%s, leaving %t: the stream came to its end", verb, leave)
			}
			if n := c.bytes.Load(); n > held {
				t.Errorf("%s, leaving %t: %d bytes were read for nobody", verb, leave, n)
			}
			if _, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Errorf("%s, leaving %t: the answer looks whole", verb, leave)
			}
		}
	}
}
