package shard

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"atoll"
	"atoll/wire"
)

// The same types without methods: package wire treats them by reflection.
type (
	plainDescriptor    Descriptor
	plainCommitRequest CommitRequest
	plainApplyRequest  ApplyRequest
	plainCommitReply   CommitReply
	plainGetRequest    GetRequest
	plainGetReply      GetReply
	plainQueryReply    QueryReply
)

// sameWire fails if a value that encodes itself has other bytes than by
// reflection, or reads them as something else.
func sameWire[T, Plain any](t *rapid.T, v *T, plain *Plain) {
	want := wire.Marshal(plain)
	if got := wire.Marshal(v); string(got) != string(want) {
		t.Fatalf("%+v\nis encoded as %x\nand by reflection as %x", v, got, want)
	}
	sameRead[T, Plain](t, want)
}

// sameRead fails if bytes are read as something else than by reflection. It
// reports whether they were read without it.
func sameRead[T, Plain any](t interface{ Fatalf(string, ...any) }, b []byte) bool {
	var got T
	if !any(&got).(wire.Parser).ParseWire(b) {
		if !reflect.ValueOf(got).IsZero() {
			t.Fatalf("%x is not read, and leaves %+v", b, got)
		}
		return false
	}
	var want Plain
	if err := wire.Unmarshal(b, &want); err != nil {
		t.Fatalf("%x is read as %+v; by reflection: %v", b, got, err)
	}
	if !reflect.DeepEqual(any(got), reflect.ValueOf(want).Convert(reflect.TypeFor[T]()).Interface()) {
		t.Fatalf("%x is read as %#v\nand by reflection as %#v", b, got, want)
	}
	return true
}

func drawSlice[T any](t *rapid.T, label string, one func(*rapid.T) T) []T {
	if rapid.IntRange(0, 9).Draw(t, label+" nil") == 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.Custom(one), 0, 30).Draw(t, label)
}

func drawBytes(t *rapid.T, label string) []byte {
	return drawSlice(t, label, func(t *rapid.T) byte { return rapid.Byte().Draw(t, "byte") })
}

func drawTime(t *rapid.T, label string) atoll.Time {
	return atoll.Time(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64(), rapid.Int64Range(0, 1<<52)).Draw(t, label))
}

func drawTarget(t *rapid.T) Target {
	return Target{RangeID(rapid.Uint64().Draw(t, "range")), RangeEpoch(rapid.Uint64().Draw(t, "epoch"))}
}

func drawPath(t *rapid.T) atoll.Path { return atoll.Path(rapid.String().Draw(t, "path")) }

func drawCodecWrite(t *rapid.T) Write {
	w := Write{Op: Op(rapid.Byte().Draw(t, "op")), Path: drawPath(t), Doc: drawBytes(t, "doc"),
		Mask:    drawSlice(t, "mask", func(t *rapid.T) string { return rapid.String().Draw(t, "field") }),
		HasMask: rapid.Bool().Draw(t, "has mask")}
	if rapid.Bool().Draw(t, "exists?") {
		exists := rapid.Bool().Draw(t, "exists")
		w.Exists = &exists
	}
	if rapid.Bool().Draw(t, "time?") {
		at := drawTime(t, "update time")
		w.UpdateTime = &at
	}
	if rapid.IntRange(0, 5).Draw(t, "transforms") == 0 {
		w.Transforms = []Transform{{Field: "a", Kind: ServerTime}}
	}
	return w
}

func drawCodecDocument(t *rapid.T) Document {
	return Document{Path: drawPath(t), Doc: drawBytes(t, "doc"), Created: drawTime(t, "created"), Updated: drawTime(t, "updated"),
		Revision: rapid.Uint64Range(0, 3).Draw(t, "revision")}
}

