package rest

import (
	"fmt"
	"testing"
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
