package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// The yardstick is what plain Go reaches on this machine before any feature
// costs anything: net/http, Pebble, one index, one sync per group of creates.
// It has no sign-in, rules, validation, history, sharding or metering, and is
// neither a peer nor a design.
//
// Its keys: 'd' + id → the document's JSON; 'n' + n (8 bytes, big endian) + id
// → nothing.
type yardstick struct {
	db     *pebble.DB
	writes chan pendingWrite
}

// pendingWrite is a create on its way to the disk; done hears of the result.
type pendingWrite struct {
	key, index, value []byte
	done              chan error
}

const (
	yardstickCache = 256 << 20 // bytes; the data set should fit, as it does in the peers
	groupLimit     = 1024      // creates in one batch
	bodyLimit      = 1 << 20   // bytes of a request
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
		if err := errors.Join(batch.Set(write.key, write.value, nil), batch.Set(write.index, nil, nil)); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.Sync)
}

func (y *yardstick) create(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil || doc.ID == "" || doc.N < 0 {
		http.Error(w, "the body is not a document with an id and an n of 0 or more", http.StatusBadRequest)
		return
	}
	write := pendingWrite{key: documentKey(doc.ID), index: indexKey(doc.N, doc.ID), value: body, done: make(chan error, 1)}
	y.writes <- write
	if err := <-write.done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, body)
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

// list answers with the documents whose n is at least from, in the order of n.
func (y *yardstick) list(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseInt(r.FormValue("from"), 10, 64)
	if err != nil || from < 0 {
		http.Error(w, "from is not a number of 0 or more", http.StatusBadRequest)
		return
	}
	entries, err := y.db.NewIter(&pebble.IterOptions{LowerBound: indexKey(from, ""), UpperBound: []byte("o")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer entries.Close()
	answer := []byte{'['}
	found := 0
	for valid := entries.First(); valid && found < queryLimit; valid = entries.Next() {
		value, closer, err := y.db.Get(documentKey(string(entries.Key()[1+8:])))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if found > 0 {
			answer = append(answer, ',')
		}
		answer = append(answer, value...)
		closer.Close()
		found++
	}
	writeJSON(w, append(answer, ']'))
}

func documentKey(id string) []byte { return append([]byte{'d'}, id...) }

func indexKey(n int64, id string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{'n'}, uint64(n)), id...)
}

// writeJSON answers with the given JSON. A failure means that the client has
// gone, which the client notices by itself.
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}
