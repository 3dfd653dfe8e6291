package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/gateway/firestore"
	"atoll/value"
)

const formatRows = 1200 // more than two batches

// stateOf returns the documents of a collection, by their contents, with all that
// a node tells of them: paths, create and update times.
func stateOf(t *testing.T, c *client, collection string) map[string]string {
	t.Helper()
	state := map[string]string{}
	req := &firestorepb.ListDocumentsRequest{Parent: c.db.String() + "/documents", CollectionId: collection, PageSize: 300}
	for {
		ctx, cancel := c.context(t.Context())
		page, err := c.ListDocuments(ctx, req)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.GetDocuments() {
			fields, err := firestore.FromFields(d.GetFields())
			if err != nil {
				t.Fatal(err)
			}
			text := string(plain.Document(nil, fields))
			state[text] = fmt.Sprintf("%s %s %s", c.path(d.GetName()), d.GetCreateTime(), d.GetUpdateTime())
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return state
		}
	}
}

// importTwice imports a file of formatRows rows {"n": i, "s": text}, compares
// what became of it, and does it again, which must change nothing.
func importTwice(t *testing.T, name, text string) {
	t.Helper()
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	node(t, dir, addr)
	to := target{connection: connection{addr: addr}, project: "demo", database: atoll.DefaultDatabase}
	c, err := to.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var first map[string]string
	for round := range 2 {
		cmd := exec.Command("atoll", "import", name, "--into", "c", "--id", "n", "--addr", addr)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), fmt.Sprintf("%d documents of %[1]d rows imported", formatRows)) {
			t.Fatalf("%v: %s", err, out)
		}
		state := stateOf(t, c, "c")
		if round > 0 {
			if !maps.Equal(state, first) {
				t.Error("the second import has changed documents")
			}
			return
		}
		first = state
		for i := range formatRows {
			want := string(plain.Document(nil, value.Map(value.Field{Name: "n", Value: value.Int(int64(i))}, value.Field{Name: "s", Value: value.String(formatText(i))})))
			if got := state[want]; !strings.HasPrefix(got, fmt.Sprintf("c/%d ", i)) {
				t.Fatalf("row %d became %q, want %s", i, got, want)
			}
		}
	}
}

// formatText is the text of a row.
func formatText(i int) string { return fmt.Sprintf("row %d, \"quoted\" é", i) }

func TestImportJSONLines(t *testing.T) {
	var b strings.Builder
	for i := range formatRows {
		fmt.Fprintf(&b, "{\"n\": %d, \"s\": %q}\n", i, formatText(i))
	}
	importTwice(t, "rows.jsonl", b.String())
}

func TestImportJSONArray(t *testing.T) {
	var b strings.Builder
	for i := range formatRows {
		fmt.Fprintf(&b, "%c{\"n\": %d,\n \"s\": %q}", "[,"[min(i, 1)], i, formatText(i))
	}
	importTwice(t, "rows.json", b.String()+"]")
}

func TestImportCSV(t *testing.T) {
	var b strings.Builder
	b.WriteString("n,s\r\n")
	for i := range formatRows {
		fmt.Fprintf(&b, "%d,\"%s\"\r\n", i, strings.ReplaceAll(formatText(i), `"`, `""`))
	}
	importTwice(t, "rows.csv", b.String())
}
