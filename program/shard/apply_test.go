package shard

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/value"
	"atoll/wire"
)

// apply sends writes to shard A's range 1, with the ids from first on.
func (s *subnet) apply(first uint64, writes ...Write) ([]Applied, error) {
	req := ApplyRequest{Target: target1, Writes: writes, IDs: make([]atoll.RequestID, len(writes))}
	for i := range req.IDs {
		req.IDs[i] = requestID(first + uint64(i))
	}
	return s.applyFrom("user", req)
}

func (s *subnet) applyFrom(who atoll.Principal, req ApplyRequest) ([]Applied, error) {
	var reply ApplyReply
	b, err := s.update(atoll.Input{Caller: who, ID: requestID(1 << 40), Method: MethodApply, Payload: wire.Marshal(req)}, shardA)
	if err == nil {
		err = wire.Unmarshal(b, &reply)
	}
	return reply.Results, err
}

// TestApplyIsManyCommits does the same random writes to two shards, to one as
// commits of one write and to the other by MethodApply: the results and all
// that is stored are the same, also if they come again either way.
func TestApplyIsManyCommits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, many := newSubnet(), newSubnet()
		for _, s := range []*subnet{one, many} {
			s.update(atoll.Input{Caller: directory, Method: MethodAssign, Payload: wire.Marshal(whole(1, shardA))}, shardA)
		}
		for round := range rapid.IntRange(1, 6).Draw(t, "rounds") {
			var writes []Write
			for i := range 8 {
				if rapid.Bool().Draw(t, "left out") {
					continue
				}
				w := set(atoll.Path(fmt.Sprintf("c/%d", i)), "n", rapid.IntRange(0, 3).Draw(t, "n"))
				switch rapid.IntRange(0, 5).Draw(t, "kind") {
				case 0:
					w = remove(w.Path)
				case 1:
					w = ifExists(w, rapid.Bool().Draw(t, "exists"))
				case 2:
					w.Transforms = []Transform{{Field: "n", Kind: Increment, Operand: value.EncodeValue(value.Int(1))}}
				case 3:
					w.Doc = []byte("no document")
				}
				writes = append(writes, w)
			}
			first := uint64(100 * rapid.IntRange(0, round).Draw(t, "ids"))
			got, err := many.apply(first, writes...)
			if err != nil {
				t.Fatal(err)
			}
			at := many.now
			for i, w := range writes {
				one.now = at - 1 // all are done at one time
				want, err := one.commit(first+uint64(i), w)
				if fmt.Sprint(err) != fmt.Sprint(error(got[i].Err)) && (err != nil || got[i].Err != nil) {
					t.Fatalf("%+v alone: %v; among others: %v", w, err, got[i].Err)
				}
				if err == nil && (got[i].UpdateTime != want.Results[0].UpdateTime || fmt.Sprint(got[i].Results) != fmt.Sprint(want.Results[0].Results)) {
					t.Fatalf("%+v alone: %+v; among others: %+v", w, want.Results[0], got[i].WriteResult)
				}
			}
			one.now = at
			a, b := one.ranges.dump(), many.ranges.dump()
			if fmt.Sprintf("%x", a) != fmt.Sprintf("%x", b) {
				t.Fatalf("stored by commits:\n%x\nand by apply:\n%x", a, b)
			}
		}
	})
}

func TestApplyRefuses(t *testing.T) {
	s := newShard(t)
	many := make([]Write, MaxApply+1)
	for i := range many {
		many[i] = set(atoll.Path(fmt.Sprintf("c/%d", i)), "n", i)
	}
	before := len(s.ranges.dump())
	for name, test := range map[string]struct {
		req  ApplyRequest
		kind atoll.Kind
		say  string
	}{
		"a document twice":   {ApplyRequest{Target: target1, Writes: []Write{set("c/a"), remove("c/a")}, IDs: make([]atoll.RequestID, 2)}, atoll.Invalid, "twice"},
		"too few ids":        {ApplyRequest{Target: target1, Writes: many[:3], IDs: make([]atoll.RequestID, 2)}, atoll.Invalid, "2 request ids"},
		"too many writes":    {ApplyRequest{Target: target1, Writes: many, IDs: make([]atoll.RequestID, len(many))}, atoll.Invalid, "500 are allowed"},
		"another range":      {ApplyRequest{Target: Target{Range: 2, Epoch: 1}, Writes: many[:1], IDs: make([]atoll.RequestID, 1)}, atoll.WrongRange, "range"},
		"a stale epoch":      {ApplyRequest{Target: Target{Range: 1, Epoch: 2}, Writes: many[:1], IDs: make([]atoll.RequestID, 1)}, atoll.WrongRange, "epoch"},
		"nothing to be read": {ApplyRequest{}, atoll.WrongRange, "range"},
	} {
		if _, err := s.applyFrom("user", test.req); atoll.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.say) {
			t.Errorf("%s: %v, want %s", name, err, test.kind)
		}
	}
	s.semantics = since(MethodApply) - 1
	if _, err := s.apply(1, many[0]); atoll.KindOf(err) != atoll.Unimplemented {
		t.Errorf("under an older semantics version: %v", err)
	}
	s.semantics = since(MethodApply)
	if n := len(s.ranges.dump()); n != before {
		t.Errorf("%d keys were written by what was refused", n-before)
	}
	if got, err := s.apply(1, many[:MaxApply]...); err != nil || len(got) != MaxApply || got[MaxApply-1].Err != nil {
		t.Errorf("%d writes: %d results, %v", MaxApply, len(got), err)
	}
}

// TestApplyInPartsOfARange makes sure that nothing is done of a request in
// which one document lies elsewhere.
func TestApplyInPartsOfARange(t *testing.T) {
	s := newSubnet()
	d := whole(1, shardA)
	key, err := documentKey("c/m")
	if err != nil {
		t.Fatal(err)
	}
	d.End = key
	s.assign(t, d)
	if _, err := s.apply(1, set("c/a", "n", 1), set("c/z", "n", 1)); atoll.KindOf(err) != atoll.WrongRange {
		t.Errorf("a document outside of the range: %v", err)
	}
	if got := s.ranges.dump(); len(got) != 0 {
		t.Errorf("%d keys were written", len(got))
	}
}

// TestApplyKeepsIDsApart makes sure that an id belongs to who used it first,
// and to its write alone.
func TestApplyKeepsIDsApart(t *testing.T) {
	s := newShard(t)
	w := set("c/a", "n", 1)
	w.Transforms = []Transform{{Field: "n", Kind: Increment, Operand: value.EncodeValue(value.Int(1))}}
	first, err := s.apply(7, w, set("c/b", "n", 1))
	if err != nil {
		t.Fatal(err)
	}
	req := ApplyRequest{Target: target1, Writes: []Write{w, set("c/d", "n", 1)}, IDs: []atoll.RequestID{requestID(7), requestID(9)}}
	stolen, err := s.applyFrom("thief", req)
	if err != nil || atoll.KindOf(stolen[0].Err) != atoll.PermissionDenied || stolen[1].Err != nil {
		t.Errorf("with somebody else's id: %+v, %v", stolen, err)
	}
	again, err := s.apply(7, w)
	if err != nil || again[0].UpdateTime != first[0].UpdateTime || fmt.Sprint(again[0].Results) != fmt.Sprint(first[0].Results) {
		t.Errorf("again, with other writes: %+v, %v; first %+v", again, err, first[0])
	}
}
