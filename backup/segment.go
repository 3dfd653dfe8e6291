package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"atoll"
	"atoll/kv/mem"
	"atoll/log/local"
	"atoll/subnet"
	"atoll/wire"
)

// A stored log begins with this line. Then come entries, each as its length (4
// bytes, big-endian) and a local.Entry as CBOR.
const segmentMagic = "atoll log 1\n"

// maxEntry is the longest that a stored entry may be, in bytes; it is far above
// the largest block.
const maxEntry = 1 << 30

// pieceBytes is the size at which a stored log is cut, in bytes. A piece is held
// in memory while it is written; it may be longer by one entry.
const pieceBytes = 32 << 20

// writeSegments stores the entries of r behind from whose blocks have a time at
// or before cut, in pieces, which follow from the entries alone: a backup that is
// repeated finds those that it has stored.
func writeSegments(ctx context.Context, v vault, r atoll.Reader, from Point, cut atoll.Time) (list []Object, end Point, err error) {
	chain, err := from.chain()
	if err != nil {
		return nil, from, err
	}
	end = from
	var piece bytes.Buffer
	flush := func() error {
		if piece.Len() == 0 {
			return nil
		}
		o, err := store(ctx, v, bytes.NewReader(piece.Bytes()))
		list = append(list, o)
		piece.Reset()
		return err
	}
	for e, err := range local.Tail(r, chain.Position+1) {
		if err != nil {
			return nil, end, tooOld(err)
		}
		block, next, chained, err := chain.Follow(e.Record)
		if err != nil {
			return nil, end, err
		}
		if !chained {
			return nil, end, atoll.Errorf(atoll.FailedPrecondition, "the log does not go on from the backup before: the node has been restored, or is another one. Make a full backup")
		}
		if block.Time > cut {
			break
		}
		if piece.Len() == 0 {
			piece.WriteString(segmentMagic)
		}
		raw := wire.Marshal(e)
		piece.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw))))
		piece.Write(raw)
		chain = next
		end = Point{Epoch: chain.Epoch, Position: chain.Position, Record: chain.Hash.String(), Height: e.Height, Digest: e.Digest.String()}
		if piece.Len() >= pieceBytes {
			if err := flush(); err != nil {
				return nil, end, err
			}
		}
	}
	err = flush()
	return list, end, err
}

// tooOld says what to do about a log that no longer reaches back to a backup.
func tooOld(err error) error {
	if atoll.KindOf(err) != atoll.NotFound {
		return err
	}
	return atoll.Errorf(atoll.FailedPrecondition, "%s: too many blocks came since the backup before. Make a full backup", atoll.AsError(err).Msg)
}

// readSegment shows the entries of a stored log. It fails with DataLoss.
func readSegment(r io.Reader, show func(local.Entry) error) error {
	in := bufio.NewReaderSize(r, 1<<20)
	var magic [len(segmentMagic)]byte
	if _, err := io.ReadFull(in, magic[:]); err != nil || string(magic[:]) != segmentMagic {
		return damaged("a log of the backup does not begin as it should")
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return damaged("a log of the backup ends within an entry")
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxEntry {
			return damaged("a log of the backup has an entry of %d bytes", n)
		}
		var raw bytes.Buffer // grows with what is there, whatever n says
		if _, err := io.CopyN(&raw, in, int64(n)); err != nil {
			return damaged("a log of the backup ends within an entry")
		}
		var e local.Entry
		if err := wire.Unmarshal(raw.Bytes(), &e); err != nil {
			return damaged("a log of the backup has an entry that is damaged: %v", err)
		}
		if err := show(e); err != nil {
			return err
		}
	}
}

// chunkBytes is how much of a log is held in memory to be executed.
const chunkBytes = 16 << 20

// replayer executes a stored log on a store, a chunk at a time.
type replayer struct {
	machine  *subnet.Machine
	store    *lastCommit
	position atoll.Position // of the last entry that was added
	chunk    *atoll.Batch
	progress func(atoll.Height)
}

func (p *replayer) add(e local.Entry) error {
	p.position++
	head := subnet.Head{Chain: subnet.Chain{Position: p.position}, Height: e.Height, Digest: e.Digest}
	local.Append(p.chunk, e.Record, head, e.Total-uint64(len(e.Record)))
	if p.chunk.Bytes < chunkBytes {
		return nil
	}
	return p.flush()
}

// flush executes what was added, and returns when it is durable.
func (p *replayer) flush() error {
	part := mem.New()
	defer part.Close()
	if _, err := part.Apply(p.chunk); err != nil {
		return err
	}
	p.chunk = new(atoll.Batch)
	if err := local.Replay(part, p.machine, p.store, p.progress); err != nil {
		return err
	}
	if p.store.last == nil {
		return nil
	}
	return p.store.last.Wait()
}

// lastCommit is a store that remembers the promise of its last batch; those
// before it are durable when that one is.
type lastCommit struct {
	atoll.Store
	last atoll.Commit
}

// Apply implements atoll.Store.
func (s *lastCommit) Apply(b *atoll.Batch) (c atoll.Commit, err error) {
	s.last, err = s.Store.Apply(b)
	return s.last, err
}
