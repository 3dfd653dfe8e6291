package value

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"atoll"
)

// The oracle keeps a map as a Go map and everything else as a Value, and takes
// one path after the other.

type plain map[string]any

func toPlain(v Value) any {
	if v.Kind() != KindMap {
		return v
	}
	p := plain{}
	for i := range v.Len() {
		p[v.Field(i).Name] = toPlain(v.Field(i).Value)
	}
	return p
}

func fromPlain(x any) Value {
	p, ok := x.(plain)
	if !ok {
		return x.(Value)
	}
	var fields []Field
	for name, below := range p {
		fields = append(fields, Field{name, fromPlain(below)})
	}
	return Map(fields...)
}

func (p plain) set(path FieldPath, v Value) {
	for len(path) > 1 {
		below, ok := p[path[0]].(plain)
		if !ok {
			below = plain{}
			p[path[0]] = below
		}
		p, path = below, path[1:]
	}
	p[path[0]] = toPlain(v)
}

func (p plain) remove(path FieldPath) {
	for len(path) > 1 {
		below, ok := p[path[0]].(plain)
		if !ok {
			return
		}
		p, path = below, path[1:]
	}
	delete(p, path[0])
}

func masks() *rapid.Generator[[]FieldPath] { return rapid.SliceOfN(fieldPaths(), 0, 5) }

func TestApplyMaskTakesPathsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, doc, paths := documents().Draw(t, "old"), documents().Draw(t, "new"), masks().Draw(t, "paths")
		want := toPlain(old).(plain)
		for _, p := range paths {
			if v, ok := doc.Lookup(p); ok {
				want.set(p, v)
			} else {
				want.remove(p)
			}
		}
		got, err := ApplyMask(old, doc, paths)
		if err != nil || !Identical(got, fromPlain(want)) {
			t.Fatalf("%v with %v of %v is %v, %v, not %v", old, paths, doc, got, err, fromPlain(want))
		}
		if again, err := DecodeDocument(Encode(got)); err != nil || !Identical(again, got) {
			t.Fatalf("%v cannot be stored: %v", got, err)
		}
	})
}

func TestSetPathSetsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, path, v := documents().Draw(t, "doc"), fieldPaths().Draw(t, "path"), values(1).Draw(t, "v")
		want := toPlain(doc).(plain)
		want.set(path, v)
		if got := SetPath(doc, path, v); !Identical(got, fromPlain(want)) {
			t.Fatalf("%v with %v = %v is %v", doc, path, v, got)
		}
	})
}

func TestProjectKeepsWhatIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, paths := documents().Draw(t, "doc"), masks().Draw(t, "paths")
		want := plain{}
		slices.SortFunc(paths, FieldPath.Compare)
		for _, p := range paths {
			if v, ok := doc.Lookup(p); ok {
				want.set(p, v)
			}
		}
		if got := Project(doc, paths); !Identical(got, fromPlain(want)) {
			t.Fatalf("%v of %v is %v, not %v", paths, doc, got, fromPlain(want))
		}
	})
}

func TestApplyMaskExamples(t *testing.T) {
	old := Map(field("a", Map(field("x", Int(1)), field("y", Int(2)))), field("b", Int(3)))
	for _, c := range []struct{ doc, mask, want string }{
		{"{}", "a.x", "{a: {y: 2}, b: 3}"},
		{"{}", "a.x a.y", "{a: {}, b: 3}"},
		{"{}", "b.c", "{a: {x: 1, y: 2}, b: 3}"},
		{"c=7", "b.c", "{a: {x: 1, y: 2}, b: {c: 7}}"},
		{"c=7", "b", "{a: {x: 1, y: 2}, b: {c: 7}}"},
		{"c=7", "b b.d", "{a: {x: 1, y: 2}, b: {c: 7}}"},
		{"c=7", "", "{a: {x: 1, y: 2}, b: 3}"},
		{"c=7", "z.z.z", "{a: {x: 1, y: 2}, b: 3}"},
	} {
		doc := Map()
		if c.doc != "{}" {
			doc = Map(field("b", Map(field("c", Int(7)))))
		}
		var paths []FieldPath
		for _, text := range strings.Fields(c.mask) {
			p, err := ParseFieldPath(text)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, p)
		}
		if got, err := ApplyMask(old, doc, paths); err != nil || got.String() != c.want {
			t.Errorf("%s of %s gives %v, %v, not %s", c.mask, c.doc, got, err, c.want)
		}
	}
	if old.String() != "{a: {x: 1, y: 2}, b: 3}" {
		t.Errorf("the old document became %v", old)
	}
}

func TestApplyMaskRefuses(t *testing.T) {
	for _, p := range []FieldPath{nil, {NameField}, {"__x__"}, {"a\x00"}} {
		if v, err := ApplyMask(Map(), Map(), []FieldPath{p}); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("the mask %q gives %v, %v", []string(p), v, err)
		}
	}
}
