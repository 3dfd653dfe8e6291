package rest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"atoll"
)

// call is a request as the service wants it.
type call struct {
	method  *method
	request proto.Message
	form    form
}

// read turns an HTTP request into a call. What it learns before an error is in
// the call all the same: how to write the answer follows from it.
func (d *Door) read(r *http.Request) (call, error) {
	var c call
	rt, values, err := find(d.routes, r.Method, r.URL.EscapedPath())
	if err != nil {
		return c, err
	}
	c.method = rt.method
	if rt.method.twoWay {
		return c, atoll.Errorf(atoll.Unimplemented, "%s is a stream in both directions, which this address cannot carry; use gRPC", rt.method.name)
	}
	var params url.Values
	if c.form, params, err = parseQuery(r.URL.RawQuery); err != nil {
		return c, err
	}
	m := rt.method.request.New()
	c.request = m.Interface()
	if rt.body != "" {
		body, err := d.body(r)
		if err != nil {
			return c, err
		}
		into := m
		if rt.body != "*" {
			into = m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(rt.body))).Message()
		}
		if err := d.parser.parse(body, into.Interface()); err != nil {
			return c, malformed(err)
		}
	}
	var taken []string
	if rt.body != "" {
		taken = append(taken, rt.body)
	}
	for i, v := range rt.template.vars {
		text, err := unescape(values[i])
		if err != nil {
			return c, err
		}
		setString(m, v.field, text)
		taken = append(taken, v.field)
	}
	return c, setParams(m, params, taken)
}

// setString sets the field of text that a path of names leads to. The path of
// an address has the last word over its body.
func setString(m protoreflect.Message, path, text string) {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		m = m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
	}
	m.Set(m.Descriptor().Fields().ByName(protoreflect.Name(names[len(names)-1])), protoreflect.ValueOfString(text))
}

// body reads a body within the limit. An empty one is an empty message. What
// Content-Type says does not matter: Google's client for browsers calls its
// JSON text/plain.
func (d *Door) body(r *http.Request) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, atoll.Errorf(atoll.Invalid, "the body has the Content-Encoding %q; send it as it is", clip(e))
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, d.maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, atoll.Errorf(atoll.Invalid, "the request's body has more than %d bytes, which is the limit; send less in one request", large.Limit)
	case err != nil:
		return nil, atoll.Errorf(atoll.Invalid, "the request's body ended early: %v", err)
	case len(b) == 0:
		return []byte("{}"), nil
	}
	return b, nil
}

// prefix is how errors of package protojson begin; the space is one of two
// kinds, by chance, so that nobody relies on the text.
var prefix = regexp.MustCompile(`^proto:[\s\x{a0}]+`)

// malformed says where in a body what is wrong.
func malformed(err error) error {
	return atoll.Errorf(atoll.Invalid, "the request's body is not what the method expects, as JSON: %s", prefix.ReplaceAllString(err.Error(), ""))
}
