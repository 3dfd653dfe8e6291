package firestore

import (
	"unicode/utf8"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protowire"

	"atoll"
	"atoll/program/shard"
	"atoll/value"
)

// verifyField is the number of Write's field "verify", a document's name. The
// clients for browsers and phones send it from transactions; the public
// definition of Write lacks it, so that it arrives as an unknown field.
const verifyField protowire.Number = 5

// toWrite converts a write to a document of db.
func toWrite(db atoll.Database, w *firestorepb.Write) (shard.Write, error) {
	verify, isVerify, err := parseVerify(w.ProtoReflect().GetUnknown())
	if err != nil {
		return shard.Write{}, err
	}
	if isVerify && w.GetOperation() != nil {
		return shard.Write{}, atoll.Errorf(atoll.Invalid, "a write has one operation; this one has verify and another")
	}
	var out shard.Write
	switch op := w.GetOperation().(type) {
	case *firestorepb.Write_Update:
		out, _, err = toUpdate(db, op.Update, w.GetUpdateMask())
	case *firestorepb.Write_Delete:
		out.Op = shard.OpDelete
		out.Path, err = within(db, op.Delete)
	case *firestorepb.Write_Transform:
		// The old form of a transform: an update that sets no field.
		out.Op, out.HasMask = shard.OpSet, true
		out.Path, err = within(db, op.Transform.GetDocument())
		if err == nil && len(op.Transform.GetFieldTransforms()) == 0 {
			err = atoll.Errorf(atoll.Invalid, "the transform of %q has no field_transforms", out.Path)
		}
		if err == nil {
			out.Transforms, err = toTransforms(op.Transform.GetFieldTransforms())
		}
	default:
		if !isVerify {
			return out, atoll.Errorf(atoll.Invalid, "a write needs an operation: update, delete, verify or transform")
		}
		out.Op = shard.OpVerify
		out.Path, err = within(db, verify)
	}
	if err != nil {
		return out, err
	}
	if w.GetUpdate() != nil {
		if out.Transforms, err = toTransforms(w.GetUpdateTransforms()); err != nil {
			return out, err
		}
	} else if w.GetUpdateMask() != nil || len(w.GetUpdateTransforms()) > 0 {
		return out, atoll.Errorf(atoll.Invalid, "update_mask and update_transforms belong to an update; the write to %q is none", out.Path)
	}
	return out, toPrecondition(&out, w.GetCurrentDocument())
}

// parseVerify finds a verify among unknown fields; the last one counts, as
// with every field of protocol buffers.
func parseVerify(unknown []byte) (name string, ok bool, err error) {
	for len(unknown) > 0 {
		num, typ, n := protowire.ConsumeTag(unknown)
		if n < 0 {
			return "", false, atoll.Errorf(atoll.Invalid, "the write holds an unknown field that is malformed")
		}
		unknown = unknown[n:]
		if num != verifyField {
			if n = protowire.ConsumeFieldValue(num, typ, unknown); n < 0 {
				return "", false, atoll.Errorf(atoll.Invalid, "the write holds an unknown field that is malformed")
			}
			unknown = unknown[n:]
			continue
		}
		if typ != protowire.BytesType {
			return "", false, atoll.Errorf(atoll.Invalid, "the write's field verify is not a string")
		}
		b, n := protowire.ConsumeBytes(unknown)
		if n < 0 || !utf8.Valid(b) {
			return "", false, atoll.Errorf(atoll.Invalid, "the write's field verify is not a string of UTF-8")
		}
		name, ok, unknown = string(b), true, unknown[n:]
	}
	return name, ok, nil
}

// toUpdate converts a document that is set, or of which the masked fields are.
// same tells that the stored fields, converted back, are those given.
func toUpdate(db atoll.Database, d *firestorepb.Document, mask *firestorepb.DocumentMask) (w shard.Write, same bool, err error) {
	if d == nil {
		return w, false, atoll.Errorf(atoll.Invalid, "an update needs a document")
	}
	w.Op = shard.OpSet
	if w.Path, err = within(db, d.GetName()); err != nil {
		return w, false, err
	}
	if mask != nil {
		w.HasMask = true
		if w.Mask, err = toMask(mask); err != nil {
			return w, false, err
		}
	}
	doc, same, err := toDocument(w.Path, d)
	if err != nil {
		return w, false, err
	}
	w.Doc = value.Encode(doc)
	return w, same, nil
}

