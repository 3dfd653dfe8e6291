package node_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"atoll"
	"atoll/kv/mem"
	"atoll/node"
	"atoll/subnet"
)

// startNode runs one subnet with the counter program on a simulated disk.
func startNode(t *testing.T, disk *mem.Disk, change func(*node.Options)) *node.Node {
	t.Helper()
	opt := node.Options{
		Subnets: 1, Log: slog.New(slog.DiscardHandler),
		Programs: map[string]subnet.Entry{"counter": {Program: counter{}}},
		Genesis: func(atoll.SubnetID) subnet.Genesis {
			return subnet.Genesis{Canisters: []subnet.GenesisCanister{{Program: "counter", Cycles: 1 << 50}}}
		},
		Open: func(atoll.SubnetID) (node.Disk, error) {
			st, err := mem.Open(disk)
			return node.Disk{Store: st, Exclusive: true}, err
		},
	}
	if change != nil {
		change(&opt)
	}
	n, err := node.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func add(n *node.Node, id byte, payload string) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o, err := n.Update(ctx, atoll.Message{ID: atoll.RequestID{id}, From: atoll.Anonymous, To: []atoll.CanisterID{one}, Method: "add", Payload: []byte(payload)})
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(o.Payload), nil
}

func sum(t *testing.T, n *node.Node) uint64 {
	t.Helper()
	raw, err := n.Query(context.Background(), one, atoll.Question{})
	if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint64(raw)
}

func TestNodeGroupsConcurrentWrites(t *testing.T) {
	n := startNode(t, mem.NewDisk(), nil)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := add(n, byte(i+1), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := sum(t, n); got != 100 {
		t.Errorf("the counter is %d", got)
	}
	if _, err := n.Update(context.Background(), atoll.Message{From: atoll.Management, To: []atoll.CanisterID{one}}); atoll.KindOf(err) != atoll.PermissionDenied {
		t.Errorf("a stranger spoke for the node: %v", err)
	}
	if _, err := n.Query(context.Background(), atoll.NewCanisterID(7, 1), atoll.Question{}); atoll.KindOf(err) != atoll.NotFound {
		t.Errorf("a subnet that is not here: %v", err)
	}
}

// TestNodeOpensAgain lets a sync fail: what was under way is unknown, what was
// acknowledged is there, and writes work again.
func TestNodeOpensAgain(t *testing.T) {
	disk := mem.NewDisk()
	n := startNode(t, disk, nil)
	if _, err := add(n, 1, "kept"); err != nil {
		t.Fatal(err)
	}
	disk.FailNextSync(errors.New("the disk says no"))
	if _, err := add(n, 2, "?"); atoll.KindOf(err) != atoll.Unknown {
		t.Errorf("a message in a block whose sync failed: %v", err)
	}
	var got uint64
	var err error
	for range 100 {
		if got, err = add(n, 3, "new"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || got != 7 && got != 8 {
		t.Errorf("after the reopening: %d, %v", got, err)
	}
}

func TestScrubStopsADamagedSubnet(t *testing.T) {
	disk := mem.NewDisk()
	var store atoll.Store
	n := startNode(t, disk, func(o *node.Options) {
		o.ScrubBytes, o.ScrubPause = 1<<30, 5*time.Millisecond
		o.Open = func(atoll.SubnetID) (node.Disk, error) {
			st, err := mem.Open(disk)
			store = st
			return node.Disk{Store: st, Exclusive: true}, err
		}
	})
	add(n, 1, "x")
	time.Sleep(50 * time.Millisecond)
	if got := sum(t, n); got != 1 {
		t.Fatalf("a healthy subnet: %d", got)
	}
	b := new(atoll.Batch)
	b.Set([]byte{6, 1, 2, 3}, []byte("nobody wrote this"))
	if _, err := store.Apply(b); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if _, err := add(n, 2, "y"); atoll.KindOf(err) == atoll.Unavailable {
			time.Sleep(300 * time.Millisecond)
			if _, err := n.Query(context.Background(), one, atoll.Question{}); atoll.KindOf(err) != atoll.Unavailable {
				t.Errorf("a damaged subnet went on: %v", err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the scrub noticed nothing")
}

// TestWitnessNoticesALostEnd marks a height as durable that the store does not
// have.
func TestWitnessNoticesALostEnd(t *testing.T) {
	disk := mem.NewDisk()
	n := startNode(t, disk, nil)
	add(n, 1, "x")
	n.Close()
	for _, tc := range []struct {
		name   string
		height atoll.Height
		digest atoll.Hash
	}{{"missing", 99, atoll.Hash{}}, {"other", 2, atoll.Hash{1}}} {
		_, err := node.Start(node.Options{
			Subnets: 1, Log: slog.New(slog.DiscardHandler), Programs: map[string]subnet.Entry{"counter": {Program: counter{}}},
			Open: func(atoll.SubnetID) (node.Disk, error) {
				st, err := mem.Open(disk)
				return node.Disk{Store: st, Exclusive: true, Witness: func() (atoll.Height, atoll.Hash, bool) { return tc.height, tc.digest, true }}, err
			},
		})
		if atoll.KindOf(err) != atoll.DataLoss {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestFullDiskRefusesWrites(t *testing.T) {
	var free struct {
		sync.Mutex
		n uint64
	}
	free.n = 1000
	disk := mem.NewDisk()
	n := startNode(t, disk, func(o *node.Options) {
		o.MinFree = 500
		o.Open = func(atoll.SubnetID) (node.Disk, error) {
			st, err := mem.Open(disk)
			return node.Disk{Store: st, Exclusive: true, Free: func() (uint64, error) {
				free.Lock()
				defer free.Unlock()
				return free.n, nil
			}}, err
		}
	})
	set := func(v uint64) {
		free.Lock()
		free.n = v
		free.Unlock()
		time.Sleep(500 * time.Millisecond)
	}
	if _, err := add(n, 1, "x"); err != nil {
		t.Fatal(err)
	}
	set(499)
	if _, err := add(n, 2, "x"); atoll.KindOf(err) != atoll.ResourceExhausted {
		t.Errorf("a write on a full disk: %v", err)
	}
	if got := sum(t, n); got != 1 {
		t.Errorf("a read on a full disk: %d", got)
	}
	set(501)
	if got, err := add(n, 3, "x"); err != nil || got != 2 {
		t.Errorf("a write when there is room again: %d, %v", got, err)
	}
}
