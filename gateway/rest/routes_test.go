package rest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll/gateway/analytics"
)

// mappings are addresses, and the request that each is to become.
var mappings = []struct {
	http, path, body string
	method, want     string
}{
	{"GET", root + "/c/x", "", "GetDocument", `{"name": "` + root + `/c/x"}`},
	{"GET", root + "/c/x/d/y?mask.fieldPaths=a&mask.fieldPaths=b.c&readTime=2026-01-02T03:04:05.000006Z", "", "GetDocument",
		`{"name": "` + root + `/c/x/d/y", "mask": {"fieldPaths": ["a", "b.c"]}, "readTime": "2026-01-02T03:04:05.000006Z"}`},
	{"GET", root + "/c/x?mask.field_paths=a&transaction=-_8%3D", "", "GetDocument", `{"name": "` + root + `/c/x", "mask": {"fieldPaths": ["a"]}, "transaction": "+/8="}`},
	{"GET", root + "/c/x?transaction=%2B%2F8", "", "GetDocument", `{"name": "` + root + `/c/x", "transaction": "+/8="}`},
	{"GET", root + "/c/gr%C3%BC%20%3F%23%25:x%3Ay", "", "GetDocument", `{"name": "` + root + `/c/grü ?#%:x:y"}`},
	{"GET", "projects/p/databases/%28default%29/documents/c/+", "", "GetDocument", `{"name": "` + root + `/c/+"}`},
	{"GET", root + "/c/%2E%2E", "", "GetDocument", `{"name": "` + root + `/c/.."}`},
	{"GET", root + "/c/", "", "GetDocument", `{"name": "` + root + `/c/"}`}, // which the service refuses
	{"GET", root + "/c//d", "", "ListDocuments", `{"parent": "` + root + `/c/", "collectionId": "d"}`},
	{"GET", root + "/c", "", "ListDocuments", `{"parent": "` + root + `", "collectionId": "c"}`},
	{"GET", root + "/c/x/d?pageSize=7&pageToken=t&orderBy=a%20desc&showMissing=true", "", "ListDocuments",
		`{"parent": "` + root + `/c/x", "collectionId": "d", "pageSize": 7, "pageToken": "t", "orderBy": "a desc", "showMissing": true}`},
	{"GET", root + "/c?page_size=7&page_token=t&order_by=a&show_missing=false", "", "ListDocuments",
		`{"parent": "` + root + `", "collectionId": "c", "pageSize": 7, "pageToken": "t", "orderBy": "a"}`},
	{"POST", root + "/c", `{"fields": {"a": {"integerValue": "1"}}}`, "CreateDocument",
		`{"parent": "` + root + `", "collectionId": "c", "document": {"fields": {"a": {"integerValue": "1"}}}}`},
	{"POST", root + "/c/x/d?documentId=y&mask.fieldPaths=a", `{}`, "CreateDocument",
		`{"parent": "` + root + `/c/x", "collectionId": "d", "documentId": "y", "document": {}, "mask": {"fieldPaths": ["a"]}}`},
	{"POST", root + "/c%3ArunQuery", ``, "CreateDocument", `{"parent": "` + root + `", "collectionId": "c:runQuery", "document": {}}`},
	{"PATCH", root + "/c/x?updateMask.fieldPaths=a&updateMask.fieldPaths=b&currentDocument.exists=true", `{"fields": {"a": {"nullValue": null}}}`, "UpdateDocument",
		`{"document": {"name": "` + root + `/c/x", "fields": {"a": {"nullValue": null}}}, "updateMask": {"fieldPaths": ["a", "b"]}, "currentDocument": {"exists": true}}`},
	{"PATCH", root + "/c/x?current_document.update_time=2026-01-02T03:04:05Z", `{"name": "other"}`, "UpdateDocument",
		`{"document": {"name": "` + root + `/c/x"}, "currentDocument": {"updateTime": "2026-01-02T03:04:05Z"}}`},
	{"DELETE", root + "/c/x?currentDocument.exists=false", `""`, "DeleteDocument", `{"name": "` + root + `/c/x", "currentDocument": {"exists": false}}`},
	{"DELETE", root + "/c", "", "DeleteDocument", `{"name": "` + root + `/c"}`}, // which the service refuses
	{"POST", root + ":batchGet", `{"documents": ["a"], "newTransaction": {"readOnly": {}}}`, "BatchGetDocuments", `{"database": "` + database + `", "documents": ["a"], "newTransaction": {"readOnly": {}}}`},
	{"POST", root + ":batchGet", `{"database": "other"}`, "BatchGetDocuments", `{"database": "` + database + `"}`},
	{"POST", root + ":commit", `{"writes": [{"delete": "a"}]}`, "Commit", `{"database": "` + database + `", "writes": [{"delete": "a"}]}`},
	{"POST", root + ":commit", ``, "Commit", `{"database": "` + database + `"}`},
	{"POST", root + ":batchWrite", `{"labels": {"a": "b"}}`, "BatchWrite", `{"database": "` + database + `", "labels": {"a": "b"}}`},
	{"POST", root + ":beginTransaction", `{"options": {"readWrite": {}}}`, "BeginTransaction", `{"database": "` + database + `", "options": {"readWrite": {}}}`},
	{"POST", root + ":rollback", `{"transaction": "+/8="}`, "Rollback", `{"database": "` + database + `", "transaction": "+/8="}`},
	{"POST", root + ":runQuery", `{"structuredQuery": {"limit": 3}}`, "RunQuery", `{"parent": "` + root + `", "structuredQuery": {"limit": 3}}`},
	{"POST", root + "/c/x:runQuery?key=secret", `{"structured_query": {"limit": 3}}`, "RunQuery", `{"parent": "` + root + `/c/x", "structuredQuery": {"limit": 3}}`},
	{"POST", root + "/c/x:y:runQuery", `{}`, "RunQuery", `{"parent": "` + root + `/c/x:y"}`},
	{"POST", root + "/c:runQuery", `{}`, "RunQuery", `{"parent": "` + root + `/c"}`}, // which the service refuses
	{"POST", root + ":runAggregationQuery", `{}`, "RunAggregationQuery", `{"parent": "` + root + `"}`},
	{"POST", root + "/c/x:runAggregationQuery", `{}`, "RunAggregationQuery", `{"parent": "` + root + `/c/x"}`},
	{"POST", root + ":partitionQuery", `{"partitionCount": "4"}`, "PartitionQuery", `{"parent": "` + root + `", "partitionCount": "4"}`},
	{"POST", root + "/c/x:partitionQuery", `{}`, "PartitionQuery", `{"parent": "` + root + `/c/x"}`},
	{"POST", root + ":executePipeline", `{}`, "ExecutePipeline", `{"database": "` + database + `"}`},
	{"POST", root + ":listCollectionIds", `{"pageSize": 2}`, "ListCollectionIds", `{"parent": "` + root + `", "pageSize": 2}`},
	{"POST", root + "/c/x:listCollectionIds?$alt=json;enum-encoding=int&$prettyPrint=0&alt=json&fields=a", ``, "ListCollectionIds", `{"parent": "` + root + `/c/x"}`},

	// Atoll's own.
	{"POST", root + ":aggregate", `{"structuredQuery": {"from": [{"collectionId": "c"}]}, "aggregations": [{"alias": "n", "count": {}}], "groupBy": [{"fieldPath": "a"}], "orderBy": [{"alias": "n", "direction": "DESCENDING"}], "limit": 3}`,
		"Aggregate", `{"parent": "` + root + `", "structuredQuery": {"from": [{"collectionId": "c"}]}, "aggregations": [{"alias": "n", "count": {}}], "groupBy": [{"fieldPath": "a"}], "orderBy": [{"alias": "n", "direction": "DESCENDING"}], "limit": 3}`},
	{"POST", root + "/c/x:aggregate", `{"aggregations": [{"min": {"field": {"fieldPath": "a"}}}]}`, "Aggregate", `{"parent": "` + root + `/c/x", "aggregations": [{"min": {"field": {"fieldPath": "a"}}}]}`},

	// Those by which firebase-tools administers indexes.
	{"GET", database, "", "GetDatabase", `{"name": "` + database + `"}`},
	{"GET", database + "/collectionGroups/-/indexes", "", "ListIndexes", `{"parent": "` + database + `/collectionGroups/-"}`},
	{"GET", database + "/collectionGroups/c/indexes?pageSize=2&pageToken=2", "", "ListIndexes", `{"parent": "` + database + `/collectionGroups/c", "pageSize": 2, "pageToken": "2"}`},
	{"GET", database + "/collectionGroups/c/indexes/16", "", "GetIndex", `{"name": "` + database + `/collectionGroups/c/indexes/16"}`},
	{"POST", database + "/collectionGroups/c/indexes", `{"queryScope": "COLLECTION", "fields": [{"fieldPath": "a", "order": "ASCENDING"}]}`,
		"CreateIndex", `{"parent": "` + database + `/collectionGroups/c", "index": {"queryScope": "COLLECTION", "fields": [{"fieldPath": "a", "order": "ASCENDING"}]}}`},
	{"DELETE", database + "/collectionGroups/c/indexes/16", "", "DeleteIndex", `{"name": "` + database + `/collectionGroups/c/indexes/16"}`},
	{"GET", database + "/collectionGroups/c/fields/%60a.b%60", "", "GetField", "{\"name\": \"" + database + "/collectionGroups/c/fields/`a.b`\"}"},
	{"GET", database + "/collectionGroups/-/fields?filter=indexConfig.usesAncestorConfig=false%20OR%20ttlConfig:*", "",
		"ListFields", `{"parent": "` + database + `/collectionGroups/-", "filter": "indexConfig.usesAncestorConfig=false OR ttlConfig:*"}`},
	{"PATCH", database + "/collectionGroups/c/fields/a?updateMask=indexConfig", `{"indexConfig": {}}`,
		"UpdateField", `{"field": {"name": "` + database + `/collectionGroups/c/fields/a", "indexConfig": {}}, "updateMask": "indexConfig"}`},
	{"GET", database + "/operations", "", "ListOperations", `{"name": "` + database + `"}`},
	{"GET", database + "/operations/index-16", "", "GetOperation", `{"name": "` + database + `/operations/index-16"}`},
}

