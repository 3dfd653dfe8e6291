package shard

import (
	"bytes"
	"math"

	"atoll"
	"atoll/wire"
)

// The messages of reads and commits, and the descriptor that each of them looks
// at, read and write their encoding themselves (wire.Parser, wire.Encoder):
// reflection took a tenth of a request's time. What these do not know, such as
// transforms, is left to package wire.

// maxParsed is the most items of an array that are read here.
const maxParsed = MaxWrites

// ParseWire implements wire.Parser.
func (d *Descriptor) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			d.Range = RangeID(c.Uint(math.MaxUint64))
		case 2:
			d.Epoch = RangeEpoch(c.Uint(math.MaxUint64))
		case 3:
			d.Database = parseDatabase(c)
		case 4:
			d.Family = Family(c.Uint(math.MaxUint32))
		case 5:
			d.Start = bytes.Clone(c.Bytes()) // of a value that may be read for a while only
		case 6:
			d.End = bytes.Clone(c.Bytes())
		case 7:
			if id := c.Bytes(); len(id) <= atoll.MaxPrincipalLen {
				d.Shard = atoll.CanisterID(id)
			} else {
				c.Fail()
			}
		case 8:
			d.Subnet = atoll.SubnetID(c.Uint(math.MaxUint32))
		case 9:
			d.Lease = atoll.Time(c.Int64())
		default:
			c.Fail()
		}
	}
	return parsed(c, d)
}

// parsed reports whether all was read into v, and empties it if not.
func parsed[T any](c *wire.Cursor, v *T) bool {
	if c.Done() {
		return true
	}
	*v = *new(T)
	return false
}

func parseDatabase(c *wire.Cursor) (db atoll.Database) {
	for key := range c.Fields() {
		switch key {
		case 1:
			db.Project = c.Text()
		case 2:
			db.ID = c.Text()
		default:
			c.Fail()
		}
	}
	return db
}

func parseTarget(c *wire.Cursor) (t Target) {
	for key := range c.Fields() {
		switch key {
		case 1:
			t.Range = RangeID(c.Uint(math.MaxUint64))
		case 2:
			t.Epoch = RangeEpoch(c.Uint(math.MaxUint64))
		default:
			c.Fail()
		}
	}
	return t
}

func appendTarget(dst []byte, t Target) []byte {
	dst = wire.AppendUint(append(wire.AppendMap(dst, 2), 1), uint64(t.Range))
	return wire.AppendUint(append(dst, 2), uint64(t.Epoch))
}

// ParseWire implements wire.Parser.
func (r *CommitRequest) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Targets = make([]Target, c.Array(maxParsed))
			for i := range r.Targets {
				r.Targets[i] = parseTarget(c)
			}
		case 2:
			r.Writes = make([]Write, c.Array(maxParsed))
			for i := range r.Writes {
				r.Writes[i].parse(c)
			}
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

// ParseWire implements wire.Parser.
func (r *ApplyRequest) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Target = parseTarget(c)
		case 2:
			r.Writes = make([]Write, c.Array(MaxApply))
			for i := range r.Writes {
				r.Writes[i].parse(c)
			}
		case 3:
			r.IDs = make([]atoll.RequestID, c.Array(MaxApply))
			for i := range r.IDs {
				if id := c.Bytes(); copy(r.IDs[i][:], id) != len(id) || len(id) != len(r.IDs[i]) {
					c.Fail()
				}
			}
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

// EncodeWire implements wire.Encoder.
func (r ApplyRequest) EncodeWire() ([]byte, bool) {
	if r.Writes == nil || r.IDs == nil {
		return nil, false
	}
	size := 32 + 17*len(r.IDs)
	for i := range r.Writes {
		size += 32 + len(r.Writes[i].Path) + len(r.Writes[i].Doc)
	}
	dst := appendTarget(append(wire.AppendMap(make([]byte, 0, size), 3), 1), r.Target)
	dst = wire.AppendArray(append(dst, 2), len(r.Writes))
	for i := range r.Writes {
		var ok bool
		if dst, ok = r.Writes[i].append(dst); !ok {
			return nil, false
		}
	}
	dst = wire.AppendArray(append(dst, 3), len(r.IDs))
	for i := range r.IDs {
		dst = wire.AppendBytes(dst, r.IDs[i][:])
	}
	return dst, true
}

