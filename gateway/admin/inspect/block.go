package inspect

import (
	"fmt"
	"strings"

	"atoll"
	"atoll/log/local"
	"atoll/program/shard"
	"atoll/wire"
)

// Block is a log record, decoded for people and for JSON.
type Block struct {
	Position  atoll.Position  `json:"position"`
	Epoch     atoll.Epoch     `json:"epoch"`
	Height    atoll.Height    `json:"height"`
	Time      string          `json:"time"`
	Reserved  string          `json:"reserved"`
	Semantics atoll.Semantics `json:"semantics"`
	Prev      string          `json:"prev"`
	Hash      string          `json:"hash"`   // of the record
	Digest    string          `json:"digest"` // of the state after it
	Bytes     int             `json:"bytes"`
	Messages  []Message       `json:"messages"`
	Letters   []Letter        `json:"letters,omitempty"`
}

// Message is a message of a block.
type Message struct {
	ID      string   `json:"id"`
	From    string   `json:"from"`
	To      []string `json:"to"`
	Method  string   `json:"method"`
	Bytes   int      `json:"bytes"`
	Payload string   `json:"payload"`
}

// Letter is a letter from another subnet, in a block.
type Letter struct {
	Subnet  atoll.SubnetID `json:"subnet"`
	Number  uint64         `json:"number"`
	From    string         `json:"from"`
	To      string         `json:"to"`
	Reply   bool           `json:"reply,omitempty"`
	Method  string         `json:"method,omitempty"`
	Payload string         `json:"payload"`
}

// Record decodes an entry of a log. It fails with DataLoss.
func Record(e local.Entry) (Block, error) {
	var rec atoll.Record
	var b atoll.Block
	if err := wire.Unmarshal(e.Record, &rec); err != nil {
		return Block{}, atoll.Errorf(atoll.DataLoss, "the log record for height %d is damaged: %v", e.Height, err)
	}
	if err := wire.Unmarshal(rec.Block, &b); err != nil {
		return Block{}, atoll.Errorf(atoll.DataLoss, "the block at position %d is damaged: %v", rec.Position, err)
	}
	out := Block{
		Position: rec.Position, Epoch: rec.Epoch, Height: b.Height, Time: b.Time.String(), Reserved: b.Reserved.String(),
		Semantics: b.Semantics, Prev: rec.Prev.String(), Hash: wire.Sum(e.Record).String(), Digest: e.Digest.String(),
		Bytes: len(e.Record), Messages: []Message{},
	}
	for i := range b.Messages {
		out.Messages = append(out.Messages, message(&b.Messages[i]))
	}
	for _, s := range b.Slices {
		for i, l := range s.Letters {
			out.Letters = append(out.Letters, Letter{
				Subnet: s.From, Number: s.First + uint64(i), From: name(l.From), To: name(l.To),
				Reply: l.IsReply, Method: l.Method, Payload: payload(l.Method, l.Payload, l.Err),
			})
		}
	}
	return out, nil
}

func message(m *atoll.Message) Message {
	out := Message{ID: m.ID.String(), From: name(m.From), Method: m.Method, Bytes: len(m.Payload), Payload: payload(m.Method, m.Payload, nil)}
	for _, to := range m.To {
		out.To = append(out.To, name(to))
	}
	return out
}

// name returns a principal with the word for those that have one.
func name(p atoll.Principal) string {
	switch p {
	case atoll.Management:
		return "management"
	case atoll.Anonymous:
		return "anonymous"
	}
	return p.String()
}

// payload shows what a message says: of a commit its writes, otherwise CBOR.
func payload(method string, b []byte, failure *atoll.Error) string {
	if failure != nil {
		return "failed: " + failure.Error()
	}
	var commit shard.CommitRequest
	if method != shard.MethodCommit || wire.Unmarshal(b, &commit) != nil || len(commit.Targets) == 0 {
		return Diagnose(b)
	}
	lines := make([]string, len(commit.Writes))
	for i := range commit.Writes {
		lines[i] = write(&commit.Writes[i])
	}
	return strings.Join(lines, "\n")
}

func write(w *shard.Write) string {
	op := map[shard.Op]string{shard.OpSet: "set", shard.OpDelete: "delete", shard.OpVerify: "verify"}[w.Op]
	if op == "" {
		op = fmt.Sprintf("operation %d", w.Op)
	}
	text := op + " " + string(w.Path)
	if w.Doc != nil {
		text += " " + Document(w.Doc)
	}
	if w.HasMask {
		text += fmt.Sprintf(" mask %q", w.Mask)
	}
	for _, t := range w.Transforms {
		text += fmt.Sprintf(" transform %s by %d", t.Field, t.Kind)
	}
	if w.Exists != nil {
		text += fmt.Sprintf(" if exists is %t", *w.Exists)
	}
	if w.UpdateTime != nil {
		text += " if updated at " + w.UpdateTime.String()
	}
	return text
}
