package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"atoll"
	"atoll/gateway/admin"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

// post sends a body as the console does, with the token in place of a session.
func (w *world) post(path, body string) (status int, answer string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": w.bearer(), "Origin": w.url, "Sec-Fetch-Site": "same-origin", "Cookie": "a=b", "Content-Type": "application/json"} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

const documents = "/data/v1/projects/p/databases/(default)/documents"

// TestData writes, reads and queries by the operator's door.
func TestData(t *testing.T) {
	w := newWorld(t, nil)
	const name = "projects/p/databases/(default)/documents/c/a b:ü%"
	status, text := w.post(documents+":commit", `{"writes": [{"update": {"name": "`+name+`", "fields": {"n": {"integerValue": "7"}}}, "currentDocument": {"exists": false}}]}`)
	if status != http.StatusOK {
		t.Fatalf("commit: %d %s", status, text)
	}
	if status, text = w.post(documents+":batchGet", `{"documents": ["`+name+`"]}`); status != http.StatusOK || !strings.Contains(text, `"integerValue":"7"`) && !strings.Contains(text, `"integerValue": "7"`) {
		t.Errorf("batchGet: %d %s", status, text)
	}
	if got := w.get(documents + "/c/a%20b%3A%C3%BC%25"); !strings.Contains(got, `"7"`) {
		t.Errorf("by an address: %s", got)
	}
	status, text = w.post(documents+":runQuery", `{"structuredQuery": {"from": [{"collectionId": "c"}]}, "explainOptions": {"analyze": true}}`)
	if status != http.StatusOK || !strings.Contains(text, "index_seeks") || !strings.Contains(text, "planSummary") {
		t.Errorf("runQuery: %d %s", status, text)
	}
	status, text = w.post(documents+":commit", `{"writes": [{"delete": "`+name+`", "currentDocument": {"updateTime": "2020-01-01T00:00:00Z"}}]}`)
	if status != http.StatusBadRequest || !strings.Contains(text, "FAILED_PRECONDITION") {
		t.Errorf("delete of another version: %d %s", status, text)
	}
	if status, _ = w.post(documents[:len(documents)-len("/documents")]+"//documents:commit", `{}`); status != http.StatusNotFound {
		t.Errorf("an address that a mux would clean: %d", status)
	}
}

// TestDataHeaders looks at what is passed on: nothing that belongs to the
// session.
func TestDataHeaders(t *testing.T) {
	w := newWorld(t, nil)
	var seen http.Header
	var path string
	w.data = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, path = r.Header, r.URL.EscapedPath() })
	if status, _ := w.post("/data/v1/projects/p/a%2Fb?c=d", ""); status != http.StatusOK || path != "/v1/projects/p/a%2Fb" || seen.Get("Content-Type") == "" {
		t.Fatalf("%d for %q with %v", status, path, seen)
	}
	for _, name := range []string{"Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Site"} {
		if seen.Get(name) != "" {
			t.Errorf("%s: %q was passed on", name, seen.Get(name))
		}
	}
}

// TestSamples waits for samples that tell of a write and a query.
func TestSamples(t *testing.T) {
	w := newWorld(t, nil)
	var got struct {
		Span    string
		Step    int64
		Samples []admin.Sample
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		w.post(documents+":commit", `{"writes": [{"update": {"name": "projects/p/databases/(default)/documents/c/d"}}]}`)
		w.post(documents+":runQuery", `{"structuredQuery": {"from": [{"collectionId": "c"}]}}`)
		if err := json.Unmarshal([]byte(w.get("/v1/samples?span=10m")), &got); err != nil || got.Span != "10m" || got.Step != 2000 {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := len(got.Samples); n > 0 {
			if s := got.Samples[n-1]; s.Writes > 0 && s.Reads > 0 && s.Queries > 0 && s.Memory > 0 && s.WriteLatency != nil && s.QueryLatency.P99 > 0 {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", got)
		}
	}
	if res := w.do("GET", "/v1/samples?span=1y", "Authorization", w.bearer()); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a year: %s", res.Status)
	}
}

// TestStorage has more databases than are told of.
func TestStorage(t *testing.T) {
	w := newWorld(t, nil)
	doc := value.Encode(value.Map(value.Field{Name: "n", Value: value.Int(1)}))
	for i := range 101 {
		db := atoll.Database{Project: "p", ID: fmt.Sprintf("database-%03d", i)}
		write := shard.Write{Op: shard.OpSet, Path: "c/d", Doc: doc}
		if _, err := w.host.Router.Commit(t.Context(), db, []shard.Write{write}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Subnets []struct {
			Records  uint64
			State    int64
			Canister int
		}
		Databases []struct {
			Ranges, Shards   int
			State, Directory int64
		}
		More bool
	}
	if err := json.Unmarshal([]byte(w.get("/v1/storage")), &got); err != nil || len(got.Subnets) != 2 || len(got.Databases) != 100 || !got.More {
		t.Fatalf("%v: %+v", err, got)
	}
	state, canisters := int64(0), 0
	for _, s := range got.Subnets {
		state, canisters = state+s.State, canisters+s.Canister
		if s.Records == 0 {
			t.Errorf("a subnet without records: %+v", s)
		}
	}
	for _, d := range got.Databases {
		if d.Ranges != 1 || d.Shards != 1 || d.State == 0 || d.Directory == 0 {
			t.Errorf("%+v", d)
		}
		state -= d.State + d.Directory
	}
	if canisters != 1+2*101 || state <= 0 {
		t.Errorf("%d canisters, and %d bytes beyond those databases", canisters, state)
	}
}
