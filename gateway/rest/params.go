package rest

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"atoll"
)

// form is how a client wants the answer written.
type form struct {
	pretty bool // with lines and indentation
	enums  bool // enumerations as numbers, not names
}

// idle are parameters of Google's interfaces in general that change nothing
// here: keys and quotas of projects, versions of error messages, and the choice
// of fields, which everybody must be able to do without.
var idle = []string{"key", "$key", "fields", "$fields", "quotaUser", "$quotaUser", "userIp", "$.xgafv", "$xgafv", "upload_protocol", "uploadType", "$unique", "$ct"}

// parseQuery splits a query into the parameters of all methods and those of
// one. Only & separates: Google's clients send "$alt=json;enum-encoding=int".
func parseQuery(raw string) (form, url.Values, error) {
	var f form
	values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return f, nil, atoll.Errorf(atoll.Invalid, "the query of the address is malformed: %v", err)
	}
	for name, v := range values {
		switch {
		case name == "alt" || name == "$alt":
			format, option, _ := strings.Cut(v[0], ";")
			if format != "json" || option != "" && option != "enum-encoding=int" {
				return f, nil, atoll.Errorf(atoll.Invalid, "%s=%.100q is not supported; answers are written as json", name, v[0])
			}
			f.enums = option != ""
		case name == "prettyPrint" || name == "$prettyPrint":
			if f.pretty, err = strconv.ParseBool(v[0]); err != nil {
				return f, nil, atoll.Errorf(atoll.Invalid, "%s=%.100q is neither true nor false", name, v[0])
			}
		case name == "access_token" || name == "oauth_token":
			// Addresses end up in logs, and need no leave of the browser.
			return f, nil, atoll.Errorf(atoll.Invalid, "a token belongs in the header Authorization, not in the parameter %s", name)
		case !slices.Contains(idle, name):
			continue
		}
		delete(values, name)
	}
	return f, values, nil
}

// setParams sets the fields of a request that the query names, as a.b=value;
// repeated fields are named again for each value. taken are fields that the
// path or the body holds.
func setParams(m protoreflect.Message, values url.Values, taken []string) error {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // so that the same request always gets the same error
	for _, name := range names {
		if err := setParam(m, name, values[name], taken); err != nil {
			e := atoll.AsError(err)
			return atoll.Errorf(e.Kind, "the parameter %.200q %s", name, e.Msg)
		}
	}
	return nil
}

func setParam(m protoreflect.Message, name string, values []string, taken []string) error {
	m, fd, err := field(m, strings.Split(name, "."), taken)
	if err != nil {
		return err
	}
	if !fd.IsList() && len(values) > 1 {
		return atoll.Errorf(atoll.Invalid, "is given %d times; it has one value", len(values))
	}
	if group := fd.ContainingOneof(); m.Has(fd) || group != nil && m.WhichOneof(group) != nil {
		return atoll.Errorf(atoll.Invalid, "is given beside another one for the same thing")
	}
	for _, text := range values {
		v, err := parseParam(m, fd, text)
		if err != nil {
			return err
		}
		if fd.IsList() {
			m.Mutable(fd).List().Append(v)
		} else {
			m.Set(fd, v)
		}
	}
	return nil
}

// field finds the field that names lead to, and the message that has it, which
// is made if it is not there. Names may be in snake_case or camelCase.
func field(m protoreflect.Message, names, taken []string) (protoreflect.Message, protoreflect.FieldDescriptor, error) {
	path := ""
	for i, name := range names {
		fields := m.Descriptor().Fields()
		fd := fields.ByJSONName(name)
		if fd == nil {
			fd = fields.ByName(protoreflect.Name(name))
		}
		if fd == nil {
			return nil, nil, atoll.Errorf(atoll.Invalid, "is unknown: %s has no field %.100q", m.Descriptor().FullName(), name)
		}
		path += string(fd.Name())
		if slices.Contains(taken, path) || slices.Contains(taken, "*") {
			return nil, nil, atoll.Errorf(atoll.Invalid, "does not belong in the query of this address, but in its path or the body")
		}
		path += "."
		if i == len(names)-1 {
			return m, fd, nil
		}
		if fd.Message() == nil || fd.IsList() || fd.IsMap() || isScalar(fd.Message()) {
			return nil, nil, atoll.Errorf(atoll.Invalid, "is unknown: %s has no fields of its own", fd.FullName())
		}
		if group := fd.ContainingOneof(); group != nil && m.WhichOneof(group) != nil && m.WhichOneof(group) != fd {
			return nil, nil, atoll.Errorf(atoll.Invalid, "is given beside another one for the same thing")
		}
		m = m.Mutable(fd).Message()
	}
	return nil, nil, atoll.Errorf(atoll.Invalid, "is empty")
}

// isScalar reports whether a message is written as one JSON value.
func isScalar(d protoreflect.MessageDescriptor) bool {
	return d.FullName().Parent() == "google.protobuf"
}

// parseParam reads one value.
func parseParam(m protoreflect.Message, fd protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	bad := func(want string) (protoreflect.Value, error) {
		return protoreflect.Value{}, atoll.Errorf(atoll.Invalid, "has the value %.100q, which is not %s", text, want)
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		if !utf8.ValidString(text) {
			return bad("UTF-8")
		}
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind:
		if text != "true" && text != "false" {
			return bad("true or false")
		}
		return protoreflect.ValueOfBool(text == "true"), nil
	case protoreflect.Int32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return bad("an integer of 32 bits")
		}
		return protoreflect.ValueOfInt32(int32(n)), nil
	case protoreflect.BytesKind:
		// Both alphabets are allowed, with and without padding, as in bodies.
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "="))
		if err != nil {
			return bad("base64")
		}
		return protoreflect.ValueOfBytes(b), nil
	case protoreflect.MessageKind:
		if fd.IsMap() || !isScalar(fd.Message()) {
			break
		}
		v := m.NewField(fd)
		if fd.IsList() {
			v = v.List().NewElement()
		}
		if !utf8.ValidString(text) || protojson.Unmarshal([]byte(strconv.Quote(text)), v.Message().Interface()) != nil {
			return bad("a " + string(fd.Message().FullName()) + " such as 2026-01-02T03:04:05.678901Z")
		}
		return v, nil
	}
	return protoreflect.Value{}, atoll.Errorf(atoll.Invalid, "cannot be given in an address, only fields of it can")
}