// TestOwnEncodingIsTheSame compares the encodings that messages make and read
// themselves with those made by reflection.
func TestOwnEncodingIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Descriptor{Range: RangeID(rapid.Uint64().Draw(t, "range")), Epoch: RangeEpoch(rapid.Uint64().Draw(t, "epoch")),
			Database: atoll.Database{Project: rapid.String().Draw(t, "project"), ID: rapid.String().Draw(t, "database")},
			Family:   Family(rapid.Uint32().Draw(t, "family")), Start: drawBytes(t, "start"), End: drawBytes(t, "end"),
			Shard:  atoll.CanisterID(rapid.SliceOfN(rapid.Byte(), 0, atoll.MaxPrincipalLen).Draw(t, "shard")),
			Subnet: atoll.SubnetID(rapid.Uint32().Draw(t, "subnet")), Lease: drawTime(t, "lease")}
		if rapid.IntRange(0, 3).Draw(t, "lineage") == 0 {
			d.Lineage = []Ancestor{{1, 2}}
		}
		sameWire(t, &d, (*plainDescriptor)(&d))

		req := CommitRequest{Targets: drawSlice(t, "targets", drawTarget), Writes: drawSlice(t, "writes", drawCodecWrite)}
		if rapid.IntRange(0, 3).Draw(t, "checks") == 0 {
			req.Documents = []DocumentCheck{{Path: "a/b", Revision: 3}}
		}
		sameWire(t, &req, (*plainCommitRequest)(&req))

		each := ApplyRequest{Target: drawTarget(t), Writes: drawSlice(t, "applied", drawCodecWrite),
			IDs: drawSlice(t, "ids", func(t *rapid.T) (id atoll.RequestID) {
				copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
				return id
			})}
		sameWire(t, &each, (*plainApplyRequest)(&each))

		reply := CommitReply{Time: drawTime(t, "time"), Results: drawSlice(t, "results", func(t *rapid.T) WriteResult {
			r := WriteResult{UpdateTime: drawTime(t, "update time")}
			if rapid.IntRange(0, 5).Draw(t, "transformed") == 0 {
				r.Results = [][]byte{drawBytes(t, "value")}
			}
			return r
		})}
		sameWire(t, &reply, (*plainCommitReply)(&reply))

		get := GetRequest{Target: drawTarget(t), Paths: drawSlice(t, "paths", drawPath), At: drawTime(t, "at")}
		sameWire(t, &get, (*plainGetRequest)(&get))

		got := GetReply{Time: drawTime(t, "time"), Documents: drawSlice(t, "documents", drawCodecDocument)}
		sameWire(t, &got, (*plainGetReply)(&got))

		found := QueryReply{Time: drawTime(t, "time"), Found: drawSlice(t, "found", func(t *rapid.T) Found {
			f := Found{Document: drawCodecDocument(t), Key: drawBytes(t, "key")}
			if rapid.IntRange(0, 9).Draw(t, "distance") == 0 {
				far := rapid.Float64().Draw(t, "far")
				f.Distance = &far
			}
			return f
		}), Next: drawBytes(t, "next"), Skipped: rapid.IntRange(-1, 1000).Draw(t, "skipped"), Stats: QueryStats{
			Seeks: rapid.IntRange(0, 1000).Draw(t, "seeks"), Keys: rapid.IntRange(-1, 1<<20).Draw(t, "keys"),
			Documents: rapid.IntRange(0, 1).Draw(t, "documents"), Results: rapid.IntRange(0, 300).Draw(t, "results"),
			Plan: rapid.SampledFrom([]string{"", "scan"}).Draw(t, "plan"), Needed: rapid.IntRange(0, 70_000).Draw(t, "needed"),
		}}
		sameWire(t, &found, (*plainQueryReply)(&found))
	})
}

// TestOwnEncodingIsUsed makes sure that the messages of every request are read
// and written without reflection.
func TestOwnEncodingIsUsed(t *testing.T) {
	exists := false
	for _, v := range []wire.Encoder{
		CommitRequest{Targets: []Target{{1, 2}}, Writes: []Write{{Op: OpSet, Path: "a/b", Doc: []byte{1}, Exists: &exists}}},
		ApplyRequest{Target: Target{1, 2}, Writes: []Write{{Op: OpSet, Path: "a/b", Doc: []byte{1}}}, IDs: []atoll.RequestID{{1}}},
		&CommitReply{Time: 5, Results: []WriteResult{{UpdateTime: 5}}},
		GetRequest{Target: Target{1, 2}, Paths: []atoll.Path{"a/b"}, At: 7},
		&QueryReply{Time: 5, Found: []Found{{Document: Document{Path: "a/b", Doc: []byte{1}}, Key: []byte{1}}}, Stats: QueryStats{Keys: 300}},
		&GetReply{Time: 5, Documents: []Document{{Path: "a/b", Doc: []byte{1}, Created: 1, Updated: 2, Revision: 1}}},
	} {
		if _, ok := v.EncodeWire(); !ok {
			t.Errorf("%T is encoded by reflection", v)
		}
		into := reflect.New(reflect.Indirect(reflect.ValueOf(v)).Type()).Interface().(wire.Parser)
		if !into.ParseWire(wire.Marshal(v)) {
			t.Errorf("%T is decoded by reflection", v)
		}
	}
	if d := new(Descriptor); !d.ParseWire(wire.Marshal(&Descriptor{Range: 1, Epoch: 1, Database: atoll.Database{Project: "p", ID: "d"}})) {
		t.Error("a descriptor is decoded by reflection")
	}
}

func FuzzOwnEncoding(f *testing.F) {
	exists := true
	f.Add(wire.Marshal(CommitRequest{Targets: []Target{{1, 2}}, Writes: []Write{{Op: OpSet, Path: "a/b", Doc: []byte{1}, Mask: []string{"x"}, Exists: &exists}}}))
	f.Add(wire.Marshal(&CommitReply{Time: 500, Results: []WriteResult{{UpdateTime: 70_000}, {}}}))
	f.Add(wire.Marshal(&GetReply{Time: 1 << 40, Documents: []Document{{Path: "a/b", Doc: []byte{1}, Created: 1, Revision: 300}}}))
	f.Add(wire.Marshal(Descriptor{Range: 1, Epoch: 1, Database: atoll.Database{Project: "p", ID: "d"}, Start: []byte{1}, Shard: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		sameRead[Descriptor, plainDescriptor](t, b)
		sameRead[CommitRequest, plainCommitRequest](t, b)
		sameRead[ApplyRequest, plainApplyRequest](t, b)
		sameRead[CommitReply, plainCommitReply](t, b)
		sameRead[GetRequest, plainGetRequest](t, b)
		sameRead[GetReply, plainGetReply](t, b)
		sameRead[QueryReply, plainQueryReply](t, b)
	})
}