func (w *Write) parse(c *wire.Cursor) {
	for key := range c.Fields() {
		switch key {
		case 1:
			w.Op = Op(c.Uint(math.MaxUint8))
		case 2:
			w.Path = atoll.Path(c.Text())
		case 3:
			w.Doc = c.Bytes()
		case 4:
			w.Mask = make([]string, c.Array(maxParsed))
			for i := range w.Mask {
				w.Mask[i] = c.Text()
			}
		case 5:
			w.HasMask = c.Bool()
		case 7:
			exists := c.Bool()
			w.Exists = &exists
		case 8:
			at := atoll.Time(c.Int64())
			w.UpdateTime = &at
		default:
			c.Fail()
		}
	}
}

// EncodeWire implements wire.Encoder.
func (r CommitRequest) EncodeWire() ([]byte, bool) {
	if r.Targets == nil || r.Writes == nil || len(r.Documents)+len(r.Queries) > 0 {
		return nil, false
	}
	size := 16 + 16*len(r.Targets)
	for i := range r.Writes {
		size += 32 + len(r.Writes[i].Path) + len(r.Writes[i].Doc)
	}
	dst := append(wire.AppendMap(make([]byte, 0, size), 2), 1)
	dst = wire.AppendArray(dst, len(r.Targets))
	for _, t := range r.Targets {
		dst = appendTarget(dst, t)
	}
	dst = wire.AppendArray(append(dst, 2), len(r.Writes))
	for i := range r.Writes {
		var ok bool
		if dst, ok = r.Writes[i].append(dst); !ok {
			return nil, false
		}
	}
	return dst, true
}

func (w *Write) append(dst []byte) ([]byte, bool) {
	if len(w.Transforms) > 0 || w.UpdateTime != nil && *w.UpdateTime < 0 {
		return nil, false
	}
	head := len(dst)
	n := 2
	dst = wire.AppendUint(append(wire.AppendMap(dst, 0), 1), uint64(w.Op))
	dst = wire.AppendText(append(dst, 2), string(w.Path))
	if len(w.Doc) > 0 {
		dst = wire.AppendBytes(append(dst, 3), w.Doc)
		n++
	}
	if len(w.Mask) > 0 {
		dst = wire.AppendArray(append(dst, 4), len(w.Mask))
		for _, field := range w.Mask {
			dst = wire.AppendText(dst, field)
		}
		n++
	}
	if w.HasMask {
		dst = wire.AppendBool(append(dst, 5), true)
		n++
	}
	if w.Exists != nil {
		dst = wire.AppendBool(append(dst, 7), *w.Exists)
		n++
	}
	if w.UpdateTime != nil {
		dst = wire.AppendUint(append(dst, 8), uint64(*w.UpdateTime))
		n++
	}
	wire.AppendMap(dst[:head], n) // of less than 24 fields: one byte, as before
	return dst, true
}

// ParseWire implements wire.Parser.
func (r *CommitReply) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Time = atoll.Time(c.Int64())
		case 2:
			r.Results = make([]WriteResult, c.Array(maxParsed))
			for i := range r.Results {
				for key := range c.Fields() {
					if key != 1 {
						c.Fail()
						break
					}
					r.Results[i].UpdateTime = atoll.Time(c.Int64())
				}
			}
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

