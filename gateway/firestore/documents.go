package firestore

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/program/shard"
	"atoll/value"
)

// reading is what a client wants to see of the documents of one database.
type reading struct {
	names  names
	masked bool // only paths
	paths  []value.FieldPath
}

func newReading(db atoll.Database, mask *firestorepb.DocumentMask) (reading, error) {
	r := reading{names: namesOf(db), masked: mask != nil}
	for _, text := range mask.GetFieldPaths() {
		p, err := value.ParseFieldPath(text)
		if err != nil {
			return r, err
		}
		r.paths = append(r.paths, p)
	}
	return r, nil
}

// document converts what a shard returned. A missing document keeps its name
// alone. The fields are in their wire format (see rawfields.go): they are there
// for who receives the message, not in its Fields.
func (r *reading) document(d *shard.Document) (*firestorepb.Document, error) {
	out := &firestorepb.Document{Name: r.names.of(d.Path), CreateTime: fromTime(d.Created), UpdateTime: fromTime(d.Updated)}
	if d.Doc == nil {
		return out, nil
	}
	stored := d.Doc
	if r.masked {
		doc, err := value.DecodeDocument(stored)
		if err != nil {
			return nil, unreadable(out.Name, err)
		}
		stored = value.Encode(value.Project(doc, r.paths))
	}
	fields, ok := AppendStored(nil, stored)
	if !ok {
		return nil, unreadable(out.Name, value.Validate(stored))
	}
	out.ProtoReflect().SetUnknown(fields)
	return out, nil
}

// unreadable says that a stored document is damaged.
func unreadable(name string, why error) error {
	e := &atoll.Error{Kind: atoll.DataLoss, Msg: "the document " + name + " cannot be read"}
	if why != nil {
		e.Detail = why.Error()
	}
	return e
}

// fromResult converts what became of one write.
func fromResult(r *shard.WriteResult) (*firestorepb.WriteResult, error) {
	out := &firestorepb.WriteResult{UpdateTime: fromTime(r.UpdateTime)}
	for _, b := range r.Results {
		v, err := value.DecodeValue(b)
		if err != nil {
			return nil, &atoll.Error{Kind: atoll.Internal, Msg: "the result of a transform cannot be read", Detail: err.Error()}
		}
		out.TransformResults = append(out.TransformResults, fromValue(v))
	}
	return out, nil
}
