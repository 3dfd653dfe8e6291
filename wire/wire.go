// Package wire encodes what is logged and sent: CBOR (RFC 8949) in its core
// deterministic encoding, so that equal values have equal bytes, with limits on
// what it accepts from outside. Unknown fields are ignored, so that an older
// reader understands a newer writer.
package wire

import (
	"crypto/sha256"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"atoll"
)

// MaxNesting is the deepest that arrays and maps may nest in accepted bytes.
const MaxNesting = 48

var (
	enc = must(cbor.CoreDetEncOptions().EncMode())
	dec = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  MaxNesting,
		MaxArrayElements: 1 << 20,
		MaxMapPairs:      1 << 16,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal encodes v, which must be of a type made for it: it panics on a type
// that CBOR cannot hold.
func Marshal(v any) []byte {
	if a, ok := v.(Encoder); ok {
		if b, ok := a.EncodeWire(); ok {
			return b
		}
	}
	return must(enc.Marshal(v))
}

// Unmarshal decodes one value that fills b. It fails with Invalid, naming the
// type and the offence.
func Unmarshal(b []byte, v any) error {
	if p, ok := v.(Parser); ok && p.ParseWire(b) {
		return nil
	}
	if err := dec.Unmarshal(b, v); err != nil {
		return &atoll.Error{Kind: atoll.Invalid, Msg: "malformed message", Detail: strings.TrimPrefix(err.Error(), "cbor: ")}
	}
	return nil
}

// Diagnose returns b in CBOR's diagnostic notation (RFC 8949, section 8), for
// people to read.
func Diagnose(b []byte) (string, error) { return cbor.Diagnose(b) }

// Sum returns the hash of an encoded record or payload: SHA-256 of its bytes.
func Sum(b []byte) atoll.Hash { return sha256.Sum256(b) }
