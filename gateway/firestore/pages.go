package firestore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"atoll"
)

// A page token is base64url of: a format byte, 8 bytes of a hash, and the
// place behind which the next page begins: an id, or what the method makes of it. The hash covers that place and the request
// (but its page size), so that a token that was damaged, or belongs to another
// request, is refused instead of answered wrongly. It keeps nobody from
// anything: who can read a collection may begin where they like.
const (
	pageFormat   = 1
	pageHashLen  = 8
	maxPageToken = (1 + pageHashLen + atoll.MaxPathLen) * 2
)

// pageShape is what the requests for the pages of one list have in common.
type pageShape struct {
	method, parent, collection string
	missing                    bool
	readTime                   atoll.Time
}

func (s pageShape) hash(after string) []byte {
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{s.method, s.parent, s.collection, after} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	binary.BigEndian.PutUint64(n[:], uint64(s.readTime))
	h.Write(n[:])
	if s.missing {
		h.Write([]byte{1})
	}
	return h.Sum(nil)[:pageHashLen]
}

// token returns the token for the page behind an id.
func (s pageShape) token(after string) string {
	b := append([]byte{pageFormat}, s.hash(after)...)
	return base64.RawURLEncoding.EncodeToString(append(b, after...))
}

// after reads a token; the empty one means the first page.
func (s pageShape) after(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	if len(token) <= maxPageToken {
		b, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err == nil && len(b) > 1+pageHashLen && b[0] == pageFormat {
			after := string(b[1+pageHashLen:])
			if string(s.hash(after)) == string(b[1:1+pageHashLen]) {
				return after, nil
			}
		}
	}
	return "", atoll.Errorf(atoll.Invalid, "the page_token does not belong to this request; only page_size may change between pages")
}

// pageSize bounds what a client asks for; 0 leaves the choice to the server.
func pageSize(asked int32, otherwise, most int) (int, error) {
	switch {
	case asked < 0:
		return 0, atoll.Errorf(atoll.Invalid, "page_size is %d; it must not be negative", asked)
	case asked == 0:
		return otherwise, nil
	}
	return min(int(asked), most), nil
}
