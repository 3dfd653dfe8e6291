package backup

import (
	"bytes"
	"encoding/binary"
	"testing"

	"atoll"
	"atoll/log/local"
	"atoll/wire"
)

func TestConsistent(t *testing.T) {
	type streams = []ends
	at := func(out, acked, in uint64) streams { // of the stream from 0 to 1
		return streams{{1: {Out: out, Acked: acked}}, {0: {In: in}}}
	}
	for _, c := range []struct {
		name        string
		early, late streams
		want        bool
	}{
		{"nothing", streams{{}, {}}, streams{{}, {}}, true},
		{"at rest", at(5, 5, 5), at(5, 5, 5), true},
		{"on its way", at(5, 3, 4), at(5, 3, 4), true},
		{"sent between the two", at(5, 5, 5), at(6, 5, 5), true},
		{"received before it was sent", at(5, 5, 5), at(6, 5, 6), false},
		{"acknowledged between the two", at(6, 5, 5), at(6, 6, 6), false},
		{"acknowledged late", at(6, 5, 6), at(6, 6, 6), true},
		{"forgotten before it was received", at(6, 6, 5), at(6, 6, 5), false},
		{"never sent", at(5, 5, 6), at(5, 5, 6), false},
		{"a subnet that knows of no stream", streams{{}, {0: {In: 1}}}, streams{{}, {0: {In: 1}}}, false},
	} {
		if got := consistent(c.early, c.late); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// FuzzSegment reads any bytes as a stored log: an error is DataLoss, and what is
// read can be written again.
func FuzzSegment(f *testing.F) {
	raw := wire.Marshal(local.Entry{Record: []byte("record"), Height: 1, Total: 6})
	f.Add([]byte(segmentMagic))
	f.Add(append(binary.BigEndian.AppendUint32([]byte(segmentMagic), uint32(len(raw))), raw...))
	f.Add(append([]byte(segmentMagic), 0x3f, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		again := []byte(segmentMagic)
		err := readSegment(bytes.NewReader(b), func(e local.Entry) error {
			raw := wire.Marshal(e)
			again = append(binary.BigEndian.AppendUint32(again, uint32(len(raw))), raw...)
			return nil
		})
		if err != nil {
			if atoll.KindOf(err) != atoll.DataLoss {
				t.Error(err)
			}
			return
		}
		if err := readSegment(bytes.NewReader(again), func(local.Entry) error { return nil }); err != nil {
			t.Error(err)
		}
	})
}