func TestMappings(t *testing.T) {
	var l listener
	base := open(t, l.server()) + "/v1/"
	for _, m := range mappings {
		a := ask(t, m.http, base+m.path, m.body)
		method, got, _ := l.asked()
		if a.StatusCode != http.StatusOK || method != m.method {
			t.Errorf("%s %s: %s asked for; want %s\n%s %s", m.http, m.path, method, m.method, a.Status, a.body)
			continue
		}
		if want := fill(t, got, m.want); !proto.Equal(got, want) {
			t.Errorf("%s %s: asked for\n%s\nwant\n%s", m.http, m.path, protojson.Format(got), m.want)
		}
	}
}

// TestEveryMethod finds a method of the service that the table above forgets.
func TestEveryMethod(t *testing.T) {
	tested := map[string]bool{"Listen": true, "Write": true} // TestRefused has these
	for _, m := range mappings {
		tested[m.method] = true
	}
	for _, service := range []protoreflect.ServiceDescriptor{
		firestorepb.File_google_firestore_v1_firestore_proto.Services().ByName("Firestore"),
		analytics.File_gateway_analytics_analytics_proto.Services().ByName("Analytics"),
	} {
		for i := range service.Methods().Len() {
			if name := string(service.Methods().Get(i).Name()); !tested[name] {
				t.Errorf("no address for %s is tested", name)
			}
		}
	}
}

