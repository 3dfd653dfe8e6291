package firestore

import (
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"atoll"
	"atoll/program/shard"
	"atoll/value"
)

const docName = "projects/dev/databases/(default)/documents/c/x"

type fieldTransform = firestorepb.DocumentTransform_FieldTransform

func update(fields pbFields) *firestorepb.Write {
	return &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: docName, Fields: fields}}}
}

// withVerify adds the field that the public definition of Write lacks.
func withVerify(w *firestorepb.Write, name string) *firestorepb.Write {
	raw := w.ProtoReflect().GetUnknown()
	raw = protowire.AppendTag(raw, verifyField, protowire.BytesType)
	w.ProtoReflect().SetUnknown(protowire.AppendString(raw, name))
	return w
}

func requestTime(field string) *fieldTransform {
	return &fieldTransform{FieldPath: field, TransformType: &firestorepb.DocumentTransform_FieldTransform_SetToServerValue{
		SetToServerValue: firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME}}
}

func increment(field string, by *pbValue) *fieldTransform {
	return &fieldTransform{FieldPath: field, TransformType: &firestorepb.DocumentTransform_FieldTransform_Increment{Increment: by}}
}

func exists(yes bool) *firestorepb.Precondition {
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: yes}}
}

// overTheWire makes a write as it arrives: unknown fields included.
func overTheWire(t *testing.T, w *firestorepb.Write) *firestorepb.Write {
	t.Helper()
	b, err := proto.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var out firestorepb.Write
	if err := proto.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestWrites(t *testing.T) {
	masked := update(pbFields{"a": pbInt(1)})
	masked.UpdateMask = &firestorepb.DocumentMask{FieldPaths: []string{"a", "`b`.`c d`"}}
	masked.CurrentDocument = exists(true)
	empty := update(nil)
	empty.UpdateMask = &firestorepb.DocumentMask{}
	timed := &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: docName}, CurrentDocument: &firestorepb.Precondition{
		ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: &timestamppb.Timestamp{Seconds: 7, Nanos: 8999}}}}
	transformed := update(nil)
	transformed.UpdateTransforms = []*fieldTransform{requestTime("t"), increment("n.`x y`", pbDouble(2)),
		{FieldPath: "u", TransformType: &firestorepb.DocumentTransform_FieldTransform_AppendMissingElements{AppendMissingElements: &firestorepb.ArrayValue{Values: []*pbValue{pbInt(1)}}}},
		{FieldPath: "r", TransformType: &firestorepb.DocumentTransform_FieldTransform_RemoveAllFromArray{}},
		{FieldPath: "max", TransformType: &firestorepb.DocumentTransform_FieldTransform_Maximum{Maximum: pbInt(3)}},
		{FieldPath: "min", TransformType: &firestorepb.DocumentTransform_FieldTransform_Minimum{Minimum: pbInt(4)}}}
	legacy := &firestorepb.Write{Operation: &firestorepb.Write_Transform{Transform: &firestorepb.DocumentTransform{Document: docName, FieldTransforms: []*fieldTransform{requestTime("t")}}}}

	yes, seven := true, atoll.Time(7_000_008)
	none := value.Encode(value.Map())
	for _, c := range []struct {
		name string
		in   *firestorepb.Write
		want shard.Write
	}{
		{"set", update(pbFields{"a": pbInt(1)}), shard.Write{Op: shard.OpSet, Path: "c/x", Doc: value.Encode(value.Map(value.Field{Name: "a", Value: value.Int(1)}))}},
		{"update", masked, shard.Write{Op: shard.OpSet, Path: "c/x", HasMask: true, Mask: []string{"a", "b.`c d`"}, Exists: &yes,
			Doc: value.Encode(value.Map(value.Field{Name: "a", Value: value.Int(1)}))}},
		{"empty mask", empty, shard.Write{Op: shard.OpSet, Path: "c/x", HasMask: true, Mask: []string{}, Doc: none}},
		{"delete", timed, shard.Write{Op: shard.OpDelete, Path: "c/x", UpdateTime: &seven}},
		{"verify", withVerify(&firestorepb.Write{CurrentDocument: exists(true)}, docName), shard.Write{Op: shard.OpVerify, Path: "c/x", Exists: &yes}},
		{"legacy transform", legacy, shard.Write{Op: shard.OpSet, Path: "c/x", HasMask: true, Transforms: []shard.Transform{{Field: "t", Kind: shard.ServerTime}}}},
		{"transforms", transformed, shard.Write{Op: shard.OpSet, Path: "c/x", Doc: none, Transforms: []shard.Transform{
			{Field: "t", Kind: shard.ServerTime},
			{Field: "n.`x y`", Kind: shard.Increment, Operand: value.EncodeValue(value.Double(2))},
			{Field: "u", Kind: shard.ArrayUnion, Operand: value.EncodeValue(value.Array(value.Int(1)))},
			{Field: "r", Kind: shard.ArrayRemove, Operand: value.EncodeValue(value.Array())},
			{Field: "max", Kind: shard.Maximum, Operand: value.EncodeValue(value.Int(3))},
			{Field: "min", Kind: shard.Minimum, Operand: value.EncodeValue(value.Int(4))},
		}}},
	} {
		got, err := toWrite(dev, overTheWire(t, c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !sameWrite(got, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func sameWrite(a, b shard.Write) bool {
	same := func(x, y *bool) bool { return (x == nil) == (y == nil) && (x == nil || *x == *y) }
	return a.Op == b.Op && a.Path == b.Path && string(a.Doc) == string(b.Doc) && a.HasMask == b.HasMask && slices.Equal(a.Mask, b.Mask) &&
		same(a.Exists, b.Exists) && (a.UpdateTime == nil) == (b.UpdateTime == nil) && (a.UpdateTime == nil || *a.UpdateTime == *b.UpdateTime) &&
		slices.EqualFunc(a.Transforms, b.Transforms, func(x, y shard.Transform) bool {
			return x.Field == y.Field && x.Kind == y.Kind && string(x.Operand) == string(y.Operand)
		})
}

func TestWritesThatAreRefused(t *testing.T) {
	with := func(edit func(*firestorepb.Write)) *firestorepb.Write {
		w := update(nil)
		edit(w)
		return w
	}
	transform := func(ts ...*fieldTransform) *firestorepb.Write {
		return with(func(w *firestorepb.Write) { w.UpdateTransforms = ts })
	}
	mask := func(paths ...string) *firestorepb.Write {
		return with(func(w *firestorepb.Write) { w.UpdateMask = &firestorepb.DocumentMask{FieldPaths: paths} })
	}
	deletion := func() *firestorepb.Write {
		return &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: docName}}
	}
	maskedDelete := deletion()
	maskedDelete.UpdateMask = &firestorepb.DocumentMask{}
	notBytes := &firestorepb.Write{}
	notBytes.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, verifyField, protowire.VarintType), 1))
	for name, w := range map[string]*firestorepb.Write{
		"nothing":                 {},
		"update without document": {Operation: &firestorepb.Write_Update{}},
		"another database":        {Operation: &firestorepb.Write_Delete{Delete: "projects/other/databases/(default)/documents/c/x"}},
		"a collection":            {Operation: &firestorepb.Write_Delete{Delete: "projects/dev/databases/(default)/documents/c"}},
		"no name":                 {Operation: &firestorepb.Write_Delete{}},
		"verify and delete":       withVerify(deletion(), docName),
		"verify of a collection":  withVerify(&firestorepb.Write{}, "projects/dev/databases/(default)/documents/c"),
		"verify that is a number": notBytes,
		"delete with a mask":      maskedDelete,
		"mask with __name__":      mask("__name__"),
		"mask with junk":          mask("a..b"),
		"mask with reserved name": mask("__a__"),
		"empty legacy transform":  {Operation: &firestorepb.Write_Transform{Transform: &firestorepb.DocumentTransform{Document: docName}}},
		"no transform type":       transform(&fieldTransform{FieldPath: "a"}),
		"no server value":         transform(&fieldTransform{FieldPath: "a", TransformType: &firestorepb.DocumentTransform_FieldTransform_SetToServerValue{}}),
		"increment by text":       transform(increment("a", pbString("x"))),
		"increment by array":      transform(increment("a", pbArray())),
		"increment by nothing":    transform(increment("a", nil)),
		"transform of __name__":   transform(requestTime("__name__")),
		"transform of nothing":    transform(requestTime("")),
		"union with an array": transform(&fieldTransform{FieldPath: "a", TransformType: &firestorepb.DocumentTransform_FieldTransform_AppendMissingElements{
			AppendMissingElements: &firestorepb.ArrayValue{Values: []*pbValue{pbArray()}}}}),
		"501 transforms": transform(slices.Repeat([]*fieldTransform{requestTime("a")}, 501)...),
		"update time": with(func(w *firestorepb.Write) {
			w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: &timestamppb.Timestamp{Nanos: -1}}}
		}),
	} {
		if _, err := toWrite(dev, w); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: got %v; want Invalid", name, err)
		}
	}
	if _, err := toWrite(dev, transform(slices.Repeat([]*fieldTransform{requestTime("a")}, 500)...)); err != nil {
		t.Errorf("500 transforms: %v", err)
	}
}

