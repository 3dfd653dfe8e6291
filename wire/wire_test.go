package wire_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"atoll"
	"atoll/wire"
)

// TestPrincipalsAreBytes encodes principals whose bytes are no text.
func TestPrincipalsAreBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := atoll.Principal(rapid.SliceOfN(rapid.Byte(), 0, atoll.MaxPrincipalLen).Draw(rt, "principal"))
		in := atoll.Message{From: p, To: []atoll.CanisterID{p, atoll.NewCanisterID(300, 200)}, Method: "m"}
		var out atoll.Message
		if err := wire.Unmarshal(wire.Marshal(in), &out); err != nil || !cmp.Equal(in, out) {
			rt.Fatalf("%v\n%s", err, cmp.Diff(in, out))
		}
		if q, err := atoll.ParsePrincipal(p.String()); err != nil || q != p {
			rt.Fatalf("%q as text is %q, read back %q, %v", string(p), p, string(q), err)
		}
	})
	long := wire.Marshal(bytes.Repeat([]byte{1}, atoll.MaxPrincipalLen+1))
	var p atoll.Principal
	if err := wire.Unmarshal(long, &p); err == nil {
		t.Error("a principal of 30 bytes was read")
	}
	// Examples of the Internet Computer interface specification.
	if got := atoll.Management.String(); got != "aaaaa-aa" {
		t.Errorf("the management canister is %s", got)
	}
	if got := atoll.Anonymous.String(); got != "2vxsx-fae" {
		t.Errorf("the anonymous principal is %s", got)
	}
	if p, err := atoll.ParsePrincipal("em77e-bvlzu-aq"); err != nil || string(p) != "\xab\xcd\x01" {
		t.Errorf("em77e-bvlzu-aq is %x, %v", string(p), err)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":            {},
		"more than one":      {0x01, 0x02},
		"cut short":          {0x82, 0x01},
		"a tag":              {0xc1, 0x01},
		"indefinite length":  {0x9f, 0x01, 0xff},
		"a repeated key":     {0xa2, 0x01, 0x41, 0x00, 0x01, 0x41, 0x00},
		"text that is none":  {0x61, 0xff},
		"deep nesting":       bytes.Repeat([]byte{0x81}, 100),
		"an absurd length":   {0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"an absurd array":    {0x9b, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"more array than is": {0x9a, 0x00, 0x00, 0xff, 0xff},
	} {
		var v any
		if err := wire.Unmarshal(b, &v); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	type newer struct {
		A int    `cbor:"1,keyasint"`
		B string `cbor:"99,keyasint"`
	}
	type older struct {
		A int `cbor:"1,keyasint"`
	}
	var o older
	if err := wire.Unmarshal(wire.Marshal(newer{7, "later"}), &o); err != nil || o.A != 7 {
		t.Errorf("%+v, %v", o, err)
	}
	if s, err := wire.Diagnose(wire.Marshal(newer{7, "later"})); err != nil || !strings.Contains(s, "later") {
		t.Errorf("%s, %v", s, err)
	}
	if a, b := wire.Marshal(math.Inf(1)), wire.Marshal(map[string]int{"b": 1, "a": 2}); len(a) == 0 || !bytes.Equal(b, []byte{0xa2, 0x61, 'a', 2, 0x61, 'b', 1}) {
		t.Errorf("%x %x: not deterministic", a, b)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(wire.Marshal(atoll.Block{Height: 1, Messages: []atoll.Message{{Method: "m", Payload: []byte{1}}}}))
	f.Add(wire.Marshal(atoll.Record{Format: 1, Block: []byte{1, 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var block atoll.Block
		if wire.Unmarshal(b, &block) == nil {
			again := wire.Marshal(block)
			var second atoll.Block
			if err := wire.Unmarshal(again, &second); err != nil || !bytes.Equal(wire.Marshal(second), again) {
				t.Fatalf("read once, not twice: %x: %v", b, err)
			}
		}
		var rec atoll.Record
		wire.Unmarshal(b, &rec)
		var letter atoll.Letter
		wire.Unmarshal(b, &letter)
	})
}
