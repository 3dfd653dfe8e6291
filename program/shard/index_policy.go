package shard

import (
	"slices"

	"atoll/value"
)

// policy says how a field is indexed by itself. The zero policy is the usual
// one: for queries over one collection.
type policy struct{ off, group bool }

// rules tells the policy of each field of a collection group. Nil rules are the
// usual policy for all.
type rules struct {
	usual policy
	root  rule
}

// rule is one name on the way of the field paths that have a policy of their
// own.
type rule struct {
	set  bool
	to   policy
	next map[string]*rule
}

// compileRules makes rules of a collection group's FieldIndexes, which passed
// their check; nil if they set nothing.
func compileRules(fields []FieldIndex) *rules {
	if len(fields) == 0 {
		return nil
	}
	all := new(rules)
	for i := range fields {
		f := &fields[i]
		to := policy{f.Off, f.Group}
		if f.Field == EveryField {
			all.usual = to
			continue
		}
		path, err := value.ParseFieldPath(f.Field)
		if err != nil {
			continue // was checked
		}
		at := &all.root
		for _, name := range path {
			if at.next == nil {
				at.next = map[string]*rule{}
			}
			if at.next[name] == nil {
				at.next[name] = new(rule)
			}
			at = at.next[name]
		}
		at.set, at.to = true, to
	}
	return all
}

// of returns the policy of a field: that of the longest path with one which is
// the field's or leads to it.
func (r *rules) of(path value.FieldPath) policy {
	if r == nil {
		return policy{}
	}
	at, found := &r.root, r.usual
	for _, name := range path {
		if at, found = at.step(found, name); at == nil {
			break
		}
	}
	return found
}

// step goes down by one name from a rule whose policy holds so far; next is nil
// if nothing more is set below.
func (r *rule) step(sofar policy, name string) (next *rule, to policy) {
	if r == nil || r.next[name] == nil {
		return nil, sofar
	}
	next = r.next[name]
	if next.set {
		return next, next.to
	}
	return next, sofar
}

// both returns FieldIndexes by which a field has the indexes that it has by a
// and by b. Nil means the usual policy.
func both(a, b []FieldIndex) []FieldIndex {
	x, y := compileRules(a), compileRules(b)
	var out []FieldIndex
	for _, f := range slices.Concat(a, b) {
		if slices.ContainsFunc(out, func(o FieldIndex) bool { return o.Field == f.Field }) {
			continue
		}
		var p, q policy
		if f.Field == EveryField {
			p, q = x.rest(), y.rest()
		} else if path, err := value.ParseFieldPath(f.Field); err == nil {
			p, q = x.of(path), y.of(path)
		}
		f.Off, f.Group, f.TTL = p.off || q.off, p.group && q.group, false
		out = append(out, f)
	}
	return out
}

// rest returns the policy of fields for which nothing is set.
func (r *rules) rest() policy {
	if r == nil {
		return policy{}
	}
	return r.usual
}
