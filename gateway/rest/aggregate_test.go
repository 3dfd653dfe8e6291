package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	"atoll/gateway/analytics"
	"atoll/gateway/firestore"
	"atoll/gateway/front"
	"atoll/host"
	"atoll/query"
)

// shop is a few documents to group: the goods of a shop.
func shop(t *testing.T) (base string) {
	t.Helper()
	base = real(t) + "/v1/" + root
	var writes []string
	for i, good := range []string{
		`"kind": {"stringValue": "pen"}, "price": {"integerValue": "2"}, "red": {"booleanValue": true}`,
		`"kind": {"stringValue": "pen"}, "price": {"doubleValue": 3.5}, "red": {"booleanValue": false}`,
		`"kind": {"stringValue": "ink"}, "price": {"integerValue": "10"}, "red": {"booleanValue": true}`,
		`"kind": {"stringValue": "cap"}, "price": {"integerValue": "4"}, "red": {"booleanValue": true}`,
		`"kind": {"stringValue": "cap"}, "price": {"nullValue": null}, "red": {"booleanValue": true}`,
		`"kind": {"stringValue": "cap"}`, // costs nothing that we know of
		`"price": {"integerValue": "99"}`,
	} {
		writes = append(writes, fmt.Sprintf(`{"update": {"name": "%s/goods/%d", "fields": {%s}}}`, root, i, good))
	}
	if a := ask(t, "POST", base+":commit", `{"writes": [`+strings.Join(writes, ",")+`]}`); a.StatusCode != 200 {
		t.Fatal(a.body)
	}
	return base
}

const goods = `"structuredQuery": {"from": [{"collectionId": "goods"}]}`

// groupsOf returns the groups of an answer, and its read time.
func groupsOf(t *testing.T, a answer) (groups, readTime string) {
	t.Helper()
	reply, _ := a.json(t).(map[string]any)
	readTime, _ = reply["readTime"].(string)
	if a.StatusCode != 200 || readTime == "" {
		t.Errorf("got %s %s", a.Status, a.body)
	}
	return toText(t, reply["groups"]), readTime
}

func TestAggregate(t *testing.T) {
	base := shop(t)
	pen, ink, capped := `{"kind": {"stringValue": "pen"}}`, `{"kind": {"stringValue": "ink"}}`, `{"kind": {"stringValue": "cap"}}`
	for _, c := range []struct{ body, want string }{
		{`"aggregations": [{"count": {}}]`, `[{"aggregates": {"field_1": {"integerValue": "7"}}}]`},
		{`"aggregations": [{"alias": "low", "min": {"field": {"fieldPath": "price"}}}, {"alias": "high", "max": {"field": {"fieldPath": "price"}}}]`,
			`[{"aggregates": {"low": {"integerValue": "2"}, "high": {"integerValue": "99"}}}]`},
		{`"groupBy": [{"fieldPath": "kind"}], "aggregations": [{"alias": "n", "count": {}}]`,
			`[{"key": ` + capped + `, "aggregates": {"n": {"integerValue": "3"}}}, {"key": ` + ink + `, "aggregates": {"n": {"integerValue": "1"}}}, {"key": ` + pen + `, "aggregates": {"n": {"integerValue": "2"}}}]`},
		{`"groupBy": [{"fieldPath": "kind"}], "orderBy": [{"alias": "all", "direction": "DESCENDING"}], "limit": 2,
			"aggregations": [{"alias": "all", "sum": {"field": {"fieldPath": "price"}}}, {"alias": "n", "count": {}}, {"alias": "mean", "avg": {"field": {"fieldPath": "price"}}}]`,
			`[{"key": ` + ink + `, "aggregates": {"all": {"integerValue": "10"}, "n": {"integerValue": "1"}, "mean": {"doubleValue": 10}}},
			{"key": ` + pen + `, "aggregates": {"all": {"doubleValue": 5.5}, "n": {"integerValue": "2"}, "mean": {"doubleValue": 2.75}}}]`},
		{`"groupBy": [{"fieldPath": "red"}, {"fieldPath": "kind"}], "orderBy": [{"field": {"fieldPath": "kind"}, "direction": "DESCENDING"}], "aggregations": [{"alias": "n", "count": {"upTo": "1"}}], "limit": 3`,
			`[{"key": {"red": {"booleanValue": false}, "kind": {"stringValue": "pen"}}, "aggregates": {"n": {"integerValue": "1"}}},
			{"key": {"red": {"booleanValue": true}, "kind": {"stringValue": "pen"}}, "aggregates": {"n": {"integerValue": "1"}}},
			{"key": {"red": {"booleanValue": true}, "kind": {"stringValue": "ink"}}, "aggregates": {"n": {"integerValue": "1"}}}]`},
	} {
		got, _ := groupsOf(t, ask(t, "POST", base+":aggregate", `{`+goods+`, `+c.body+`}`))
		if !sameJSON(t, got, c.want) {
			t.Errorf("%s:\n%s\nwant %s", c.body, got, c.want)
		}
	}
	filtered := `"structuredQuery": {"from": [{"collectionId": "goods"}], "where": {"fieldFilter": {"field": {"fieldPath": "red"}, "op": "EQUAL", "value": {"booleanValue": true}}}}`
	got, _ := groupsOf(t, ask(t, "POST", base+":aggregate", `{`+filtered+`, "groupBy": [{"fieldPath": "kind"}], "aggregations": [{"count": {}}], "limit": 1, "orderBy": [{"alias": "field_1", "direction": "DESCENDING"}]}`))
	if want := `[{"key": ` + capped + `, "aggregates": {"field_1": {"integerValue": "2"}}}]`; !sameJSON(t, got, want) {
		t.Errorf("filtered: %s", got)
	}
	if got, _ := groupsOf(t, ask(t, "POST", base+"/goods/1:aggregate", `{`+goods+`, "groupBy": [{"fieldPath": "kind"}], "aggregations": [{"count": {}}]}`)); got != "null" {
		t.Errorf("below a document without any: %s", got)
	}
}