// EncodeWire implements wire.Encoder.
func (r *CommitReply) EncodeWire() ([]byte, bool) {
	if r.Results == nil || r.Time < 0 {
		return nil, false
	}
	dst := make([]byte, 0, 16+16*len(r.Results))
	dst = wire.AppendUint(append(wire.AppendMap(dst, 2), 1), uint64(r.Time))
	dst = wire.AppendArray(append(dst, 2), len(r.Results))
	for i := range r.Results {
		w := &r.Results[i]
		if len(w.Results) > 0 || w.UpdateTime < 0 {
			return nil, false
		}
		if w.UpdateTime == 0 {
			dst = wire.AppendMap(dst, 0)
			continue
		}
		dst = wire.AppendUint(append(wire.AppendMap(dst, 1), 1), uint64(w.UpdateTime))
	}
	return dst, true
}

// ParseWire implements wire.Parser.
func (r *GetRequest) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Target = parseTarget(c)
		case 2:
			r.Paths = make([]atoll.Path, c.Array(MaxPage))
			for i := range r.Paths {
				r.Paths[i] = atoll.Path(c.Text())
			}
		case 3:
			r.At = atoll.Time(c.Int64())
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

// EncodeWire implements wire.Encoder.
func (r GetRequest) EncodeWire() ([]byte, bool) {
	if r.Paths == nil || r.At < 0 {
		return nil, false
	}
	n := 2
	if r.At > 0 {
		n++
	}
	size := 48
	for _, p := range r.Paths {
		size += 8 + len(p)
	}
	dst := appendTarget(append(wire.AppendMap(make([]byte, 0, size), n), 1), r.Target)
	dst = wire.AppendArray(append(dst, 2), len(r.Paths))
	for _, p := range r.Paths {
		dst = wire.AppendText(dst, string(p))
	}
	if r.At > 0 {
		dst = wire.AppendUint(append(dst, 3), uint64(r.At))
	}
	return dst, true
}

// ParseWire implements wire.Parser.
func (r *GetReply) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Time = atoll.Time(c.Int64())
		case 2:
			r.Documents = make([]Document, c.Array(MaxPage))
			for i := range r.Documents {
				for key := range c.Fields() {
					r.Documents[i].parse(c, key)
				}
			}
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

// parse reads one field.
func (d *Document) parse(c *wire.Cursor, key int) {
	switch key {
	case 1:
		d.Path = atoll.Path(c.Text())
	case 2:
		d.Doc = c.Bytes()
	case 3:
		d.Created = atoll.Time(c.Int64())
	case 4:
		d.Updated = atoll.Time(c.Int64())
	case 5:
		d.Revision = c.Uint(math.MaxUint64)
	default:
		c.Fail()
	}
}

// EncodeWire implements wire.Encoder.
func (r *GetReply) EncodeWire() ([]byte, bool) {
	if r.Documents == nil || r.Time < 0 {
		return nil, false
	}
	size := 32
	for i := range r.Documents {
		size += r.Documents[i].size()
	}
	dst := wire.AppendUint(append(wire.AppendMap(make([]byte, 0, size), 2), 1), uint64(r.Time))
	dst = wire.AppendArray(append(dst, 2), len(r.Documents))
	for i := range r.Documents {
		d := &r.Documents[i]
		if d.Created < 0 || d.Updated < 0 {
			return nil, false
		}
		dst = d.append(wire.AppendMap(dst, d.fields()))
	}
	return dst, true
}

// size is about what a document takes when it is encoded.
func (d *Document) size() int { return 48 + len(d.Path) + len(d.Doc) }

// fields returns how many fields append writes.
func (d *Document) fields() int {
	n := 1
	for _, present := range [...]bool{len(d.Doc) > 0, d.Created != 0, d.Updated != 0, d.Revision != 0} {
		if present {
			n++
		}
	}
	return n
}

