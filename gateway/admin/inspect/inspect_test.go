package inspect_test

import (
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"

	"atoll"
	"atoll/gateway/admin/inspect"
	"atoll/host"
	"atoll/log/local"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
	"atoll/wire"
)

// TestEverything describes all keys and values of a real store, with two
// subnets and so with streams, and expects words for each.
func TestEverything(t *testing.T) {
	h, err := host.Start(host.Options{Subnets: 2, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	doc := value.Encode(value.Map(value.Field{Name: "name", Value: value.String("Lisbon")}))
	exists := false
	for _, id := range []string{"one", "two"} {
		db := atoll.Database{Project: "p", ID: id}
		for _, w := range [][]shard.Write{
			{{Op: shard.OpSet, Path: "cities/lisbon", Doc: doc, Exists: &exists, Transforms: []shard.Transform{{Field: "at", Kind: shard.ServerTime}}}},
			{{Op: shard.OpDelete, Path: "cities/lisbon"}},
		} {
			if _, err := h.Router.Commit(t.Context(), db, w, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var shown strings.Builder
	for s := range atoll.SubnetID(2) {
		st, err := h.View(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Release()
		it := st.Iter(nil, nil)
		for ok := it.SeekGE(nil); ok; ok = it.Next() {
			key, v := inspect.Key(it.Key()), inspect.Value(it.Key(), it.Value())
			if key == hex.EncodeToString(it.Key()) || v == hex.EncodeToString(it.Value()) && len(v) > 20 {
				t.Errorf("%x is shown as %q with %q", it.Key(), key, v)
			}
			shown.WriteString(key + " = " + v + "\n")
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		for e, err := range local.Tail(st, 1) {
			if err != nil {
				t.Fatal(err)
			}
			b, err := inspect.Record(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range b.Messages {
				shown.WriteString(m.Method + " " + strings.Join(m.To, " ") + ": " + m.Payload + "\n")
			}
			for _, l := range b.Letters {
				shown.WriteString("letter " + l.Method + ": " + l.Payload + "\n")
			}
		}
	}
	for _, want := range []string{
		"head: head = {1: 2", "log record at position 1 = height 1, digest ", "canister rrkah-", "stream with subnet 1 = ",
		"family 1, documents: cities/lisbon at 20", `: {"at":{"$timestamp":"20`, "revision 2: deleted",
		"family 2, feed: range 1 at 20", "family 1, past index: index 1, entry ", " = since 20", "changed by request ", "family 1, requests: ", " for 2vxsx-fae: {1: ",
		`set cities/lisbon {"name":"Lisbon"} transform at by 1 if exists is false`, "delete cities/lisbon", "letter create_canister: ",
	} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("nothing shows %q", want)
		}
	}
	if t.Failed() {
		t.Log(shown.String())
	}
}

func TestFindSpace(t *testing.T) {
	last := []byte(nil)
	for _, s := range inspect.Spaces() {
		got, err := inspect.FindSpace(s.Name)
		if err != nil || got.What != s.What || string(s.Lo) <= string(last) || string(s.Hi) <= string(s.Lo) {
			t.Errorf("%+v, %v", got, err)
		}
		last = s.Lo
	}
	if _, err := inspect.FindSpace("none"); atoll.KindOf(err) != atoll.Invalid {
		t.Error(err)
	}
}

// FuzzBytes shows any bytes as key, value and record: a viewer must not fail on
// what is damaged.
func FuzzBytes(f *testing.F) {
	rec := wire.Marshal(atoll.Record{Block: wire.Marshal(atoll.Block{Messages: []atoll.Message{{Method: "commit", Payload: []byte{0xa0}}}})})
	f.Add([]byte("\x10\x00\x00\x00\x01\x01"), []byte{1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 0})
	f.Add([]byte("\x10\x00\x00\x00\x01\x03x"), []byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte("\x03\x01\x0a"), []byte{0xa0})
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01"), rec)
	f.Fuzz(func(t *testing.T, key, v []byte) {
		inspect.Value(key, v)
		if inspect.Key(key) == "" && len(key) > 0 {
			t.Errorf("nothing is shown for %x", key)
		}
		if _, err := inspect.Record(local.Entry{Record: v}); err != nil && atoll.KindOf(err) != atoll.DataLoss {
			t.Error(err)
		}
	})
}
