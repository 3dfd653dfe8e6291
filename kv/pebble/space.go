package pebble

import (
	"sync"

	"atoll"
)

// space watches how much room the disk has.
type space struct {
	dir   string
	min   uint64
	query func(dir string) (uint64, error)

	mu      sync.Mutex // guards what follows
	written uint64     // bytes since the disk was last looked at and had room
	looked  bool
}

func (s *space) init(o *Options) {
	s.dir, s.min, s.query = o.Dir, o.MinFree, o.DiskFree
	if s.query == nil {
		fs := o.FS
		s.query = func(dir string) (uint64, error) {
			u, err := fs.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
}

func (s *space) free() (uint64, error) {
	n, err := s.query(s.dir)
	if err != nil {
		return 0, classify(err)
	}
	return n, nil
}

// lookEvery is how many bytes may be written between two looks at the disk.
const lookEvery = 4 << 20

// reserve fails with ResourceExhausted if the disk has too little room for n
// more bytes. A disk that cannot be asked is taken to have enough: writing will
// tell.
func (s *space) reserve(n int) error {
	if s.min == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += uint64(n)
	if s.looked && s.written < lookEvery {
		return nil
	}
	free, err := s.free()
	if err == nil && free < s.min+uint64(n) {
		s.looked = false
		return &atoll.Error{
			Kind:   atoll.ResourceExhausted,
			Msg:    "the disk is nearly full; nothing was written",
			Detail: spaceDetail(s.dir, free, s.min),
		}
	}
	s.written, s.looked = 0, true
	return nil
}