// refused are requests that must not reach the service.
var refused = []struct {
	http, path, body string
	status           int
	name, message    string
}{
	{"GET", root, "", 404, "NOT_FOUND", "no method of Firestore has the address GET"},
	{"GET", "projects/p", "", 404, "NOT_FOUND", "no method"},
	{"GET", "projects//databases/(default)/documents/c", "", 404, "NOT_FOUND", "no method"},
	{"GET", "projects/p/databases/(default)/indexes/c", "", 404, "NOT_FOUND", "no method"},
	{"PUT", root + "/c/x", "", 404, "NOT_FOUND", "PUT"},
	{"POST", root + ":nothing", "", 404, "NOT_FOUND", "documents:nothing"},
	{"POST", root + ":listen", "{}", 501, "UNIMPLEMENTED", "use gRPC"},
	{"POST", root + ":write", "{}", 501, "UNIMPLEMENTED", "use gRPC"},
	{"GET", root + "/c/a%2Fb", "", 400, "INVALID_ARGUMENT", "cannot contain a slash"},
	{"GET", root + "/c/%FF", "", 400, "INVALID_ARGUMENT", "not UTF-8"},
	{"GET", root + "/c/x?transaction=%25", "", 400, "INVALID_ARGUMENT", `"transaction" has the value "%"`},
	{"GET", root + "/c/x?read_time=yesterday", "", 400, "INVALID_ARGUMENT", `"read_time" has the value "yesterday"`},
	{"GET", root + "/c/x?readTime=2026-01-02T03:04:05Z&transaction=aaaa", "", 400, "INVALID_ARGUMENT", `"transaction" is given beside`},
	{"GET", root + "/c/x?mask=a", "", 400, "INVALID_ARGUMENT", `"mask" cannot be given in an address`},
	{"GET", root + "/c/x?mask.other=a", "", 400, "INVALID_ARGUMENT", `google.firestore.v1.DocumentMask has no field "other"`},
	{"GET", root + "/c/x?mask.fieldPaths.a=a", "", 400, "INVALID_ARGUMENT", "has no fields of its own"},
	{"GET", root + "/c/x?readTime.seconds=1", "", 400, "INVALID_ARGUMENT", "has no fields of its own"},
	{"GET", root + "/c/x?mask.fieldPaths=%FF", "", 400, "INVALID_ARGUMENT", "not UTF-8"},
	{"GET", root + "/c/x?name=y", "", 400, "INVALID_ARGUMENT", "does not belong in the query"},
	{"GET", root + "/c/x?=y", "", 400, "INVALID_ARGUMENT", "unknown"},
	{"GET", root + "/c/x?a=%zz", "", 400, "INVALID_ARGUMENT", "malformed"},
	{"GET", root + "/c/x?callback=f", "", 400, "INVALID_ARGUMENT", "unknown"},
	{"GET", root + "/c/x?access_token=owner", "", 400, "INVALID_ARGUMENT", "belongs in the header Authorization"},
	{"GET", root + "/c/x?alt=proto", "", 400, "INVALID_ARGUMENT", `alt="proto" is not supported`},
	{"GET", root + "/c/x?alt=json;x=y", "", 400, "INVALID_ARGUMENT", "is not supported"},
	{"GET", root + "/c/x?prettyPrint=maybe", "", 400, "INVALID_ARGUMENT", "neither true nor false"},
	{"GET", root + "/c?pageSize=x", "", 400, "INVALID_ARGUMENT", "integer of 32 bits"},
	{"GET", root + "/c?pageSize=4294967296", "", 400, "INVALID_ARGUMENT", "integer of 32 bits"},
	{"GET", root + "/c?pageSize=1&pageSize=2", "", 400, "INVALID_ARGUMENT", "given 2 times"},
	{"GET", root + "/c?pageSize=1&page_size=1", "", 400, "INVALID_ARGUMENT", "beside another one"},
	{"GET", root + "/c?showMissing=1", "", 400, "INVALID_ARGUMENT", "true or false"},
	{"PATCH", root + "/c/x?document.name=y", "{}", 400, "INVALID_ARGUMENT", "does not belong in the query"},
	{"PATCH", root + "/c/x?currentDocument.exists=true&currentDocument.updateTime=2026-01-02T03:04:05Z", "{}", 400, "INVALID_ARGUMENT", "beside another one"},
	{"POST", root + ":commit?writes=x", "{}", 400, "INVALID_ARGUMENT", "does not belong in the query"},
	{"POST", root + ":commit", "{", 400, "INVALID_ARGUMENT", "unexpected EOF"},
	{"POST", root + ":commit", `{"writes": 1}`, 400, "INVALID_ARGUMENT", "(line 1:12)"},
	{"POST", root + ":commit", `{"writes": [{}], "x": 1}`, 400, "INVALID_ARGUMENT", `(line 1:18): unknown field "x"`},
	{"POST", root + ":commit", `{"writes": [{"verify": 1}]}`, 400, "INVALID_ARGUMENT", "(line 1:24)"},
	{"POST", root + ":commit", `{"writes": [{"verify": "a", "delete": "b"}]}`, 400, "INVALID_ARGUMENT", "oneof"},
	{"POST", root + ":commit", `{"writes": [{"update": {"fields": {"a": {"integerValue": "1", "stringValue": "x"}}}}]}`, 400, "INVALID_ARGUMENT", "oneof"},
	{"POST", root + ":commit", "{\"transaction\": \"\xff\"}", 400, "INVALID_ARGUMENT", "UTF-8"},
	{"POST", root + ":commit", `{} {}`, 400, "INVALID_ARGUMENT", "unexpected token"},
	{"POST", root + ":commit", `[]`, 400, "INVALID_ARGUMENT", "(line 1:1)"},
	{"POST", root + ":runQuery", `{"where": 1}`, 400, "INVALID_ARGUMENT", `unknown field "where"`},
	{"POST", root + ":aggregate", `{"groupBy": ["a"]}`, 400, "INVALID_ARGUMENT", "(line 1:14)"},
	{"POST", root + ":aggregate", `{"aggregations": [{"count": {}, "min": {}}]}`, 400, "INVALID_ARGUMENT", "oneof"},
	{"POST", root + ":aggregate?limit=3", `{}`, 400, "INVALID_ARGUMENT", "does not belong in the query"},
	{"POST", root + "/c", nested(maxNesting), 400, "INVALID_ARGUMENT", "exceeded max recursion depth"},
}

