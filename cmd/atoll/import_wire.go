package main

import (
	"sync"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"

	"atoll/gateway/firestore"
	"atoll/transfer"
	"atoll/value"
)

// An import sends nothing but documents, and a tree of protobuf messages for
// each, only to be walked twice for its size and its bytes, would cost more than
// reading them did. So the writes of a batch are written in protobuf's wire
// format at once.

// Field numbers of google.firestore.v1.BatchWriteRequest, Write, Precondition
// and Document.
const (
	wireWrites protowire.Number = 2

	wireUpdate    protowire.Number = 1
	wireCondition protowire.Number = 4
	wireExists    protowire.Number = 1

	wireName protowire.Number = 1
)

// wire holds the bytes of a batch, and of the document at hand as it is sent and
// as it is stored.
type wire struct{ batch, document, stored []byte }

// wires have been used, for the next batches.
var wires = sync.Pool{New: func() any { return new(wire) }}

// batchRequest returns a request that writes documents, and a function to call
// when it is not needed any more. Documents to be created must not be there.
func (c *client) batchRequest(docs []transfer.Document, create bool) (req *firestorepb.BatchWriteRequest, done func()) {
	w := wires.Get().(*wire)
	w.batch = w.batch[:0]
	prefix := c.name("")
	for i := range docs {
		w.write(prefix, &docs[i], create)
	}
	req = &firestorepb.BatchWriteRequest{Database: c.db.String()}
	// A message keeps fields that it does not know as they are, and sends them
	// along: the server cannot tell the difference.
	req.ProtoReflect().SetUnknown(w.batch)
	return req, func() { wires.Put(w) }
}

// write appends one write of a request: an update, or the creation of a
// document.
func (w *wire) write(prefix string, d *transfer.Document, create bool) {
	w.document = protowire.AppendTag(w.document[:0], wireName, protowire.BytesType)
	w.document = protowire.AppendVarint(w.document, uint64(len(prefix)+len(d.Path)))
	w.document = append(append(w.document, prefix...), d.Path...)
	w.stored = value.AppendDocument(w.stored[:0], d.Fields)
	w.document, _ = firestore.AppendStored(w.document, w.stored) // which is a stored document
	var condition []byte
	if create {
		condition = protowire.AppendVarint(protowire.AppendTag(nil, wireExists, protowire.VarintType), 0)
		condition = protowire.AppendBytes(protowire.AppendTag(nil, wireCondition, protowire.BytesType), condition)
	}
	size := protowire.SizeTag(wireUpdate) + protowire.SizeBytes(len(w.document)) + len(condition)
	w.batch = protowire.AppendVarint(protowire.AppendTag(w.batch, wireWrites, protowire.BytesType), uint64(size))
	w.batch = protowire.AppendBytes(protowire.AppendTag(w.batch, wireUpdate, protowire.BytesType), w.document)
	w.batch = append(w.batch, condition...)
}
