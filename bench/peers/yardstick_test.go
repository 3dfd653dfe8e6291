package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openYardstick returns the yardstick's handler over a store in memory.
func openYardstick(t *testing.T) http.Handler {
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	y := &yardstick{db: db, writes: make(chan pendingWrite, groupLimit)}
	stopped := make(chan struct{})
	go func() {
		y.commit()
		close(stopped)
	}()
	t.Cleanup(func() {
		close(y.writes)
		<-stopped
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return y.handler()
}

func request(handler http.Handler, method, path, body string) (int, string) {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer.Code, answer.Body.String()
}

func TestYardstickKeepsAndOrdersDocuments(t *testing.T) {
	handler := openYardstick(t)
	for _, body := range []string{`{"id":"c","author":"x","n":256}`, `{"id":"a","author":"xy","n":2}`} {
		if code, answer := request(handler, "POST", "/docs", body); code != http.StatusOK {
			t.Fatalf("create %s: %d %s", body, code, answer)
		}
	}
	if code, answer := request(handler, "GET", "/docs/c", ""); code != http.StatusOK || answer != `{"id":"c","author":"x","n":256}` {
		t.Errorf("get: %d %s", code, answer)
	}
	lines := `{"id":"b","author":"x","n":70000}` + "\n" + `{"id":"e","author":"x","n":0}` + "\n"
	if code, answer := request(handler, "POST", "/bulk", lines); code != http.StatusOK {
		t.Fatalf("bulk: %d %s", code, answer)
	}
	code, answer := request(handler, "GET", "/docs?author=x", "")
	var found []document
	if err := json.Unmarshal([]byte(answer), &found); err != nil || code != http.StatusOK {
		t.Fatalf("query: %d %s: %v", code, answer, err)
	}
	if len(found) != 3 || found[0].ID != "e" || found[1].ID != "c" || found[2].ID != "b" {
		t.Errorf("query of x: %s, want e, c and b", answer)
	}
	if code, answer := request(handler, "GET", "/count?author=x", ""); code != http.StatusOK || answer != "3" {
		t.Errorf("count of x: %d %s, want 3", code, answer)
	}
}

func TestYardstickRefuses(t *testing.T) {
	handler := openYardstick(t)
	for _, test := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/docs", `{"n":1}`, http.StatusBadRequest},
		{"POST", "/docs", `{"id":"a","n":-1}`, http.StatusBadRequest},
		{"POST", "/docs", `{"id":`, http.StatusBadRequest},
		{"POST", "/docs", `{"id":"` + strings.Repeat("x", bodyLimit) + `"}`, http.StatusBadRequest},
		{"GET", "/docs/missing", "", http.StatusNotFound},
		{"POST", "/bulk", `{"id":"a","n":1}` + "\n" + `{"n":1}`, http.StatusBadRequest},
	} {
		if code, answer := request(handler, test.method, test.path, test.body); code != test.want {
			t.Errorf("%s %s: %d %s, want %d", test.method, test.path, code, answer, test.want)
		}
	}
}