// nested is a document with a value below n maps.
func nested(n int) string {
	return `{"fields": {"a": ` + strings.Repeat(`{"mapValue": {"fields": {"a": `, n) + `{"nullValue": null}` + strings.Repeat("}}}", n) + "}}"
}

func TestRefused(t *testing.T) {
	var l listener
	base := open(t, l.server()) + "/v1/"
	for _, r := range refused {
		a := ask(t, r.http, base+r.path, r.body)
		if method, _, _ := l.asked(); method != "" {
			t.Errorf("%s %s %.50s reached %s", r.http, r.path, r.body, method)
		}
		wantError(t, a, r.status, r.name, r.message)
	}
}

// TestEscaping sends names of all kinds through addresses, with no more escaped
// than must be, with everything escaped, and as Go's own package does it.
func TestEscaping(t *testing.T) {
	var l listener
	base := open(t, l.server()) + "/v1/" + root + "/c/"
	all := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			const digits = "0123456789abcdef"
			b.WriteString("%" + string(digits[s[i]>>4]) + string(digits[s[i]&15]))
		}
		return b.String()
	}
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.StringN(1, 40, 100).Filter(func(s string) bool { return !strings.Contains(s, "/") }).Draw(rt, "id")
		for _, escaped := range []string{all(id), url.PathEscape(id)} {
			ask(t, "GET", base+escaped, "")
			_, got, _ := l.asked()
			if m, ok := got.(*firestorepb.GetDocumentRequest); !ok || m.Name != root+"/c/"+id {
				rt.Fatalf("%s: asked for %v", escaped, got)
			}
		}
	})
}