// TestAggregateAtATime checks that the time that is returned can be asked for.
func TestAggregateAtATime(t *testing.T) {
	base := shop(t)
	body := goods + `, "aggregations": [{"alias": "n", "count": {}}, {"alias": "max", "max": {"field": {"fieldPath": "price"}}}]`
	before, at := groupsOf(t, ask(t, "POST", base+":aggregate", `{`+body+`}`))
	ask(t, "POST", base+"/goods", `{"fields": {"price": {"integerValue": "1000"}}}`)
	now, _ := groupsOf(t, ask(t, "POST", base+":aggregate", `{`+body+`}`))
	then, again := groupsOf(t, ask(t, "POST", base+":aggregate", `{`+body+`, "readTime": "`+at+`"}`))
	if then != before || now == before || again != at {
		t.Errorf("before %s, now %s, then %s at %s", before, now, then, again)
	}
	wantError(t, ask(t, "POST", base+":aggregate", `{`+body+`, "readTime": "1970-01-01T00:00:00Z"}`), 400, "FAILED_PRECONDITION", "too old")
}

func TestAggregateExplains(t *testing.T) {
	base := shop(t)
	body := `{` + goods + `, "aggregations": [{"max": {"field": {"fieldPath": "price"}}}], "explainOptions": `
	a := ask(t, "POST", base+":aggregate", body+`{"analyze": true}}`)
	if !strings.Contains(a.body, "index of price backwards") || !strings.Contains(a.body, `"resultsReturned":"1"`) || !strings.Contains(a.body, `"groups"`) {
		t.Errorf("analysed: %s", a.body)
	}
	if a := ask(t, "POST", base+":aggregate", body+`{}}`); strings.Contains(a.body, "groups") || !strings.Contains(a.body, "planSummary") {
		t.Errorf("the plan alone: %s", a.body)
	}
}

func TestAggregateRefuses(t *testing.T) {
	base := shop(t)
	count := `"aggregations": [{"count": {}}]`
	for _, c := range []struct{ body, message string }{
		{``, "aggregation"},
		{count, "structured_query is missing"},
		{goods, "at least one aggregation"},
		{goods + `, "aggregations": [{"alias": "a"}]`, `"a" has no operator`},
		{goods + `, "aggregations": [{"sum": {}}]`, "field path"},
		{goods + `, "aggregations": [{"min": {"field": {"fieldPath": "a..b"}}}]`, "a..b"},
		{goods + `, "aggregations": [{"alias": "a", "count": {}}, {"alias": "a", "count": {}}]`, `the alias "a" is used twice`},
		{goods + `, "aggregations": [{"count": {"upTo": "-1"}}]`, "up_to is -1"},
		{goods + `, "aggregations": [` + strings.Repeat(`{"count": {}},`, 5) + `{"count": {}}]`, "6 aggregations; 5 are allowed"},
		{goods + `, "groupBy": [{}], ` + count, "in group_by"},
		{goods + `, "groupBy": [{"fieldPath": "__name__"}], ` + count, "__name__"},
		{goods + `, "groupBy": [{"fieldPath": "a"}, {"fieldPath": "a"}], ` + count, "twice"},
		{goods + `, "orderBy": [{"alias": "x"}], ` + count, `the alias "x"`},
		{goods + `, "orderBy": [{"field": {"fieldPath": "x"}}], ` + count, `the field "x"`},
		{goods + `, "orderBy": [{}], ` + count, "names neither"},
		{goods + `, "orderBy": [{"alias": "field_1", "direction": 9}], ` + count, "direction"},
		{goods + `, "limit": -1, ` + count, "limit of groups is -1"},
		{goods + `, "readTime": "9999-12-31T23:59:59.999999999Z", "aggregations": []`, "at least one"},
		{`"structuredQuery": {"from": [{"collectionId": "goods"}], "where": {}}, ` + count, "filter"},
		{`"structuredQuery": {"from": [{"collectionId": "goods"}], "findNearest": {"vectorField": {"fieldPath": "v"}, "queryVector": {"mapValue": {"fields": {"__type__": {"stringValue": "__vector__"}, "value": {"arrayValue": {"values": [{"doubleValue": 1}]}}}}}, "distanceMeasure": "EUCLIDEAN", "limit": 3}}, ` + count, "vector search"},
	} {
		wantError(t, ask(t, "POST", base+":aggregate", `{`+c.body+`}`), 400, "INVALID_ARGUMENT", c.message)
	}
	wantError(t, ask(t, "POST", base+"/goods:aggregate", `{`+goods+`, `+count+`}`), 400, "INVALID_ARGUMENT", "document")
	wantError(t, ask(t, "POST", base+":aggregate", `{`+goods+`, `+count+`}`, "Authorization: Bearer x"), 401, "UNAUTHENTICATED", "token")
}

