package shard

import (
	"bytes"

	"atoll"
	"atoll/planted"
)

// prefixSeeker is what a reader may offer besides: the first key at or after
// key that is a version of the same document. Stores answer it from bloom
// filters where the document does not exist.
type prefixSeeker interface {
	SeekPrefixGE(key []byte) (k, v []byte, ok bool, err error)
}

// newest returns the newest version of a document at or before a time.
func newest(r atoll.Reader, f Family, docKey []byte, at atoll.Time) (v version, ok bool, err error) {
	from, to := versionSpan(f, docKey, at)
	if s, can := r.(prefixSeeker); can {
		key, value, ok, err := s.SeekPrefixGE(from)
		if err != nil || !ok {
			return v, false, err
		}
		v, err = readVersion(key, value)
		return v, err == nil, err
	}
	it := r.Iter(from, to)
	if !it.SeekGE(from) {
		return v, false, it.Close()
	}
	v, err = readVersion(it.Key(), bytes.Clone(it.Value()))
	if err != nil {
		return v, false, closeAfter(it, err)
	}
	return v, true, it.Close()
}

// readTime checks the time that a query asks for and returns the one to read
// at: 0 means all that is durable.
func readTime(v atoll.View, at atoll.Time) (atoll.Time, error) {
	now := v.Turn().Now
	if at == 0 {
		return now, nil
	}
	h, err := loadHorizons(v.State())
	switch {
	case err != nil:
		return 0, err
	case at < h.Versions || at < 0:
		return 0, atoll.Errorf(atoll.FailedPrecondition, "The requested snapshot version is too old: %s is before %s, from which on versions are kept", at, h.Versions)
	case at > now:
		return 0, atoll.Errorf(atoll.OutOfRange, "the read time %s is after %s, up to which all is durable; wait for it", at, now)
	}
	return at, nil
}

// get reads documents by path. The reply may hold fewer than were asked for
// (see MaxReplyBytes), in their order.
func (p Program) get(v atoll.View, req *GetRequest) (*GetReply, error) {
	if len(req.Paths) > MaxPage {
		return nil, atoll.Errorf(atoll.Invalid, "%d documents in one request; %d are allowed", len(req.Paths), MaxPage)
	}
	at, err := readTime(v, req.At)
	if err != nil {
		return nil, err
	}
	var near atoll.Path
	if len(req.Paths) > 0 {
		near = req.Paths[0]
	}
	d, err := resolve(v.State(), req.Target, near)
	if err != nil {
		return nil, err
	}
	seen := at
	if p.planted.Has(planted.ReadWrongTime) {
		seen = v.Turn().Now
	}
	reply := &GetReply{Time: at, Documents: make([]Document, 0, len(req.Paths))}
	var size int
	for _, path := range req.Paths {
		key, err := documentKey(path)
		if err != nil {
			return nil, err
		}
		if !d.Contains(key) {
			return nil, outside(d, path)
		}
		doc := Document{Path: path}
		found, ok, err := newest(v.Ranges(), d.Family, key, seen)
		if err != nil {
			return nil, err
		}
		if ok {
			doc = found.document(path)
		}
		size += len(doc.Path) + len(doc.Doc)
		if size > MaxReplyBytes && len(reply.Documents) > 0 {
			break
		}
		reply.Documents = append(reply.Documents, doc)
	}
	return reply, nil
}