// FuzzAddress throws addresses at the routes and parameters: nothing panics,
// and whatever is accepted names all that its template has, and nothing twice.
func FuzzAddress(f *testing.F) {
	d, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range mappings {
		path, query, _ := strings.Cut("/v1/"+m.path, "?")
		f.Add(m.http, path, query)
	}
	for _, m := range refused {
		path, query, _ := strings.Cut("/v1/"+m.path, "?")
		f.Add(m.http, path, query)
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		u.RawQuery = query
		c, err := d.read(&http.Request{Method: method, URL: u, Header: http.Header{}, Body: http.NoBody})
		if err != nil {
			if problem(err) == nil || c.request != nil && c.method == nil {
				t.Fatalf("half an answer: %v, %v", c, err)
			}
			return
		}
		if !strings.HasPrefix(resource(c.request), "projects/") {
			t.Fatalf("%s %s?%s became %v", method, path, query, c.request)
		}
		if _, err := proto.Marshal(c.request); err != nil {
			t.Fatalf("%s %s?%s became what cannot be sent: %v", method, path, query, err)
		}
	})
}

// resource returns what a request is about.
func resource(m proto.Message) string {
	r := m.ProtoReflect()
	for _, name := range []protoreflect.Name{"name", "parent", "database"} {
		if fd := r.Descriptor().Fields().ByName(name); fd != nil {
			return r.Get(fd).String()
		}
	}
	if u, ok := m.(*adminpb.UpdateFieldRequest); ok {
		return u.GetField().GetName()
	}
	return m.(*firestorepb.UpdateDocumentRequest).GetDocument().GetName()
}

// FuzzBody throws bodies at the parser, with the field verify among them.
func FuzzBody(f *testing.F) {
	d, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range mappings {
		f.Add([]byte(m.body))
	}
	for _, m := range refused {
		f.Add([]byte(m.body))
	}
	f.Add([]byte(`{"writes": [{"verify": "a", "currentDocument": {"exists": true}}, {"update": {"fields": {"verify": {"bytesValue": "AA=="}}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var direct, both firestorepb.CommitRequest
		err := d.parser.parse(body, &both)
		if err != nil {
			malformed(err)
			return
		}
		if _, err := proto.Marshal(&both); err != nil {
			t.Fatalf("%q became what cannot be sent: %v", body, err)
		}
		// The two definitions agree on all that both know.
		if protojson.Unmarshal(body, &direct) == nil && !proto.Equal(&direct, &both) {
			t.Fatalf("%q became %v\nand %v", body, &both, &direct)
		}
	})
}
