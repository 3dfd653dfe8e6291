package shard

import (
	"testing"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

func TestAssignBelongsToTheDirectory(t *testing.T) {
	s := newSubnet()
	d := whole(1, shardA)
	for _, caller := range []atoll.Principal{atoll.Anonymous, "user", atoll.Management} {
		_, err := call[struct{}](s, shardA, caller, MethodAssign, d)
		wantErr(t, err, atoll.PermissionDenied, "no canister")
	}
	s.assign(t, d)
	d.Epoch = 2
	_, err := call[struct{}](s, shardA, shardB, MethodAssign, d)
	wantErr(t, err, atoll.PermissionDenied, "its directory")
	s.assign(t, d)
	got, err := ask[Status](s, shardA, MethodStatus, struct{}{})
	same(t, err, nil)
	same(t, got, Status{Ranges: []Descriptor{d}})
}

func TestAssignRefuses(t *testing.T) {
	key := func(p atoll.Path) []byte { return keys.DocKey(placement, p) }
	owned := whole(5, shardA)
	owned.Epoch, owned.Start, owned.End = 5, key("g/g"), key("m/m")
	for _, c := range []struct {
		name   string
		change func(*Descriptor)
		kind   atoll.Kind
	}{
		{"no range", func(d *Descriptor) { d.Range = 0 }, atoll.Invalid},
		{"no epoch", func(d *Descriptor) { d.Epoch = 0 }, atoll.Invalid},
		{"no family", func(d *Descriptor) { d.Family = 0 }, atoll.Invalid},
		{"no database", func(d *Descriptor) { d.Database.ID = "" }, atoll.Invalid},
		{"another's", func(d *Descriptor) { d.Shard = shardB }, atoll.Invalid},
		{"empty", func(d *Descriptor) { d.End = d.Start }, atoll.Invalid},
		{"own ancestor", func(d *Descriptor) { d.Lineage = []Ancestor{{5, 1}} }, atoll.Invalid},
		{"an ancestor twice", func(d *Descriptor) { d.Lineage = []Ancestor{{4, 1}, {4, 2}} }, atoll.Invalid},
		{"same epoch", func(d *Descriptor) { d.Epoch = 5 }, atoll.FailedPrecondition},
		{"older epoch", func(d *Descriptor) { d.Epoch = 4 }, atoll.FailedPrecondition},
		{"another family", func(d *Descriptor) { d.Family = 2 }, atoll.FailedPrecondition},
		{"another database", func(d *Descriptor) { d.Database.ID = "other" }, atoll.FailedPrecondition},
		{"overlap on the left", func(d *Descriptor) { d.Range, d.Start, d.End = 6, nil, key("g/h") }, atoll.FailedPrecondition},
		{"overlap on the right", func(d *Descriptor) { d.Range, d.Start, d.End = 6, key("m/a"), nil }, atoll.FailedPrecondition},
		{"overlap within", func(d *Descriptor) { d.Range, d.Start, d.End = 6, key("h/h"), key("i/i") }, atoll.FailedPrecondition},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSubnet()
			s.assign(t, owned)
			d := owned
			d.Epoch = 6
			c.change(&d)
			_, err := call[struct{}](s, shardA, directory, MethodAssign, d)
			wantErr(t, err, c.kind)
			got, err := ask[Status](s, shardA, MethodStatus, struct{}{})
			same(t, err, nil)
			same(t, got.Ranges, []Descriptor{owned})
		})
	}
	s := newSubnet()
	left, right, other := whole(4, shardA), whole(6, shardA), whole(7, shardA)
	left.End, right.Start, other.Family = owned.Start, owned.End, 2
	s.assign(t, owned, left, right, other)
	got, err := ask[Status](s, shardA, MethodStatus, struct{}{})
	same(t, err, nil)
	same(t, got.Ranges, []Descriptor{left, owned, right, other})
}

func TestUnknownMethods(t *testing.T) {
	s := newShard(t)
	_, err := call[struct{}](s, shardA, "user", "explode", struct{}{})
	wantErr(t, err, atoll.Unimplemented, "explode")
	_, err = ask[Status](s, shardA, MethodCommit, struct{}{})
	wantErr(t, err, atoll.Unimplemented, "commit")
	_, err = s.update(atoll.Input{IsReply: true, Method: MethodCommit}, shardA)
	wantErr(t, err, atoll.Invalid, "replies")
}

func TestMalformedRequests(t *testing.T) {
	s := newShard(t)
	for method, caller := range map[string]atoll.Principal{
		MethodCommit: "user", MethodAssign: directory, MethodCollect: atoll.Management,
	} {
		_, err := s.update(atoll.Input{Caller: caller, Method: method, Payload: []byte{0xff}}, shardA)
		wantErr(t, err, atoll.Invalid, "malformed")
	}
	for _, method := range []string{MethodGet, MethodList, MethodCollections, MethodFeed} {
		_, err := s.program.Query(view{s.turn(shardA)}, atoll.Question{Method: method, Payload: []byte{0xff}})
		wantErr(t, err, atoll.Invalid, "malformed")
	}
}

// What the store should never hold is DataLoss, not a panic or a wrong answer.
func TestDamagedStore(t *testing.T) {
	docKey := keys.DocKey(placement, "c/a")
	lo, _ := keys.SpaceSpan(1, keys.Documents)
	for _, c := range []struct {
		name  string
		spoil func(s *subnet)
	}{
		{"version", func(s *subnet) { s.ranges.Set(keys.Version(1, docKey, s.now), []byte("x")) }},
		{"version key", func(s *subnet) { s.ranges.Set(append(lo, 1, 3), nil) }},
		{"feed entry", func(s *subnet) { s.ranges.Set(keys.FeedKey(1, 1, s.now, docKey), []byte("x")) }},
		{"feed key", func(s *subnet) { s.ranges.Set(keys.FeedKey(1, 1, s.now, []byte{9}), nil) }},
		{"result", func(s *subnet) { s.ranges.Set(keys.RequestKey(1, docKey, requestID(2)), []byte("x")) }},
		{"descriptor", func(s *subnet) { s.state(shardA).Set(rangeKey(1), []byte("x")) }},
		{"horizon", func(s *subnet) { s.state(shardA).Set([]byte{stateHorizons}, []byte("x")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShard(t)
			s.must(t, 1, set("c/a", "n", 1))
			c.spoil(s)
			failed := 0
			_, err := s.commit(2, set("c/a", "n", 2))
			tell := func(err error) {
				if atoll.KindOf(err) == atoll.DataLoss {
					failed++
				} else if err != nil {
					t.Errorf("%v", err)
				}
			}
			tell(err)
			_, err = ask[GetReply](s, shardA, MethodGet, GetRequest{Target: target1, Paths: []atoll.Path{"c/a"}, At: s.now})
			tell(err)
			_, err = ask[ListReply](s, shardA, MethodList, ListRequest{Target: target1, Collection: "c", Limit: 9})
			tell(err)
			_, err = ask[CollectionsReply](s, shardA, MethodCollections, CollectionsRequest{Target: target1, Limit: 9})
			tell(err)
			_, err = ask[FeedReply](s, shardA, MethodFeed, FeedRequest{Target: target1, Limit: 9})
			tell(err)
			_, err = s.update(atoll.Input{Caller: atoll.Management, Method: MethodCollect, Payload: wire.Marshal(CollectRequest{Versions: s.now, Requests: s.now, Latest: s.now, Limit: 9})}, shardA)
			tell(err)
			if failed == 0 {
				t.Fatal("nobody noticed")
			}
		})
	}
}
