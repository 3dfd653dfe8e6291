package route

import (
	"testing"
	"time"

	"atoll/program/directory"
	"atoll/wire"
)

// FuzzTable makes tables of any bytes that decode as a map, and wants every
// key to lie in the range that the table names.
func FuzzTable(f *testing.F) {
	w := newWorld()
	three(w)
	f.Add(wire.Marshal(w.maps[app]), []byte("key"))
	f.Add(wire.Marshal(directory.Map{}), []byte{})
	f.Fuzz(func(t *testing.T, encoded, key []byte) {
		var m directory.Map
		if wire.Unmarshal(encoded, &m) != nil {
			return
		}
		table, err := newTable(app, m, time.Unix(0, 0))
		if err != nil {
			return
		}
		n := table.at(key)
		if d := &table.ranges[n]; !contains(d, key) {
			t.Fatalf("%x is routed to [%x, %x)", key, d.Start, d.End)
		}
		if !table.meets(n, nil) || table.meets(len(table.ranges), nil) {
			t.Fatal("meets is wrong at the bounds")
		}
	})
}
