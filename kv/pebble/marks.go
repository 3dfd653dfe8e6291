package pebble

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"atoll"
)

// The file DURABLE has four slots, in sectors of their own: two for blocks, two
// for the MANIFEST. The younger slot of a pair counts, the older one is written
// next, so that a torn write leaves one. A slot that was never written is zero;
// others hold, little endian,
//
//	seq     uint64    one more than that of the other slot of the pair
//	number  uint64    the block's height, or the number of the MANIFEST
//	body    [32]byte  the block's digest, or length uint64 and CRC-32C uint32
//	crc     uint32    CRC-32C of the pair's index as one byte and of the above
const (
	marksFile = "DURABLE"
	slotSpace = 4096
	slotSize  = 8 + 8 + 32 + 4
	marksSize = 4 * slotSpace

	blockPair    = 0
	manifestPair = 1
)

// slot is the content of one slot; seq 0 is none.
type slot struct {
	seq, number uint64
	body        [32]byte
}

func (s slot) encode(pair byte) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, slotSize), s.seq)
	b = binary.LittleEndian.AppendUint64(b, s.number)
	b = append(b, s.body[:]...)
	return binary.LittleEndian.AppendUint32(b, slotSum(pair, b))
}

func slotSum(pair byte, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte{pair}, castagnoli), castagnoli, b)
}

// decodeSlot reads a slot of slotSize bytes. damaged means that something else
// than a slot was there.
func decodeSlot(pair byte, b []byte) (s slot, damaged bool) {
	if allZero(b) {
		return slot{}, false
	}
	s.seq = binary.LittleEndian.Uint64(b)
	s.number = binary.LittleEndian.Uint64(b[8:])
	copy(s.body[:], b[16:])
	if s.seq == 0 || slotSum(pair, b[:48]) != binary.LittleEndian.Uint32(b[48:]) {
		return slot{}, true
	}
	return s, false
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func (m manifestMark) slot() slot {
	s := slot{number: m.number}
	binary.LittleEndian.PutUint64(s.body[:], m.length)
	binary.LittleEndian.PutUint32(s.body[8:], m.crc)
	return s
}

func (s slot) manifest() manifestMark {
	return manifestMark{s.number, binary.LittleEndian.Uint64(s.body[:]), binary.LittleEndian.Uint32(s.body[8:])}
}

// marks is the open file DURABLE.
type marks struct {
	mu    sync.Mutex // guards what follows, and is held during a write
	file  vfs.File
	pairs [2][2]slot
}

// openMarks opens the file, or creates it. It fails with DataLoss if a pair of
// slots has something in it and nothing that can be read.
func openMarks(fs vfs.FS, dir string) (*marks, error) {
	name := fs.PathJoin(dir, marksFile)
	content, err := readFile(fs, name, marksSize)
	if err != nil && !oserror.IsNotExist(err) {
		return nil, err
	}
	if len(content) != marksSize {
		// It is new, or a crash came while it was.
		if err := writeFile(fs, dir, marksFile, make([]byte, marksSize)); err != nil {
			return nil, err
		}
		content = make([]byte, marksSize) // and not the one above: a write may change it
	}
	m := &marks{}
	if err := m.decode(content); err != nil {
		err.Detail = name
		return nil, err
	}
	if m.file, err = fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	return m, nil
}

// decode reads the content of the file, which has marksSize bytes.
func (m *marks) decode(content []byte) *atoll.Error {
	for pair := range m.pairs {
		bad := 0
		for i := range m.pairs[pair] {
			at := (2*pair + i) * slotSpace
			s, damaged := decodeSlot(byte(pair), content[at:at+slotSize])
			m.pairs[pair][i] = s
			if damaged {
				bad++
			}
		}
		if bad > 0 && m.newest(pair).seq == 0 {
			return atoll.Errorf(atoll.DataLoss, "the file DURABLE is damaged: what it says of %s cannot be read",
				[]string{"the newest block", "the MANIFEST"}[pair])
		}
	}
	return nil
}

func (m *marks) newest(pair int) slot {
	p := &m.pairs[pair]
	if p[1].seq > p[0].seq {
		return p[1]
	}
	return p[0]
}

// put writes a slot over the older one of its pair.
func (m *marks) put(pair int, s slot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := 0
	if m.pairs[pair][0].seq > m.pairs[pair][1].seq {
		i = 1
	}
	s.seq = m.newest(pair).seq + 1
	if _, err := m.file.WriteAt(s.encode(byte(pair)), int64((2*pair+i)*slotSpace)); err != nil {
		return err
	}
	m.pairs[pair][i] = s
	return nil
}

func (m *marks) setManifest(mm manifestMark) error { return m.put(manifestPair, mm.slot()) }

// block returns the newest block's slot; its seq is 0 if there is none.
func (m *marks) block() slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest(blockPair)
}

