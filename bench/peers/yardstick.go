package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// The yardstick is what plain Go reaches on this machine before any feature
// costs anything: net/http, Pebble, one index, one sync per group of creates.
// It has no sign-in, rules, validation, history, sharding or metering, and is
// neither a peer nor a design.
//
// Its keys: 'd' + id → the document's JSON; 'a' + author + 0 + n (8 bytes, big
// endian) + id → nothing.
type yardstick struct {
	db     *pebble.DB
	writes chan pendingWrite
}

// pendingWrite is documents on their way to the disk; done hears of the result.
type pendingWrite struct {
	entries []entry
	done    chan error
}

// entry is one document with its keys.
type entry struct{ key, index, value []byte }

const (
	yardstickCache = 256 << 20 // bytes; the data set should fit, as it does in the peers
	groupLimit     = 1024      // requests in one batch
	bodyLimit      = 4 << 20   // bytes of a request
)

// serveYardstick serves on address with its state in dir until the process is
// told to stop.
func serveYardstick(address, dir string) error {
	cache := pebble.NewCache(yardstickCache)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{Cache: cache, MemTableSize: 64 << 20})
	if err != nil {
		return fmt.Errorf("open the store in %s: %w", dir, err)
	}
	y := &yardstick{db: db, writes: make(chan pendingWrite, groupLimit)}
	go y.commit()
	return http.ListenAndServe(address, y.handler())
}

func (y *yardstick) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /docs", y.create)
	mux.HandleFunc("GET /docs/{id}", y.get)
	mux.HandleFunc("GET /docs", y.list)
	mux.HandleFunc("GET /count", y.count)
	mux.HandleFunc("POST /bulk", y.bulk)
	return mux
}

// commit writes whatever is waiting as one batch with one sync, and then looks
// at what came in meanwhile. It alone writes to the store, and ends when writes
// is closed.
func (y *yardstick) commit() {
	var group []pendingWrite
	for first := range y.writes {
		group = append(group[:0], first)
		for len(group) < groupLimit && len(y.writes) > 0 {
			group = append(group, <-y.writes)
		}
		err := y.apply(group)
		for _, write := range group {
			write.done <- err
		}
	}
}

func (y *yardstick) apply(group []pendingWrite) error {
	batch := y.db.NewBatch()
	defer batch.Close()
	for _, write := range group {
		for _, e := range write.entries {
			if err := errors.Join(batch.Set(e.key, e.value, nil), batch.Set(e.index, nil, nil)); err != nil {
				return err
			}
		}
	}
	return batch.Commit(pebble.Sync)
}

// write waits until documents are durable.
func (y *yardstick) write(entries ...entry) error {
	write := pendingWrite{entries: entries, done: make(chan error, 1)}
	y.writes <- write
	return <-write.done
}

// entryOf looks at the JSON of a document.
func entryOf(body []byte) (entry, error) {
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil || doc.ID == "" || doc.N < 0 {
		return entry{}, errors.New("the body is not a document with an id and an n of 0 or more")
	}
	return entry{key: documentKey(doc.ID), index: indexKey(doc.Author, doc.N, doc.ID), value: body}, nil
}

func (y *yardstick) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e, err := entryOf(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := y.write(e); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, body)
}

// bulk creates the documents of all lines, with one sync.
func (y *yardstick) bulk(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var entries []entry
	for line := range bytes.Lines(body) {
		e, err := entryOf(line)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		entries = append(entries, e)
	}
	if err := y.write(entries...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (y *yardstick) get(w http.ResponseWriter, r *http.Request) {
	value, closer, err := y.db.Get(documentKey(r.PathValue("id")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer closer.Close()
	writeJSON(w, value)
}

// list answers with the first queryLimit documents of an author, in the order of n.
func (y *yardstick) list(w http.ResponseWriter, r *http.Request) {
	answer := []byte{'['}
	_, err := y.scan(r.FormValue("author"), queryLimit, func(id []byte) error {
		value, closer, err := y.db.Get(append([]byte{'d'}, id...))
		if err != nil {
			return err
		}
		if len(answer) > 1 {
			answer = append(answer, ',')
		}
		answer = append(answer, value...)
		return closer.Close()
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, append(answer, ']'))
}

// count answers with the number of documents of an author.
func (y *yardstick) count(w http.ResponseWriter, r *http.Request) {
	found, err := y.scan(r.FormValue("author"), math.MaxInt, func([]byte) error { return nil })
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, strconv.AppendInt(nil, int64(found), 10))
}

// scan calls each with the ids of an author's documents in the order of n, at
// most limit of them, and counts them.
func (y *yardstick) scan(author string, limit int, each func(id []byte) error) (found int, err error) {
	from := append(append([]byte{'a'}, author...), 0)
	to := append(append([]byte{'a'}, author...), 1)
	entries, err := y.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return 0, err
	}
	for valid := entries.First(); valid && found < limit && err == nil; valid = entries.Next() {
		err = each(entries.Key()[len(from)+8:])
		found++
	}
	return found, errors.Join(err, entries.Close())
}

func documentKey(id string) []byte { return append([]byte{'d'}, id...) }

func indexKey(author string, n int64, id string) []byte {
	key := append(append([]byte{'a'}, author...), 0)
	return append(binary.BigEndian.AppendUint64(key, uint64(n)), id...)
}

// writeJSON answers with the given JSON. A failure means that the client has
// gone, which the client notices by itself.
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