// TestTooManyGroups checks that a client is told what to do.
func TestTooManyGroups(t *testing.T) {
	base := real(t) + "/v1/" + root
	for i := 0; i <= query.MaxGroups; i += 2000 {
		var writes []string
		for n := i; n < min(i+2000, query.MaxGroups+1); n++ {
			writes = append(writes, fmt.Sprintf(`{"update": {"name": "%s/c/%d", "fields": {"n": {"integerValue": "%d"}}}}`, root, n, n))
		}
		if a := ask(t, "POST", base+":commit", `{"writes": [`+strings.Join(writes, ",")+`]}`); a.StatusCode != 200 {
			t.Fatal(a.body)
		}
	}
	body := `{"structuredQuery": {"from": [{"collectionId": "c"}]WHERE}, "groupBy": [{"fieldPath": "n"}], "aggregations": [{"alias": "n", "count": {}}], "limit": 3}`
	wantError(t, ask(t, "POST", base+":aggregate", strings.Replace(body, "WHERE", "", 1)), 429, "RESOURCE_EXHAUSTED", "more than 10000 groups; narrow the query with filters")
	narrowed := `, "where": {"fieldFilter": {"field": {"fieldPath": "n"}, "op": "GREATER_THAN", "value": {"integerValue": "0"}}}`
	if got, _ := groupsOf(t, ask(t, "POST", base+":aggregate", strings.Replace(body, "WHERE", narrowed, 1))); strings.Count(got, "key") != 3 {
		t.Errorf("narrowed by one: %s", got)
	}
}

// TestAggregateBehindTheFront asks over REST and gRPC on one port.
func TestAggregateBehindTheFront(t *testing.T) {
	h, err := host.Start(host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}})
	local, err := NewLocal(s.Server(LocalOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.Close() })
	d, err := New(Options{Service: local})
	if err != nil {
		t.Fatal(err)
	}
	l, err := front.ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := front.New(front.Options{Listener: l, GRPC: s.Server(), HTTP: d, Log: slog.New(slog.DiscardHandler)})
	served := make(chan error, 1)
	go func() { served <- f.Serve() }()
	t.Cleanup(func() {
		f.Shutdown(context.Background())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})

	base := "http://" + l.Addr().String() + "/v1/" + root
	numbered(t, base, "c", 10)
	body := `{"structuredQuery": {"from": [{"collectionId": "c"}]}, "groupBy": [{"fieldPath": "odd"}], "aggregations": [{"alias": "high", "max": {"field": {"fieldPath": "n"}}}]`
	got, readTime := groupsOf(t, ask(t, "POST", base+":aggregate", body+`}`))
	want := `[{"key": {"odd": {"booleanValue": false}}, "aggregates": {"high": {"integerValue": "8"}}}, {"key": {"odd": {"booleanValue": true}}, "aggregates": {"high": {"integerValue": "9"}}}]`
	if !sameJSON(t, got, want) {
		t.Errorf("over REST: %s", got)
	}
	c, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := new(analytics.AggregateRequest)
	fill := protojson.Unmarshal([]byte(body+`, "parent": "`+root+`", "readTime": "`+readTime+`"}`), req)
	reply, err := analytics.NewAnalyticsClient(c).Aggregate(t.Context(), req)
	if fill != nil || err != nil {
		t.Fatal(fill, err)
	}
	if text, err := protojson.Marshal(reply); err != nil || !sameJSON(t, string(text), `{"groups": `+want+`, "readTime": "`+readTime+`"}`) {
		t.Errorf("over gRPC: %s, %v", text, err)
	}
	http.DefaultClient.CloseIdleConnections()
}
