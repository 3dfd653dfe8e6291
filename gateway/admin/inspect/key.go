package inspect

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"atoll"
	"atoll/keys"
)

// Space is a part of a store's keys: Lo <= key < Hi.
type Space struct {
	Name, What string
	Lo, Hi     []byte
}

// Spaces returns all parts of a subnet's store, in order.
func Spaces() []Space {
	part := func(name, what string, first byte) Space {
		return Space{name, what, []byte{first}, []byte{first + 1}}
	}
	return []Space{
		part("head", "where the subnet stands", keys.SpaceMeta),
		part("log", "records of blocks", keys.SpaceLog),
		part("canisters", "records of canisters and their calls", keys.SpaceCanisters),
		part("queues", "letters that wait for a canister", keys.SpaceQueues),
		part("streams", "letters to and from other subnets", keys.SpaceStreams),
		part("private", "the canisters' own keys", keys.SpacePrivate),
		part("ranges", "documents, feed and results", keys.SpaceRanges),
	}
}

// FindSpace returns a space by its name. It fails with Invalid, naming those
// that there are.
func FindSpace(name string) (Space, error) {
	var names []string
	for _, s := range Spaces() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Space{}, atoll.Errorf(atoll.Invalid, "there is no space %q in a store; there are %q", name, names)
}

var familySpaces = map[keys.Space]string{
	keys.Documents: "documents", keys.Feed: "feed", keys.Requests: "requests",
	keys.Transactions: "transactions", keys.Index: "index", keys.PastIndex: "past index",
}

// Key returns a key in words; one of unknown form in hexadecimal.
func Key(key []byte) string {
	if text := describe(key); text != "" {
		return text
	}
	return fmt.Sprintf("%x", key)
}

// describe returns "" for a key of unknown form.
func describe(key []byte) string {
	if len(key) == 0 {
		return ""
	}
	switch rest := key[1:]; key[0] {
	case keys.SpaceMeta:
		return "head: " + string(rest)
	case keys.SpaceLog:
		if len(rest) == 8 {
			return fmt.Sprintf("log record at position %d", binary.BigEndian.Uint64(rest))
		}
	case keys.SpaceCanisters:
		return describeCanister(rest)
	case keys.SpaceQueues:
		if id, n, ok := cutNumbered(rest); ok {
			return fmt.Sprintf("letter %d for %s", n, id)
		}
	case keys.SpaceStreams:
		return describeStream(rest)
	case keys.SpacePrivate:
		if id, own, ok := cutID(rest); ok {
			return fmt.Sprintf("%s: %s", id, printable(own))
		}
	case keys.SpaceRanges:
		return describeRange(key)
	}
	return ""
}

func describeCanister(rest []byte) string {
	if len(rest) == 0 {
		return ""
	}
	id, call, ok := cutID(rest[1:])
	switch {
	case ok && rest[0] == 0 && len(call) == 0:
		return "canister " + id.String()
	case ok && rest[0] == 1 && len(call) == 8:
		return fmt.Sprintf("call %d made by %s", binary.BigEndian.Uint64(call), id)
	case ok && rest[0] == 2 && len(call) == 8:
		return fmt.Sprintf("call %d deferred by %s", binary.BigEndian.Uint64(call), id)
	}
	return ""
}

func describeStream(rest []byte) string {
	switch {
	case len(rest) == 5 && rest[0] == 0:
		return fmt.Sprintf("stream with subnet %d", binary.BigEndian.Uint32(rest[1:]))
	case len(rest) == 13 && rest[0] == 1:
		return fmt.Sprintf("letter %d to subnet %d", binary.BigEndian.Uint64(rest[5:]), binary.BigEndian.Uint32(rest[1:]))
	}
	return ""
}

func describeRange(key []byte) string {
	family, space, _, err := keys.CutHead(key)
	if err != nil {
		return ""
	}
	name := familySpaces[space]
	if name == "" {
		name = "space " + strconv.Itoa(int(space))
	}
	head := fmt.Sprintf("family %d, %s: ", family, name)
	switch space {
	case keys.Documents:
		if _, doc, at, err := keys.ParseVersion(key); err == nil {
			return head + path(doc) + " at " + at.String()
		}
	case keys.Feed:
		if _, rng, at, doc, err := keys.ParseFeedKey(key); err == nil {
			return head + fmt.Sprintf("range %d at %s: %s", rng, at, path(doc))
		}
	case keys.Requests:
		if _, doc, id, err := keys.ParseRequestKey(key); err == nil {
			return head + id.String() + " for " + path(doc)
		}
	case keys.Index:
		return head + indexEntry(key)
	case keys.PastIndex:
		if entry, ended, err := keys.CutEnded(key); err == nil {
			return head + indexEntry(entry) + " until " + ended.String()
		}
	}
	return ""
}

// indexEntry names the index of an entry; the rest is in the form of its index.
func indexEntry(key []byte) string {
	const head = 6 // the space of families, the family and its space
	if len(key) < head+4 {
		return fmt.Sprintf("entry %x", key)
	}
	return fmt.Sprintf("index %d, entry %x", binary.BigEndian.Uint32(key[head:]), key[head+4:])
}

func path(docKey []byte) string {
	p, err := keys.ParseDocKey(docKey)
	if err != nil {
		return fmt.Sprintf("%x", docKey)
	}
	return string(p)
}

// cutID splits an id, one byte of length and its bytes, from what follows.
func cutID(b []byte) (id atoll.Principal, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return atoll.Principal(b[1:n]), b[n:], true
}

func cutNumbered(b []byte) (id atoll.Principal, n uint64, ok bool) {
	id, rest, ok := cutID(b)
	if !ok || len(rest) != 8 {
		return "", 0, false
	}
	return id, binary.BigEndian.Uint64(rest), true
}

// printable returns text as it is, quoted, and other bytes in hexadecimal.
func printable(b []byte) string {
	for _, c := range b {
		if c < ' ' && c != 0 || c >= 0x7f {
			return fmt.Sprintf("%x", b)
		}
	}
	return strconv.Quote(string(b))
}
