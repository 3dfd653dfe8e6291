package rest

import (
	"fmt"
	"net/http"
	"strings"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"atoll"
	"atoll/gateway/analytics"
)

// route is one address under which a method can be called.
type route struct {
	http     string // the HTTP method
	template template
	body     string // the field that the body holds; "*" is the whole request, "" is none
	method   *method
}

// method is a method of the service.
type method struct {
	name            string // as in gRPC: /{service}/{method}
	request, answer protoreflect.MessageType
	streams         bool // the answer is a stream
	twoWay          bool // the request is one too, which HTTP cannot carry
}

// operationRules are addresses of the operations of changes that take time. The
// definition of their service has none that fit; these are Google's own, of
// which the description of Firestore's administration tells.
var operationRules = map[protoreflect.Name]string{
	"GetOperation":   "/v1/{name=projects/*/databases/*/operations/*}",
	"ListOperations": "/v1/{name=projects/*/databases/*}/operations",
}

// allRoutes reads the routes from the definitions of the services. It fails only
// if a definition and this package do not fit.
func allRoutes() ([]route, error) {
	var out []route
	for _, service := range []protoreflect.ServiceDescriptor{
		firestorepb.File_google_firestore_v1_firestore_proto.Services().ByName("Firestore"),
		analytics.File_gateway_analytics_analytics_proto.Services().ByName("Analytics"),
		adminpb.File_google_firestore_admin_v1_firestore_admin_proto.Services().ByName("FirestoreAdmin"),
		longrunningpb.File_google_longrunning_operations_proto.Services().ByName("Operations"),
	} {
		for i := range service.Methods().Len() {
			d := service.Methods().Get(i)
			rule, ok := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule)
			if service.FullName().Parent() == "google.longrunning" {
				path, known := operationRules[d.Name()]
				rule, ok = &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: path}}, known
			}
			if !ok || rule == nil {
				continue
			}
			routes, err := methodRoutes(service, d, rule)
			if err != nil {
				return nil, err
			}
			out = append(out, routes...)
		}
	}
	return out, nil
}

// methodRoutes returns the routes to one method.
func methodRoutes(service protoreflect.ServiceDescriptor, d protoreflect.MethodDescriptor, rule *annotations.HttpRule) ([]route, error) {
	m := &method{
		name:    fmt.Sprintf("/%s/%s", service.FullName(), d.Name()),
		streams: d.IsStreamingServer(), twoWay: d.IsStreamingClient(),
	}
	var err error
	if m.request, err = protoregistry.GlobalTypes.FindMessageByName(d.Input().FullName()); err != nil {
		return nil, err
	}
	if m.answer, err = protoregistry.GlobalTypes.FindMessageByName(d.Output().FullName()); err != nil {
		return nil, err
	}
	var out []route
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		one, err := newRoute(m, r)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func newRoute(m *method, rule *annotations.HttpRule) (r route, err error) {
	var path string
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.http, path = http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		r.http, path = http.MethodPost, p.Post
	case *annotations.HttpRule_Patch:
		r.http, path = http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		r.http, path = http.MethodDelete, p.Delete
	default:
		return r, fmt.Errorf("%s has a rule that is not understood: %v", m.name, rule)
	}
	r.method, r.body = m, rule.GetBody()
	r.template, err = parseTemplate(path)
	return r, err
}

// find returns the route of a request and the values of its variables, each as
// escaped segments. Of several routes that match, one with a verb comes first
// (whoever means a collection whose id ends like a verb escapes the colon), and
// then one whose resource fits.
func find(routes []route, httpMethod, escapedPath string) (*route, [][]string, error) {
	path := strings.Split(strings.TrimPrefix(escapedPath, "/"), "/")
	var best *route
	var values [][]string
	bestRank := -1
	for i := range routes {
		r := &routes[i]
		if r.http != httpMethod {
			continue
		}
		v, ok := r.match(path)
		if !ok {
			continue
		}
		rank := 0
		if r.template.verb != "" {
			rank += 2
		}
		if fits(v) {
			rank++
		}
		if rank > bestRank {
			best, values, bestRank = r, v, rank
		}
	}
	if best == nil {
		return nil, nil, atoll.Errorf(atoll.NotFound, "no method of Firestore has the address %s %.200s", clip(httpMethod), escapedPath)
	}
	return best, values, nil
}

// match takes the verb off a path and matches the rest.
func (r *route) match(path []string) (values [][]string, ok bool) {
	if r.template.verb == "" {
		return r.template.match(path)
	}
	n := len(path) - 1
	last, ok := strings.CutSuffix(path[n], ":"+r.template.verb)
	if !ok {
		return nil, false
	}
	return r.template.match(append(path[:n:n], last))
}

// prefixLen is how many segments come before the ids of a document:
// projects/*/databases/*/documents.
const prefixLen = 5

// fits reports whether what the path names can be there: a document or the
// root, never a collection. If no route fits, the service will say so.
func fits(values [][]string) bool {
	for _, v := range values {
		if ids := len(v) - prefixLen; ids > 0 && ids%2 != 0 {
			return false
		}
	}
	return true
}

// clip keeps what a stranger sent short in an answer.
func clip(s string) string { return s[:min(len(s), 100)] }
