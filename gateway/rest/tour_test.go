package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// TestTour goes through an installation with nothing but HTTP.
func TestTour(t *testing.T) {
	base := real(t) + "/v1/" + root
	fields := `{"null": {"nullValue": null}, "bool": {"booleanValue": true}, "int": {"integerValue": "-9223372036854775808"}, "double": {"doubleValue": -1.5},
		"nan": {"doubleValue": "NaN"}, "inf": {"doubleValue": "-Infinity"}, "time": {"timestampValue": "2026-01-02T03:04:05.678901Z"}, "string": {"stringValue": "grüße"}, "bytes": {"bytesValue": "AP8="},
		"ref": {"referenceValue": "` + root + `/c/y"}, "geo": {"geoPointValue": {"latitude": 1.5, "longitude": -2.5}}, "empty": {"mapValue": {}}, "none": {"arrayValue": {}},
		"array": {"arrayValue": {"values": [{"stringValue": ""}, {"mapValue": {"fields": {"verify": {"booleanValue": false}}}}]}},
		"vector": {"mapValue": {"fields": {"__type__": {"stringValue": "__vector__"}, "value": {"arrayValue": {"values": [{"doubleValue": 1}, {"doubleValue": 2.5}]}}}}}}`
	a := ask(t, "POST", base+"/c?documentId=x", `{"fields": `+fields+`}`)
	got, _ := a.json(t).(map[string]any)
	if a.StatusCode != 200 || got["name"] != root+"/c/x" || fmt.Sprint(got["fields"]) != fmt.Sprint(asJSON(t, fields)) {
		t.Fatalf("created %s %s", a.Status, a.body)
	}
	if b := ask(t, "GET", base+"/c/x", ""); !sameJSON(t, a.body, b.body) {
		t.Errorf("read %s\ncreated %s", b.body, a.body)
	}
	wantError(t, ask(t, "POST", base+"/c?documentId=x", `{}`), 409, "ALREADY_EXISTS", "/c/x")
	wantError(t, ask(t, "GET", base+"/c/z", ""), 404, "NOT_FOUND", "/c/z")
	wantError(t, ask(t, "GET", base+"/c/", ""), 400, "INVALID_ARGUMENT", "empty id at place 2")
	wantError(t, ask(t, "DELETE", base+"/c", ""), 400, "INVALID_ARGUMENT", "does not name a document")
	wantError(t, ask(t, "PATCH", base+"/c/z?currentDocument.exists=true", "{}"), 404, "NOT_FOUND", "/c/z")

	a = ask(t, "PATCH", base+"/c/x?updateMask.fieldPaths=int&updateMask.fieldPaths=bool&mask.fieldPaths=int&mask.fieldPaths=bool&mask.fieldPaths=double", `{"fields": {"int": {"integerValue": "7"}}}`)
	got, _ = a.json(t).(map[string]any)
	if !sameJSON(t, `{"int": {"integerValue": "7"}, "double": {"doubleValue": -1.5}}`, toText(t, got["fields"])) {
		t.Errorf("patched: %s", a.body)
	}
	for i := range 5 {
		ask(t, "PATCH", fmt.Sprintf("%s/list/%d", base, i), `{}`)
	}
	var seen int
	for token := ""; ; {
		page, _ := ask(t, "GET", base+"/list?pageSize=2&pageToken="+token, "").json(t).(map[string]any)
		documents, _ := page["documents"].([]any)
		seen += len(documents)
		if token, _ = page["nextPageToken"].(string); token == "" || len(documents) > 2 {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d of 5 documents in pages", seen)
	}
	if a := ask(t, "POST", base+":listCollectionIds", "{}"); !sameJSON(t, a.body, `{"collectionIds": ["c", "list"]}`) {
		t.Errorf("collections: %s", a.body)
	}
	a = ask(t, "POST", base+":batchGet", `{"documents": ["`+root+`/list/1", "`+root+`/list/9"], "mask": {}}`)
	if list, _ := a.json(t).([]any); len(list) != 2 {
		t.Errorf("batch: %s", a.body)
	}
	a = ask(t, "POST", base+":commit", `{"writes": [{"update": {"name": "`+root+`/c/x", "fields": {}}, "updateMask": {}, "updateTransforms": [{"fieldPath": "int", "increment": {"integerValue": "3"}}]}, {"delete": "`+root+`/list/0"}]}`)
	if reply, _ := a.json(t).(map[string]any); reply["commitTime"] == nil || !sameJSON(t, toText(t, reply["writeResults"].([]any)[0].(map[string]any)["transformResults"]), `[{"integerValue": "10"}]`) {
		t.Errorf("commit: %s", a.body)
	}
	a = ask(t, "POST", base+":batchWrite", `{"writes": [{"update": {"name": "`+root+`/c/w"}}, {"delete": "`+root+`/c/w2", "currentDocument": {"exists": true}}]}`)
	if reply, _ := a.json(t).(map[string]any); !sameJSON(t, `[0, 5]`, toText(t, codesOf(reply["status"]))) {
		t.Errorf("batch of writes: %s", a.body)
	}
	if a := ask(t, "DELETE", base+"/c/x?currentDocument.exists=true", ""); a.StatusCode != 200 || a.body != "{}" {
		t.Errorf("deleted: %s %s", a.Status, a.body)
	}
}

// toured are the methods that the tours see answer truly: TestTour,
// TestTourOfQueries and TestTourOfTransactions. TestAggregate has Aggregate.
var toured = strings.Fields("GetDocument ListDocuments CreateDocument UpdateDocument DeleteDocument BatchGetDocuments Commit BatchWrite " +
	"ListCollectionIds RunQuery RunAggregationQuery PartitionQuery BeginTransaction Rollback")

// notOverHTTP are the methods that REST has no use of: streams in both
// directions, and what belongs to another edition of Firestore. TestRefused and
// TestTourOfQueries have their answers.
var notOverHTTP = strings.Fields("Listen Write ExecutePipeline")

// TestToursAreWhole finds a method of the service that no tour goes to.
func TestToursAreWhole(t *testing.T) {
	methods := firestorepb.File_google_firestore_v1_firestore_proto.Services().ByName("Firestore").Methods()
	for i := range methods.Len() {
		if name := string(methods.Get(i).Name()); !slices.Contains(toured, name) && !slices.Contains(notOverHTTP, name) {
			t.Errorf("no tour goes to %s", name)
		}
	}
}

// numbered makes the documents 0 to n-1 of a collection, with n as their number.
func numbered(t *testing.T, base, collection string, n int) {
	t.Helper()
	var writes []string
	for i := range n {
		writes = append(writes, fmt.Sprintf(`{"update": {"name": "%s/%s/%03d", "fields": {"n": {"integerValue": "%d"}, "odd": {"booleanValue": %t}}}}`, root, collection, i, i, i%2 == 1))
	}
	if a := ask(t, "POST", base+":commit", `{"writes": [`+strings.Join(writes, ",")+`]}`); a.StatusCode != 200 {
		t.Fatal(a.body)
	}
}

// idsOf returns the last ids of the documents in a stream's answer.
func idsOf(t *testing.T, a answer) (ids string) {
	t.Helper()
	list, _ := a.json(t).([]any)
	for _, e := range list {
		if d, ok := e.(map[string]any)["document"].(map[string]any); ok {
			name := d["name"].(string)
			ids += name[strings.LastIndexByte(name, '/')+1:] + " "
		}
	}
	return strings.TrimSpace(ids)
}

// TestTourOfQueries asks all kinds of queries.
func TestTourOfQueries(t *testing.T) {
	base := real(t) + "/v1/" + root
	numbered(t, base, "c", 10)
	numbered(t, base, "d/x/c", 3)
	from := `"from": [{"collectionId": "c"}]`
	odd := `"where": {"compositeFilter": {"op": "AND", "filters": [{"fieldFilter": {"field": {"fieldPath": "odd"}, "op": "EQUAL", "value": {"booleanValue": true}}},
		{"fieldFilter": {"field": {"fieldPath": "n"}, "op": "GREATER_THAN", "value": {"integerValue": "2"}}}]}}`
	for _, c := range []struct{ parent, q, want string }{
		{"", from, "000 001 002 003 004 005 006 007 008 009"},
		{"", from + `, ` + odd, "003 005 007 009"},
		{"", from + `, ` + odd + `, "orderBy": [{"field": {"fieldPath": "n"}, "direction": "DESCENDING"}], "limit": 2, "offset": 1`, "007 005"},
		{"", from + `, "orderBy": [{"field": {"fieldPath": "n"}}], "startAt": {"values": [{"integerValue": "3"}], "before": true}, "endAt": {"values": [{"integerValue": "5"}]}`, "003 004 005"},
		{"/d/x", from, "000 001 002"},
		{"", `"from": [{"collectionId": "c", "allDescendants": true}], "where": {"fieldFilter": {"field": {"fieldPath": "n"}, "op": "IN", "value": {"arrayValue": {"values": [{"integerValue": "1"}]}}}}`, "001 001"},
		{"", `"from": [{"collectionId": "none"}]`, ""},
	} {
		a := ask(t, "POST", base+c.parent+":runQuery", `{"structuredQuery": {`+c.q+`}}`)
		if got := idsOf(t, a); got != c.want || a.StatusCode != 200 || !strings.Contains(a.body, "readTime") {
			t.Errorf("%s: %q, want %q in %s", c.q, got, c.want, a.body)
		}
	}

	a := ask(t, "POST", base+":runAggregationQuery", `{"structuredAggregationQuery": {"structuredQuery": {`+from+`}, "aggregations": [{"alias": "n", "count": {}}, {"alias": "sum", "sum": {"field": {"fieldPath": "n"}}}, {"avg": {"field": {"fieldPath": "n"}}}]}}`)
	list, _ := a.json(t).([]any)
	if len(list) != 1 || !sameJSON(t, toText(t, list[0].(map[string]any)["result"]), `{"aggregateFields": {"n": {"integerValue": "10"}, "sum": {"integerValue": "45"}, "field_1": {"doubleValue": 4.5}}}`) {
		t.Errorf("aggregated: %s", a.body)
	}

	// The parts tile the group: every document is in one of them.
	group := `"from": [{"collectionId": "c", "allDescendants": true}], "orderBy": [{"field": {"fieldPath": "__name__"}}]`
	a = ask(t, "POST", base+":partitionQuery", `{"structuredQuery": {`+group+`}, "partitionCount": "3"}`)
	parts, _ := a.json(t).(map[string]any)["partitions"].([]any)
	if a.StatusCode != 200 || len(parts) > 3 {
		t.Errorf("partitions: %s", a.body)
	}
	var all []string
	start := ""
	for i := range len(parts) + 1 {
		q := group + start
		if i < len(parts) {
			cursor := toText(t, parts[i])
			q += `, "endAt": ` + strings.TrimSuffix(cursor, "}") + `, "before": true}`
			start = `, "startAt": ` + strings.TrimSuffix(cursor, "}") + `, "before": true}`
		}
		all = append(all, strings.Fields(idsOf(t, ask(t, "POST", base+":runQuery", `{"structuredQuery": {`+q+`}}`)))...)
	}
	if len(all) != 13 {
		t.Errorf("%d of 13 documents in the parts of %s", len(all), a.body)
	}
	wantError(t, ask(t, "POST", base+":executePipeline", `{}`), 501, "UNIMPLEMENTED", "pipeline")
}

// TestTourOfTransactions reads and writes in transactions.
func TestTourOfTransactions(t *testing.T) {
	base := real(t) + "/v1/" + root
	numbered(t, base, "c", 3)
	begin := func(options string) string {
		a := ask(t, "POST", base+":beginTransaction", `{"options": `+options+`}`)
		id, _ := a.json(t).(map[string]any)["transaction"].(string)
		if a.StatusCode != 200 || id == "" {
			t.Fatalf("begun: %s %s", a.Status, a.body)
		}
		return id
	}
	write := func(transaction, id string) answer {
		return ask(t, "POST", base+":commit", `{"transaction": "`+transaction+`", "writes": [{"update": {"name": "`+root+`/c/`+id+`", "fields": {}}}]}`)
	}
	read := func(transaction string) answer {
		return ask(t, "POST", base+":runQuery", `{"transaction": "`+transaction+`", "structuredQuery": {"from": [{"collectionId": "c"}]}}`)
	}

	tx := begin(`{"readWrite": {}}`)
	if a := ask(t, "GET", base+"/c/000?transaction="+url.QueryEscape(tx), ""); a.StatusCode != 200 {
		t.Errorf("read: %s", a.body)
	}
	if a := write(tx, "000"); a.StatusCode != 200 {
		t.Errorf("committed: %s", a.body)
	}

	tx = begin(`{}`)
	if got := idsOf(t, read(tx)); got != "000 001 002" {
		t.Errorf("read %q", got)
	}
	ask(t, "PATCH", base+"/c/003", `{}`)
	wantError(t, write(tx, "000"), 409, "ABORTED", "")

	tx = begin(`{"readOnly": {}}`)
	before := idsOf(t, read(tx))
	ask(t, "PATCH", base+"/c/004", `{}`)
	if after := idsOf(t, read(tx)); before != "000 001 002 003" || after != before {
		t.Errorf("read %q, then %q", before, after)
	}

	tx = begin(`{}`)
	if a := ask(t, "POST", base+":rollback", `{"transaction": "`+tx+`"}`); a.StatusCode != 200 || a.body != "{}" {
		t.Errorf("rolled back: %s %s", a.Status, a.body)
	}
	if a := write(tx, "005"); a.StatusCode == 200 {
		t.Errorf("a transaction that was rolled back was committed: %s", a.body)
	}
}

func codesOf(list any) (out []any) {
	statuses, _ := list.([]any)
	for _, s := range statuses {
		code, ok := s.(map[string]any)["code"]
		if !ok {
			code = 0
		}
		out = append(out, code)
	}
	return out
}

// TestVerify checks that a write that only checks does check.
func TestVerify(t *testing.T) {
	base := real(t) + "/v1/" + root
	ask(t, "PATCH", base+"/c/x", "{}")
	verify := func(id, condition string) answer {
		return ask(t, "POST", base+":commit", `{"writes": [{"verify": "`+root+`/c/`+id+`", "currentDocument": `+condition+`}, {"update": {"name": "`+root+`/c/done"}}]}`)
	}
	wantError(t, verify("y", `{"exists": true}`), 404, "NOT_FOUND", "/c/y")
	wantError(t, verify("x", `{"exists": false}`), 409, "ALREADY_EXISTS", "/c/x")
	wantError(t, verify("x", `{"updateTime": "2020-01-01T00:00:00Z"}`), 400, "FAILED_PRECONDITION", "/c/x")
	if a := ask(t, "GET", base+"/c/done", ""); a.StatusCode != 404 {
		t.Errorf("what was refused was done: %s", a.body)
	}
	if a := verify("x", `{"exists": true}`); a.StatusCode != 200 {
		t.Errorf("got %s %s", a.Status, a.body)
	}
	if a := ask(t, "GET", base+"/c/done", ""); a.StatusCode != 200 {
		t.Errorf("what was accepted was not done: %s", a.body)
	}
	a := ask(t, "POST", base+":batchWrite", `{"writes": [{"verify": "`+root+`/c/y", "currentDocument": {"exists": true}}]}`)
	if reply, _ := a.json(t).(map[string]any); !sameJSON(t, `[5]`, toText(t, codesOf(reply["status"]))) {
		t.Errorf("batch of writes: %s", a.body)
	}
}