// toMask brings the paths of a mask for writing into their canonical text.
func toMask(mask *firestorepb.DocumentMask) ([]string, error) {
	out := make([]string, len(mask.GetFieldPaths()))
	for i, text := range mask.GetFieldPaths() {
		p, err := writable(text)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// writable brings the path of a field that is to be written into its canonical
// text.
func writable(text string) (string, error) {
	p, err := value.ParseFieldPath(text)
	if err != nil {
		return "", err
	}
	if p.IsName() {
		return "", atoll.Errorf(atoll.Invalid, "a document's name (__name__) cannot be written")
	}
	return p.String(), nil
}

func toPrecondition(w *shard.Write, p *firestorepb.Precondition) error {
	switch c := p.GetConditionType().(type) {
	case *firestorepb.Precondition_Exists:
		w.Exists = &c.Exists
	case *firestorepb.Precondition_UpdateTime:
		t, err := toTime(c.UpdateTime)
		if err != nil {
			return atoll.Errorf(atoll.Invalid, "the precondition on %q holds %s", w.Path, atoll.AsError(err).Msg)
		}
		w.UpdateTime = &t
	}
	return nil
}

// maxTransforms is how many fields one write may transform, as in Firestore.
const maxTransforms = 500

func toTransforms(in []*firestorepb.DocumentTransform_FieldTransform) ([]shard.Transform, error) {
	if len(in) == 0 {
		return nil, nil
	}
	if len(in) > maxTransforms {
		return nil, atoll.Errorf(atoll.Invalid, "the write has %d field transforms; %d are allowed", len(in), maxTransforms)
	}
	out := make([]shard.Transform, len(in))
	for i, t := range in {
		field, err := writable(t.GetFieldPath())
		if err != nil {
			return nil, err
		}
		if out[i], err = toTransform(field, t); err != nil {
			e := atoll.AsError(err)
			return nil, atoll.Errorf(e.Kind, "the transform of the field %s: %s", field, e.Msg)
		}
	}
	return out, nil
}

func toTransform(field string, t *firestorepb.DocumentTransform_FieldTransform) (shard.Transform, error) {
	out := shard.Transform{Field: field}
	var operand *firestorepb.Value
	switch op := t.GetTransformType().(type) {
	case *firestorepb.DocumentTransform_FieldTransform_SetToServerValue:
		if op.SetToServerValue != firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME {
			return out, atoll.Errorf(atoll.Invalid, "set_to_server_value must be REQUEST_TIME")
		}
		out.Kind = shard.ServerTime
		return out, nil
	case *firestorepb.DocumentTransform_FieldTransform_Increment:
		out.Kind, operand = shard.Increment, op.Increment
	case *firestorepb.DocumentTransform_FieldTransform_Maximum:
		out.Kind, operand = shard.Maximum, op.Maximum
	case *firestorepb.DocumentTransform_FieldTransform_Minimum:
		out.Kind, operand = shard.Minimum, op.Minimum
	case *firestorepb.DocumentTransform_FieldTransform_AppendMissingElements:
		out.Kind, operand = shard.ArrayUnion, &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: op.AppendMissingElements}}
	case *firestorepb.DocumentTransform_FieldTransform_RemoveAllFromArray:
		out.Kind, operand = shard.ArrayRemove, &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: op.RemoveAllFromArray}}
	default:
		return out, atoll.Errorf(atoll.Invalid, "it says not what to do")
	}
	v, err := toOperand(operand)
	if err != nil {
		return out, err
	}
	isArray := out.Kind == shard.ArrayUnion || out.Kind == shard.ArrayRemove
	if !isArray && !v.IsNumber() {
		return out, atoll.Errorf(atoll.Invalid, "the operand must be an integer or a double, not a %s", v.Kind())
	}
	out.Operand = value.EncodeValue(v)
	return out, nil
}
