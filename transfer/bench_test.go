package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"atoll"
	"atoll/transfer"
)

// BenchmarkImport reads rows of ten fields and some 400 bytes, and sends them
// nowhere: what is left is what a document costs before it is on the wire.
func BenchmarkImport(b *testing.B) {
	const rows = 5000
	var lines, table bytes.Buffer
	table.WriteString("$path,title,body,author,n,tags,done,rating,views,language,at\n")
	for i := range rows {
		body := strings.Repeat("a nice text ", 17)
		fmt.Fprintf(&lines, `{"path":"docs/d%d","document":{"title":"Note %d","body":"%s","author":"user%d","n":%d,"tags":["red","green","blue"],"done":%t,"rating":%g,"views":%d,"language":"en","at":"2025-02-14T07:18:00Z"}}`+"\n",
			i, i, body, i%40, i*7, i%2 == 0, float64(i%51)/10, i%5003)
		fmt.Fprintf(&table, "docs/d%d,Note %d,%s,user%d,%d,\"[\"\"red\"\",\"\"green\"\",\"\"blue\"\"]\",%t,%g,%d,en,2025-02-14T07:18:00Z\n",
			i, i, body, i%40, i*7, i%2 == 0, float64(i%51)/10, i%5003)
	}
	array := append([]byte("["), bytes.TrimSpace(bytes.ReplaceAll(lines.Bytes(), []byte("}\n"), []byte("},\n")))...)
	array[len(array)-1] = ']'
	for _, f := range []struct {
		format transfer.Format
		text   []byte
	}{{transfer.JSONL, lines.Bytes()}, {transfer.JSON, array}, {transfer.CSV, table.Bytes()}} {
		b.Run(string(f.format), func(b *testing.B) {
			for b.Loop() {
				im := transfer.Import{
					Mapping: transfer.Mapping{Database: atoll.Database{Project: "p", ID: "d"}},
					Files:   []transfer.File{{Name: "f", Format: f.format, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.text)), nil }}},
					Place:   transfer.NewPlace("", nil), Parallel: 1,
					Send: func(_ context.Context, batch transfer.Batch) ([]error, error) {
						return make([]error, len(batch.Documents)), nil
					},
				}
				if err := im.Run(b.Context()); err != nil || im.Place.Summary.Documents != rows {
					b.Fatal(im.Place.Summary, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
