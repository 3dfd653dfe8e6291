package shard

import (
	"atoll"
	"atoll/value"
)

// edit is a write with its parts decoded.
type edit struct {
	*Write
	doc *staged

	fields     value.Value // Doc decoded; an absent Doc is an empty one
	masked     bool
	mask       []value.FieldPath
	transforms []transform
}

type transform struct {
	field   value.FieldPath
	kind    TransformKind
	operand value.Value
}

// computed reports whether the document that comes out is another than Doc.
func (e *edit) computed() bool { return e.masked || len(e.transforms) > 0 }

// parse decodes the write. It fails with Invalid on what no document could
// make right.
func (e *edit) parse() error {
	switch e.Op {
	case OpSet:
		return e.parseSet()
	case OpDelete, OpVerify:
		if len(e.Doc) > 0 || e.HasMask || len(e.Mask) > 0 || len(e.Transforms) > 0 {
			return atoll.Errorf(atoll.Invalid, "a write that deletes or verifies has no fields, mask or transforms")
		}
		return nil
	}
	return atoll.Errorf(atoll.Invalid, "a write has the unknown operation %d", e.Op)
}

func (e *edit) parseSet() error {
	if len(e.Doc) == 0 {
		e.Doc = value.Encode(value.Map())
	}
	var err error
	if e.fields, err = value.DecodeDocument(e.Doc); err != nil {
		return err
	}
	if e.masked = e.HasMask || len(e.Mask) > 0; e.masked {
		e.mask = make([]value.FieldPath, len(e.Mask))
	}
	for i, text := range e.Mask {
		if e.mask[i], err = value.ParseFieldPath(text); err != nil {
			return err
		}
	}
	if len(e.Transforms) > maxTransforms {
		return atoll.Errorf(atoll.Invalid, "a write has %d transforms; %d are allowed", len(e.Transforms), maxTransforms)
	}
	if len(e.Transforms) > 0 {
		e.transforms = make([]transform, len(e.Transforms))
	}
	for i := range e.Transforms {
		if err := e.transforms[i].parse(&e.Transforms[i]); err != nil {
			return err
		}
	}
	if e.computed() {
		return nil
	}
	return value.CheckDocument(e.Path, e.fields)
}

func (t *transform) parse(from *Transform) (err error) {
	if t.field, err = value.ParseFieldPath(from.Field); err != nil {
		return err
	}
	t.kind = from.Kind
	if t.kind < ServerTime || t.kind > ArrayRemove {
		return atoll.Errorf(atoll.Invalid, "the field %s has the unknown transform %d", from.Field, t.kind)
	}
	if t.kind == ServerTime {
		return nil
	}
	if t.operand, err = value.DecodeValue(from.Operand); err != nil {
		return err
	}
	if err := value.CheckValue(t.operand); err != nil {
		return err
	}
	// What the transform makes of a missing field tells whether the operand
	// is of a type that it takes.
	_, _, err = t.apply(value.Null(), 0)
	return err
}

// apply returns what the field becomes, and the result that the client is
// told: the new value, but null for the changes of an array.
func (t *transform) apply(old value.Value, now atoll.Time) (next, result value.Value, err error) {
	switch t.kind {
	case ServerTime:
		next = value.Timestamp(now)
	case Increment:
		next, err = value.Increment(old, t.operand)
	case Maximum:
		next, err = value.Max(old, t.operand)
	case Minimum:
		next, err = value.Min(old, t.operand)
	case ArrayUnion:
		next, err = value.ArrayUnion(old, t.operand)
		return next, value.Null(), err
	case ArrayRemove:
		next, err = value.ArrayRemove(old, t.operand)
		return next, value.Null(), err
	}
	return next, next, err
}

// compute returns the fields that the write makes of old, and its transforms'
// encoded results.
func (e *edit) compute(old value.Value, now atoll.Time) (value.Value, [][]byte, error) {
	fields := e.fields
	if e.masked {
		var err error
		if fields, err = value.ApplyMask(old, e.fields, e.mask); err != nil {
			return value.Value{}, nil, err
		}
	}
	if len(e.transforms) == 0 {
		return fields, nil, nil
	}
	results := make([][]byte, len(e.transforms))
	for i := range e.transforms {
		t := &e.transforms[i]
		before, _ := fields.Lookup(t.field)
		after, result, err := t.apply(before, now)
		if err != nil {
			return value.Value{}, nil, err
		}
		fields = value.SetPath(fields, t.field, after)
		results[i] = value.EncodeValue(result)
	}
	return fields, results, nil
}
