package mem

import (
	"encoding/binary"
	"hash/crc32"

	"atoll"
	"atoll/kv"
)

// The journal is a row of frames, one for each batch:
//
//	length  uint32  of the operations, little endian
//	crc     uint32  CRC-32C of what follows
//	seq     uint64  one more than that of the frame before
//	ops             kind, length of key, key, length of value, value; lengths
//	                as unsigned varints
const frameHead = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the frame of a batch.
func appendFrame(dst []byte, seq uint64, b *atoll.Batch) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 8)...)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	for _, op := range b.Ops {
		dst = append(dst, byte(op.Kind))
		dst = append(binary.AppendUvarint(dst, uint64(len(op.Key))), op.Key...)
		dst = append(binary.AppendUvarint(dst, uint64(len(op.Value))), op.Value...)
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameHead))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst
}

// readFrame reads the frame at the beginning of b and returns its size. ok is
// false if there is no whole, unharmed frame. The batch refers to b.
func readFrame(b []byte) (seq uint64, batch *atoll.Batch, size int, ok bool) {
	if len(b) < frameHead {
		return 0, nil, 0, false
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > len(b)-frameHead {
		return 0, nil, 0, false
	}
	size = frameHead + n
	if crc32.Checksum(b[8:size], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, 0, false
	}
	batch, ok = readOps(b[frameHead:size])
	return binary.LittleEndian.Uint64(b[8:]), batch, size, ok
}

// readOps reads a batch that a store would execute.
func readOps(b []byte) (*atoll.Batch, bool) {
	batch := &atoll.Batch{}
	for len(b) > 0 {
		op, rest, ok := readOp(b)
		if !ok {
			return nil, false
		}
		b = rest
		batch.Ops = append(batch.Ops, op)
		batch.Bytes += len(op.Key) + len(op.Value)
	}
	return batch, kv.Check(batch) == nil
}

func readOp(b []byte) (op atoll.Op, rest []byte, ok bool) {
	op.Kind = atoll.OpKind(b[0])
	if op.Key, rest, ok = readBytes(b[1:]); !ok {
		return op, nil, false
	}
	op.Value, rest, ok = readBytes(rest)
	return op, rest, ok
}

func readBytes(b []byte) (v, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	return b[w : w+int(n)], b[w+int(n):], true
}

// replay executes a journal from an empty state. It returns the state, the last
// seq, and how many bytes of how many frames are whole. It fails with DataLoss
// if a frame is bad that lies below synced, or that a good one follows: neither
// can come from a crash.
func replay(journal []byte, synced int) (t *tree, last uint64, whole, frames int, err error) {
	t = newTree()
	for whole < len(journal) {
		seq, b, size, ok := readFrame(journal[whole:])
		if !ok || (frames > 0 && seq != last+1) {
			if whole < synced || frameFollows(journal[whole+1:], last) {
				return nil, 0, 0, 0, atoll.Errorf(atoll.DataLoss,
					"frame %d of the journal, at byte %d of %d, is damaged; it was durable up to byte %d",
					frames+1, whole, len(journal), synced)
			}
			return t, last, whole, frames, nil
		}
		apply(t, b)
		last, whole, frames = seq, whole+size, frames+1
	}
	if whole < synced {
		return nil, 0, 0, 0, atoll.Errorf(atoll.DataLoss, "the journal ends at byte %d; it was durable up to byte %d", whole, synced)
	}
	return t, last, whole, frames, nil
}

// mend makes a whole frame of what is left of one that a crash tore: the planted
// defect of a recovery that believes it.
func mend(journal []byte) []byte {
	whole, next := 0, uint64(1)
	for {
		seq, _, size, ok := readFrame(journal[whole:])
		if !ok {
			break
		}
		whole, next = whole+size, seq+1
	}
	b := &atoll.Batch{}
	for rest := journal[min(whole+frameHead, len(journal)):]; len(rest) > 0; {
		op, left, ok := readOp(rest)
		if !ok || op.Kind == 0 {
			break
		}
		b.Ops, rest = append(b.Ops, op), left
	}
	if len(b.Ops) == 0 {
		return journal
	}
	return appendFrame(journal[:whole:whole], next, b)
}

// frameFollows reports whether a good frame that is younger than seq begins
// anywhere in b.
func frameFollows(b []byte, seq uint64) bool {
	for ; len(b) >= frameHead; b = b[1:] {
		if binary.LittleEndian.Uint64(b[8:]) <= seq {
			continue
		}
		if _, _, _, ok := readFrame(b); ok {
			return true
		}
	}
	return false
}
