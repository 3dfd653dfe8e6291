package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/kv"
)

// model is what a store should hold.
type model map[string]string

func (m model) apply(b *atoll.Batch) {
	for _, op := range b.Ops {
		switch op.Kind {
		case atoll.OpSet:
			m[string(op.Key)] = string(op.Value)
		case atoll.OpDelete:
			delete(m, string(op.Key))
		case atoll.OpDeleteRange:
			maps.DeleteFunc(m, func(k, _ string) bool { return string(op.Key) <= k && k < string(op.Value) })
		}
	}
}

// keys returns those in lo <= key < hi, in order; nil hi is no end.
func (m model) keys(lo, hi []byte) []string {
	var in []string
	for k := range m { // order does not matter: they are sorted
		if string(lo) <= k && (hi == nil || k < string(hi)) {
			in = append(in, k)
		}
	}
	slices.Sort(in)
	return in
}

// compare returns how a reader differs from the model, or nil.
func (m model) compare(r atoll.Reader) error {
	it := r.Iter(nil, nil)
	want := m.keys(nil, nil)
	i := 0
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		if i == len(want) || string(it.Key()) != want[i] || string(it.Value()) != m[want[i]] {
			err := fmt.Errorf("place %d of %d holds %.40q = %.40q, which was not written there", i, len(want), it.Key(), it.Value())
			return errors.Join(err, it.Close())
		}
		i++
	}
	if err := it.Close(); err != nil {
		return err
	}
	if i != len(want) {
		return fmt.Errorf("%q and %d more are missing", want[i], len(want)-i-1)
	}
	return nil
}

// seekPrefix returns the first key >= key with the prefix of key.
func (m model) seekPrefix(key []byte) (string, bool) {
	for _, k := range m.keys(key, nil) {
		if bytes.HasPrefix([]byte(k), key[:Split(key)]) && Split([]byte(k)) == Split(key) {
			return k, true
		}
	}
	return "", false
}

// cursor is the model of an iterator: an index into keys, where -1 is in front
// of the first and len(keys) behind the last.
type cursor struct {
	keys   []string
	at     int
	placed bool
}

func (c *cursor) valid() bool { return c.placed && 0 <= c.at && c.at < len(c.keys) }

func (c *cursor) seekGE(k []byte) { c.at, c.placed = sort.SearchStrings(c.keys, string(k)), true }
func (c *cursor) seekLT(k []byte) { c.at, c.placed = sort.SearchStrings(c.keys, string(k))-1, true }

func (c *cursor) next() {
	if !c.placed {
		c.at, c.placed = -1, true
	}
	c.at = min(c.at+1, len(c.keys))
}

func (c *cursor) prev() {
	if !c.placed {
		c.at, c.placed = len(c.keys), true
	}
	c.at = max(c.at-1, -1)
}

var (
	keyGen   = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xff}), 1, 4)
	boundGen = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xff}), 0, 4)
)

func drawBatch(t *rapid.T) *atoll.Batch {
	b := &atoll.Batch{}
	for range rapid.IntRange(1, 8).Draw(t, "ops") {
		switch rapid.IntRange(0, 5).Draw(t, "op") {
		case 0:
			b.Delete(keyGen.Draw(t, "key"))
		case 1:
			b.DeleteRange(boundGen.Draw(t, "lo"), boundGen.Draw(t, "hi"))
		default:
			v := bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, rapid.SampledFrom([]int{0, 1, 5, 700}).Draw(t, "size"))
			b.Set(keyGen.Draw(t, "key"), v)
		}
	}
	return b
}

// machineTest drives one store and its model.
type machineTest struct {
	m     Machine
	s     atoll.Store
	want  model
	snaps []atoll.Snapshot
	was   []model // of snaps
}

// RunModel does random things to a store and to a sorted map, and compares them
// after each; reopens tells whether closing and opening is among them. start
// returns a machine that holds nothing yet.
func RunModel(t *testing.T, start func(t *testing.T) Machine, reopens bool) {
	t.Run("model", rapid.MakeCheck(func(rt *rapid.T) {
		x := &machineTest{m: start(t), want: model{}}
		x.open(rt)
		defer x.close(rt)
		actions := map[string]func(*rapid.T){
			"":         func(rt *rapid.T) { x.check(rt, x.s, x.want) },
			"apply":    x.apply,
			"get":      x.get,
			"iterate":  x.iterate,
			"prefix":   x.prefix,
			"snapshot": x.snapshot,
			"release":  x.release,
		}
		if reopens {
			actions["reopen"] = func(rt *rapid.T) {
				x.close(rt)
				x.open(rt)
			}
		}
		rt.Repeat(actions)
	}))
}

