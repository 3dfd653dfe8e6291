package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// document is the one logical document that every server stores. Its ten fields
// besides the id are those of the PocketBase collection in pocketbase/main.go;
// encoded as JSON it takes about 400 bytes.
type document struct {
	ID string `json:"id"` // 15 characters of a-z0-9, as PocketBase demands
	fields
}

// fields are those of a document.
type fields struct {
	Title    string   `json:"title"`
	Body     string   `json:"body"`   // bodySize bytes
	Author   string   `json:"author"` // one of authors; the index that every server has is of author and n
	N        int64    `json:"n"`      // 0 ≤ n < numbers
	Tags     []string `json:"tags"`
	Done     bool     `json:"done"`
	Rating   float64  `json:"rating"` // 0 to 5
	Views    int64    `json:"views"`
	Language string   `json:"language"`
	At       string   `json:"at"` // a time of RFC 3339, in whole seconds
}

const (
	bodySize  = 200
	numbers   = 1_000_000
	authors   = 40
	idLetters = "abcdefghijklmnopqrstuvwxyz0123456789"
	idSize    = 15

	// queryLimit is how many documents a query asks for.
	queryLimit = 20

	// rememberedIDs bounds how many acknowledged ids a source keeps for the
	// check that what was acknowledged can be read.
	rememberedIDs = 4
)

// text is what bodies are cut from: random letters, so that no server gains
// from compressing them, made once, so that the client does not pay for it.
var text = func() string {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := make([]byte, 64<<10)
	for i := range letters {
		letters[i] = idLetters[rng.IntN(len(idLetters))]
	}
	return string(letters)
}()

// source supplies one connection with the documents, ids and numbers that it
// asks for. It belongs to one goroutine.
type source struct {
	rng    *rand.Rand
	seeded []string // ids that exist already; shared, never written to
	acked  []string // a few of the ids whose create was acknowledged
}

// newSource returns the source of a connection. Sources with equal seeds give
// equal documents.
func newSource(seed uint64, seeded []string) *source {
	return &source{rng: rand.New(rand.NewPCG(seed, 3)), seeded: seeded}
}

// small is a document that is as small as documents get in use.
type small struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Author string `json:"author"`
	N      int64  `json:"n"`
}

// small makes up the next small document.
func (s *source) small() small {
	n := s.number()
	return small{s.id(), fmt.Sprintf("Note %d", n), s.author(), n}
}

// id makes up an id.
func (s *source) id() string {
	var id [idSize]byte
	for i := range id {
		id[i] = idLetters[s.rng.IntN(len(idLetters))]
	}
	return string(id[:])
}

// document makes up the next document.
func (s *source) document() document {
	id := s.id()
	n := s.number()
	start := s.rng.IntN(len(text) - bodySize)
	return document{id, fields{
		Title:    fmt.Sprintf("Note %d", n),
		Body:     text[start : start+bodySize],
		Author:   s.author(),
		N:        n,
		Tags:     []string{"red", "green", "blue"},
		Done:     n%2 == 0,
		Rating:   float64(n%51) / 10,
		Views:    n % 5003,
		Language: languages[n%int64(len(languages))],
		At:       epoch.Add(time.Duration(n) * time.Minute).Format(time.RFC3339),
	}}
}

var languages = []string{"en", "pt", "de", "ja"}

// epoch is the earliest time of a document.
var epoch = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// number picks a value of n.
func (s *source) number() int64 { return s.rng.Int64N(numbers) }

// author picks one of the authors.
func (s *source) author() string { return "user" + strconv.Itoa(s.rng.IntN(authors)) }

// existing picks the id of a seeded document.
func (s *source) existing() string { return s.seeded[s.rng.IntN(len(s.seeded))] }

// acknowledged notes that the create of id succeeded. The ids kept are the
// latest ones, since those are the ones that a careless server would lose.
func (s *source) acknowledged(id string) {
	if len(s.acked) == rememberedIDs {
		s.acked = slices.Delete(s.acked, 0, 1)
	}
	s.acked = append(s.acked, id)
}