// append writes the fields of a document whose times are not negative, without
// the map's head.
func (d *Document) append(dst []byte) []byte {
	dst = wire.AppendText(append(dst, 1), string(d.Path))
	if len(d.Doc) > 0 {
		dst = wire.AppendBytes(append(dst, 2), d.Doc)
	}
	if d.Created != 0 {
		dst = wire.AppendUint(append(dst, 3), uint64(d.Created))
	}
	if d.Updated != 0 {
		dst = wire.AppendUint(append(dst, 4), uint64(d.Updated))
	}
	if d.Revision != 0 {
		dst = wire.AppendUint(append(dst, 5), d.Revision)
	}
	return dst
}

// ParseWire implements wire.Parser.
func (r *QueryReply) ParseWire(b []byte) bool {
	c := wire.NewCursor(b)
	for key := range c.Fields() {
		switch key {
		case 1:
			r.Time = atoll.Time(c.Int64())
		case 2:
			r.Found = make([]Found, c.Array(MaxPage))
			for i := range r.Found {
				for key := range c.Fields() {
					if key == 10 {
						r.Found[i].Key = c.Bytes()
						continue
					}
					r.Found[i].Document.parse(c, key)
				}
			}
		case 3:
			r.Next = c.Bytes()
		case 4:
			r.Skipped = int(c.Uint(math.MaxInt32))
		case 5:
			r.Stats.parse(c)
		default:
			c.Fail()
		}
	}
	return parsed(c, r)
}

func (s *QueryStats) parse(c *wire.Cursor) {
	for key := range c.Fields() {
		if key == 5 {
			s.Plan = c.Text()
			continue
		}
		n := int(c.Uint(math.MaxInt32))
		switch key {
		case 1:
			s.Seeks = n
		case 2:
			s.Keys = n
		case 3:
			s.Documents = n
		case 4:
			s.Results = n
		case 6:
			s.Needed = n
		default:
			c.Fail()
		}
	}
}

// EncodeWire implements wire.Encoder.
func (r *QueryReply) EncodeWire() ([]byte, bool) {
	if r.Time < 0 || r.Skipped < 0 || !r.Stats.plain() {
		return nil, false
	}
	size := 64 + len(r.Next)
	for i := range r.Found {
		size += r.Found[i].size() + len(r.Found[i].Key) + 8
	}
	n := 2
	dst := wire.AppendUint(append(wire.AppendMap(make([]byte, 0, size), 0), 1), uint64(r.Time))
	if len(r.Found) > 0 {
		dst = wire.AppendArray(append(dst, 2), len(r.Found))
		for i := range r.Found {
			f := &r.Found[i]
			if f.Distance != nil || f.Created < 0 || f.Updated < 0 {
				return nil, false
			}
			dst = f.append(wire.AppendMap(dst, f.fields()+1))
			dst = wire.AppendBytes(append(dst, 10), f.Key)
		}
		n++
	}
	if len(r.Next) > 0 {
		dst = wire.AppendBytes(append(dst, 3), r.Next)
		n++
	}
	if r.Skipped > 0 {
		dst = wire.AppendUint(append(dst, 4), uint64(r.Skipped))
		n++
	}
	wire.AppendMap(dst[:0], n) // of less than 24 fields: one byte, as before
	return r.Stats.append(append(dst, 5)), true
}

// plain reports whether append can write the figures.
func (s *QueryStats) plain() bool {
	return s.Plan == "" && min(s.Seeks, s.Keys, s.Documents, s.Results, s.Needed) >= 0
}

func (s *QueryStats) append(dst []byte) []byte {
	head, n := len(dst), 0
	dst = wire.AppendMap(dst, 0)
	for _, f := range [...]struct {
		key byte
		n   int
	}{{1, s.Seeks}, {2, s.Keys}, {3, s.Documents}, {4, s.Results}, {6, s.Needed}} {
		if f.n > 0 {
			dst = wire.AppendUint(append(dst, f.key), uint64(f.n))
			n++
		}
	}
	wire.AppendMap(dst[:head], n)
	return dst
}