func FuzzParseVerify(f *testing.F) {
	f.Add([]byte(withVerify(&firestorepb.Write{}, docName).ProtoReflect().GetUnknown()))
	f.Add([]byte{0x28, 1})
	f.Add([]byte{0x78, 1, 0x2a, 0})
	f.Fuzz(func(t *testing.T, unknown []byte) {
		name, ok, err := parseVerify(unknown)
		if err != nil && (atoll.KindOf(err) != atoll.Invalid || ok) {
			t.Fatalf("got %q, %v, %v", name, ok, err)
		}
		if ok && !strings.Contains(string(unknown), name) {
			t.Fatalf("%q is not in the bytes", name)
		}
	})
}

func FuzzToWrite(f *testing.F) {
	w := update(tenFields())
	w.UpdateTransforms = []*fieldTransform{requestTime("a"), increment("b", pbInt(1))}
	w.UpdateMask = &firestorepb.DocumentMask{FieldPaths: []string{"a.`b`"}}
	for _, w := range []*firestorepb.Write{w, withVerify(&firestorepb.Write{}, docName)} {
		b, err := proto.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in firestorepb.Write
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		w, err := toWrite(dev, &in)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		if !w.Path.IsDocument() || w.Path.Check() != nil {
			t.Fatalf("the path %q got through", w.Path)
		}
		if w.Doc != nil && value.Validate(w.Doc) != nil {
			t.Fatal("a document that cannot be stored got through")
		}
	})
}
