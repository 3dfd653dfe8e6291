package value

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

// TestDocumentSizeExample is the example of Firestore's page "Storage size
// calculations".
func TestDocumentSizeExample(t *testing.T) {
	doc := Map(field("type", String("Personal")), field("done", Bool(false)), field("priority", Int(1)), field("description", String("Learn Cloud Firestore")))
	if got := DocumentSize("users/jeff/tasks/my_task_id", doc); got != 147 {
		t.Errorf("the document takes %d bytes, not 147", got)
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want int
	}{
		{Null(), 1}, {Bool(true), 1}, {Int(1), 8}, {Double(1), 8}, {Timestamp(1), 8},
		{String("é"), 3}, {Bytes([]byte("ab")), 2}, {GeoPoint(1, 2), 16}, {Vector([]float64{1, 2, 3}), 24},
		{Reference("projects/p/databases/d/documents/users/jeff/tasks/__id12__"), 6 + 5 + 6 + 8 + 16},
		{Reference("projects/p/databases/d/documents/__id12__/jeff"), 9 + 5 + 16},
		{Array(Int(1), Null()), 9},
		{Map(), 32}, {Map(field("ab", Int(1))), 3 + 8 + 32},
	} {
		if got := Size(c.v); got != c.want {
			t.Errorf("%v takes %d bytes, not %d", c.v, got, c.want)
		}
	}
}

// wrap puts v into n maps and arrays, in turns.
func wrap(v Value, n int) Value {
	for i := range n {
		if i%2 == 0 {
			v = Map(field("m", v))
		} else {
			v = Array(v)
		}
	}
	return v
}

func TestCheckDocumentAtTheLimits(t *testing.T) {
	str := func(n int) Value { return String(strings.Repeat("x", n)) }
	bin := func(n int) Value { return Bytes(make([]byte, n)) }
	name := strings.Repeat("n", MaxNameLen)
	const rest = MaxDocumentSize - (2 + 2 + nameOverhead) - mapOverhead - 2 // for the value of a document c/d with one field f
	for what, c := range map[string]struct{ good, bad Value }{
		"a string's length":      {Map(field("f", str(MaxValueSize))), Map(field("f", str(MaxValueSize+1)))},
		"the length of bytes":    {Map(field("f", bin(MaxValueSize))), Map(field("f", bin(MaxValueSize+1)))},
		"an array's size":        {Map(field("f", Array(bin(MaxValueSize-1), Null()))), Map(field("f", Array(bin(MaxValueSize), Null())))},
		"the document's size":    {Map(field("e", bin(999)), field("f", bin(rest-2-999))), Map(field("e", bin(1000)), field("f", bin(rest-2-999)))},
		"a name's length":        {Map(field(name, Null())), Map(field(name+"n", Null()))},
		"the depth":              {Map(field("f", wrap(Null(), MaxDepth))), Map(field("f", wrap(Null(), MaxDepth+1)))},
		"the depth, empty array": {Map(field("f", wrap(Array(), MaxDepth-1))), Map(field("f", wrap(wrap(Int(1), 1), MaxDepth)))},
		"dimensions":             {Map(field("f", Vector(make([]float64, MaxDimensions)))), Map(field("f", Vector(make([]float64, MaxDimensions+1))))},
		"arrays in arrays":       {Map(field("f", Array(Map(field("a", Array()))))), Map(field("f", Array(Array())))},
		"vectors in arrays":      {Map(field("f", Array(Vector(nil)))), Map(field("f", Array(Null(), Array())))},
		"years":                  {Map(field("f", Timestamp(atoll.MaxTime))), Map(field("f", Timestamp(atoll.MaxTime+1)))},
		"early years":            {Map(field("f", Timestamp(atoll.MinTime))), Map(field("f", Timestamp(atoll.MinTime-1)))},
		"latitudes":              {Map(field("f", GeoPoint(-90, 180))), Map(field("f", GeoPoint(90.5, 0)))},
		"longitudes":             {Map(field("f", GeoPoint(90, -180))), Map(field("f", GeoPoint(0, -180.5)))},
		"references":             {Map(field("f", ref("c/d"))), Map(field("f", ref("c")))},
		"names of references":    {Map(field("f", Reference("projects/documents/databases/d/documents/documents/d"))), Map(field("f", Reference("c/d")))},
		"UTF-8":                  {Map(field("f", String("é"))), Map(field("f", String("\xc3")))},
		"NUL in names":           {Map(field("", String("\x00"))), Map(field("a\x00", Null()))},
		"reserved names":         {Map(field("__a", Null())), Map(field("__a__", Null()))},
		"reserved names within":  {Map(field("f", Map(field("___", Null())))), Map(field("f", Map(field("____", Null()))))},
	} {
		if err := CheckDocument("c/d", c.good); err != nil {
			t.Errorf("%s: at the limit: %v", what, err)
		}
		err := CheckDocument("c/d", c.bad)
		if atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: beyond the limit: %v", what, err)
		}
		if DocumentSize("c/d", c.good) <= MaxDocumentSize {
			if v, err := DecodeDocument(Encode(c.good)); err != nil || !Identical(v, c.good) {
				t.Errorf("%s: what passed cannot be stored: %v", what, err)
			}
		}
	}
}

func TestCheckDocumentChecksThePath(t *testing.T) {
	for _, p := range []atoll.Path{"", "c", "c/d/e", "c//", "c/__x__"} {
		if err := CheckDocument(p, Map()); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("the path %q: %v", p, err)
		}
	}
	if err := CheckDocument("c/d", Int(1)); atoll.KindOf(err) != atoll.Invalid {
		t.Errorf("a number as document: %v", err)
	}
}

func TestCheckNamesTheField(t *testing.T) {
	doc := Map(field("a b", Map(field("list", Array(Null(), Map(field("x", GeoPoint(91, 0))))))))
	want := "the field `a b`.list[1].x holds geo(91, 0); a latitude is -90 to 90 and a longitude -180 to 180"
	if err := CheckDocument("c/d", doc); atoll.AsError(err).Msg != want {
		t.Errorf("the message is %q", atoll.AsError(err).Msg)
	}
}

// TestWhatIsCheckedCanBeStored: nothing passes CheckDocument that the decoder
// refuses, and CheckValue agrees with it.
func TestWhatIsCheckedCanBeStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := values(3).Draw(t, "v")
		doc := Map(field("f", v))
		err := CheckDocument("c/d", doc)
		if (CheckValue(v) == nil) != (err == nil) {
			t.Fatalf("%v: %v, as a document %v", v, CheckValue(v), err)
		}
		if err != nil {
			return
		}
		if back, err := DecodeDocument(Encode(doc)); err != nil || !Identical(back, doc) {
			t.Fatalf("%v passed, but came back as %v, %v", doc, back, err)
		}
	})
	if CheckValue(wrap(Null(), MaxDepth)) != nil || CheckValue(wrap(Null(), MaxDepth+1)) == nil {
		t.Error("CheckValue has another limit of depth than CheckDocument")
	}
}