func (x *machineTest) open(t *rapid.T) {
	var err error
	if x.s, err = x.m.Open(); err != nil {
		t.Fatalf("Open: %v", err)
	}
}

func (x *machineTest) close(t *rapid.T) {
	for len(x.snaps) > 0 {
		x.release(t)
	}
	if err := x.s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (x *machineTest) check(t *rapid.T, r atoll.Reader, want model) {
	if err := want.compare(r); err != nil {
		t.Fatalf("the reader differs from the model: %v", err)
	}
}

func (x *machineTest) apply(t *rapid.T) {
	b := drawBatch(t)
	c, err := x.s.Apply(b)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	x.want.apply(b)
	if rapid.Bool().Draw(t, "wait") {
		if err := c.Wait(); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	}
}

// reader draws the store or one of the snapshots.
func (x *machineTest) reader(t *rapid.T) (atoll.Reader, model) {
	i := rapid.IntRange(-1, len(x.snaps)-1).Draw(t, "reader")
	if i < 0 {
		return x.s, x.want
	}
	return x.snaps[i], x.was[i]
}

func (x *machineTest) get(t *rapid.T) {
	r, want := x.reader(t)
	k := keyGen.Draw(t, "key")
	v, ok, err := r.Get(k)
	if w, present := want[string(k)]; err != nil || ok != present || string(v) != w {
		t.Fatalf("Get(%q) = %q, %v, %v; want %q, %v", k, v, ok, err, w, present)
	}
}

func (x *machineTest) prefix(t *rapid.T) {
	r, want := x.reader(t)
	p, ok := r.(kv.PrefixSeeker)
	if !ok {
		t.Skip("no kv.PrefixSeeker")
	}
	k := keyGen.Draw(t, "key")
	got, v, ok, err := p.SeekPrefixGE(k)
	if w, present := want.seekPrefix(k); err != nil || ok != present || string(got) != w || string(v) != want[w] {
		t.Fatalf("SeekPrefixGE(%q) = %q, %.20q, %v, %v; want %q, %v", k, got, v, ok, err, w, present)
	}
}

func (x *machineTest) iterate(t *rapid.T) {
	r, want := x.reader(t)
	lo, hi := boundGen.Draw(t, "lo"), boundGen.Draw(t, "hi")
	if rapid.IntRange(0, 3).Draw(t, "no end") == 0 {
		hi = nil
	}
	it, c := r.Iter(lo, hi), &cursor{keys: want.keys(lo, hi)}
	if len(lo) > 0 && hi != nil && bytes.Compare(lo, hi) > 0 {
		c.keys = nil
	}
	for range rapid.IntRange(1, 10).Draw(t, "moves") {
		var ok bool
		move := rapid.SampledFrom([]string{"next", "next", "prev", "prev", "seek ge", "seek lt"}).Draw(t, "move")
		k := keyGen.Draw(t, "key")
		switch move {
		case "next":
			ok = it.Next()
			c.next()
		case "prev":
			ok = it.Prev()
			c.prev()
		case "seek ge":
			ok = it.SeekGE(k)
			c.seekGE(k)
		case "seek lt":
			ok = it.SeekLT(k)
			c.seekLT(k)
		}
		if ok != c.valid() {
			t.Fatalf("%s (%q) over [%q, %q) = %v; want %v", move, k, lo, hi, ok, c.valid())
		}
		if ok && (string(it.Key()) != c.keys[c.at] || string(it.Value()) != want[c.keys[c.at]]) {
			t.Fatalf("%s (%q) over [%q, %q) stands on %q; want %q", move, k, lo, hi, it.Key(), c.keys[c.at])
		}
	}
	if err := it.Close(); err != nil {
		t.Fatalf("Close of an iterator: %v", err)
	}
}

func (x *machineTest) snapshot(*rapid.T) {
	x.snaps = append(x.snaps, x.s.Snapshot())
	x.was = append(x.was, maps.Clone(x.want))
}

// release closes the oldest snapshot, after a last look at it.
func (x *machineTest) release(t *rapid.T) {
	if len(x.snaps) == 0 {
		t.Skip("no snapshots")
	}
	x.check(t, x.snaps[0], x.was[0])
	if err := x.snaps[0].Close(); err != nil {
		t.Fatalf("Close of a snapshot: %v", err)
	}
	x.snaps, x.was = x.snaps[1:], x.was[1:]
}

// Compare returns how the content of a reader differs from what batches give
// that were applied to an empty store, or nil.
func Compare(r atoll.Reader, batches []*atoll.Batch) error {
	m := model{}
	for _, b := range batches {
		m.apply(b)
	}
	return m.compare(r)
}
