package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// workload names one kind of operation.
type workload string

const (
	workloadCreate workload = "create" // one new document of ten fields, acknowledged once it is durable
	workloadSmall  workload = "small"  // the same of three short fields
	workloadGet    workload = "get"    // one of the seeded documents by its id
	workloadQuery  workload = "query"  // the first 20 whole documents of an author, in the order of n
	workloadCount  workload = "count"  // how many documents an author has
	workloadEcho   workload = "echo"   // a call that stores nothing
	workloadAppend workload = "append" // 256 bytes appended to a file and synced
)

// connection is one connection of a client to a server. It carries one
// operation at a time and belongs to one goroutine. do returns nil only if the
// server answered as it should.
type connection interface {
	do(ctx context.Context, w workload, s *source) error
	get(ctx context.Context, id string) error
	io.Closer
}

// minimumDocument is the least size of a document's answer in bytes: an answer
// below it lacks the body.
const minimumDocument = bodySize

// minimumSmallCreate is that of the answer to the create of a small one, at least its id.
const minimumSmallCreate = idSize

// bulkLoader is a connection that creates many documents in one request, all
// of them durable when it returns.
type bulkLoader interface {
	bulk(ctx context.Context, docs []document) error
}

// httpPaths says where a server of JSON over HTTP expects what.
type httpPaths struct {
	create string                     // where a document is posted
	get    string                     // what precedes the id
	query  func(author string) string // 20 documents of an author, in the order of n
	count  func(author string) string // how many there are
	bulk   string                     // where many documents are posted, as lines; empty: nowhere
}

var pocketbasePaths = httpPaths{
	create: "/api/collections/docs/records",
	get:    "/api/collections/docs/records/",
	query: func(author string) string {
		// skipTotal: by default PocketBase counts all matching documents too,
		// which nobody else does here.
		return "/api/collections/docs/records?skipTotal=1&sort=n&perPage=" + strconv.Itoa(queryLimit) +
			"&filter=author%3D%27" + author + "%27"
	},
	// The answer has the total, and one record's id.
	count: func(author string) string {
		return "/api/collections/docs/records?perPage=1&fields=id&filter=author%3D%27" + author + "%27"
	},
}

var yardstickPaths = httpPaths{
	create: "/docs",
	get:    "/docs/",
	query:  func(author string) string { return "/docs?author=" + author },
	count:  func(author string) string { return "/count?author=" + author },
	bulk:   "/bulk",
}

// httpConnection is one kept-alive connection to a server of JSON over HTTP.
type httpConnection struct {
	transport *http.Transport
	base      string // "http://host:port"
	paths     httpPaths
	answer    bytes.Buffer // of the latest request; reused
}

func dialHTTP(address string, paths httpPaths) *httpConnection {
	return &httpConnection{
		transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true},
		base:      "http://" + address,
		paths:     paths,
	}
}

func (c *httpConnection) do(ctx context.Context, w workload, s *source) error {
	switch w {
	case workloadCreate:
		doc := s.document()
		body, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		if err := c.send(ctx, http.MethodPost, c.paths.create, body, minimumDocument); err != nil {
			return err
		}
		s.acknowledged(doc.ID)
		return nil
	case workloadSmall:
		body, err := json.Marshal(s.small())
		if err != nil {
			return err
		}
		return c.send(ctx, http.MethodPost, c.paths.create, body, minimumSmallCreate)
	case workloadGet:
		return c.get(ctx, s.existing())
	case workloadQuery:
		return c.send(ctx, http.MethodGet, c.paths.query(s.author()), nil, queryLimit*minimumDocument)
	case workloadCount:
		return c.send(ctx, http.MethodGet, c.paths.count(s.author()), nil, 1)
	}
	return fmt.Errorf("no %s over HTTP", w)
}

func (c *httpConnection) get(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodGet, c.paths.get+id, nil, minimumDocument)
}

// bulk posts documents as lines of JSON.
func (c *httpConnection) bulk(ctx context.Context, docs []document) error {
	if c.paths.bulk == "" {
		return errors.New("the server takes one document at a time")
	}
	body, err := jsonLines(docs)
	if err != nil {
		return err
	}
	return c.send(ctx, http.MethodPost, c.paths.bulk, body, 0)
}

// jsonLines encodes documents as one JSON object on each line.
func jsonLines(docs []document) ([]byte, error) {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i := range docs {
		if err := encoder.Encode(&docs[i]); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}

// send makes one request and reads the whole answer, which must be a success of
// at least minimum bytes.
func (c *httpConnection) send(ctx context.Context, method, path string, body []byte, minimum int) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	c.answer.Reset()
	_, readErr := c.answer.ReadFrom(response.Body)
	if err := errors.Join(readErr, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.200s", method, path, response.Status, c.answer.Bytes())
	}
	if c.answer.Len() < minimum {
		return fmt.Errorf("%s %s: an answer of %d bytes, want at least %d", method, path, c.answer.Len(), minimum)
	}
	return nil
}

// Close gives the connection up.
func (c *httpConnection) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