// checkManifest compares the current MANIFEST with what was on disk of it, and
// then forgets every other one: its number might be used again. It fails with
// DataLoss.
func (m *marks) checkManifest(fs vfs.FS, dir string) error {
	current, err := currentManifest(fs, dir)
	if err != nil {
		return err
	}
	var known slot
	for _, s := range m.pairs[manifestPair] {
		if s.seq > known.seq && s.number == current {
			known = s
		}
	}
	if known.seq > 0 {
		if err := known.manifest().check(fs, dir); err != nil {
			return err
		}
	}
	return m.keepManifest(known)
}

// keepManifest leaves one slot, or none, in the MANIFEST's pair, durably.
func (m *marks) keepManifest(known slot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	pair := &m.pairs[manifestPair]
	cleared := false
	for i, s := range pair {
		if s.seq == 0 || s == known {
			continue
		}
		at := int64((2*manifestPair + i) * slotSpace)
		if _, err := m.file.WriteAt(make([]byte, slotSize), at); err != nil {
			return err
		}
		pair[i], cleared = slot{}, true
	}
	if !cleared {
		return nil
	}
	return m.file.Sync()
}

// currentManifest returns the number of the MANIFEST in force, 0 if there is
// none yet.
func currentManifest(fs vfs.FS, dir string) (uint64, error) {
	name, err := atomicfs.ReadMarker(fs, dir, "manifest")
	if err != nil {
		return 0, err
	}
	n, _ := manifestNumber(name)
	return n, nil
}

func (m manifestMark) name(fs vfs.FS, dir string) string {
	return fs.PathJoin(dir, manifestFileName(m.number))
}

// check compares a MANIFEST with its mark.
func (m manifestMark) check(fs vfs.FS, dir string) error {
	name := m.name(fs, dir)
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	n, err := io.Copy(h, io.LimitReader(f, int64(m.length)))
	if err != nil {
		return err
	}
	if uint64(n) != m.length || h.Sum32() != m.crc {
		return &atoll.Error{
			Kind:   atoll.DataLoss,
			Msg:    "the store's list of files is damaged; restore the store from a replica or a backup",
			Detail: name,
		}
	}
	return nil
}

// close makes the marks durable.
func (m *marks) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.file.Sync()
	if cerr := m.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeMarks gives a checkpoint its DURABLE: the block's slot as it was, and
// the MANIFEST as it is.
func writeMarks(fs vfs.FS, dir string, block slot) error {
	n, err := currentManifest(fs, dir)
	if err != nil {
		return err
	}
	mm := manifestMark{number: n}
	f, err := fs.Open(mm.name(fs, dir))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	mm.add(b)
	content := make([]byte, marksSize)
	if block.seq > 0 {
		copy(content, block.encode(blockPair))
	}
	s := mm.slot()
	s.seq = 1
	copy(content[2*manifestPair*slotSpace:], s.encode(manifestPair))
	return writeFile(fs, dir, marksFile, content)
}
