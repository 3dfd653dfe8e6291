package rest

import (
	"io"
	"net/http"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"atoll/gateway/firestore"
	"atoll/host"
)

const tenFields = `{"fields": {"a": {"stringValue": "some text of a usual length"}, "b": {"integerValue": "12345"}, "c": {"doubleValue": 1.5}, "d": {"booleanValue": true},
	"e": {"timestampValue": "2026-01-02T03:04:05.678901Z"}, "f": {"stringValue": "x"}, "g": {"arrayValue": {"values": [{"stringValue": "p"}, {"stringValue": "q"}]}},
	"h": {"mapValue": {"fields": {"i": {"integerValue": "1"}}}}, "j": {"nullValue": null}, "k": {"geoPointValue": {"latitude": 1, "longitude": 2}}}}`

// BenchmarkGet reads one document of ten fields: with HTTP and JSON through
// this door, and through the connection that the door uses itself.
func BenchmarkGet(b *testing.B) {
	b.Run("door", func(b *testing.B) {
		url := real(b) + "/v1/" + root + "/c/x"
		ask(b, "PATCH", url, tenFields)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				res, err := client.Get(url)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	})
	b.Run("connection", func(b *testing.B) {
		h, err := host.Start(host.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		local, err := NewLocal(firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}}).Server(LocalOptions()...))
		if err != nil {
			b.Fatal(err)
		}
		defer local.Close()
		c := firestorepb.NewFirestoreClient(local)
		doc := fill(b, &firestorepb.Document{}, tenFields).(*firestorepb.Document)
		doc.Name = root + "/c/x"
		if _, err := c.UpdateDocument(b.Context(), &firestorepb.UpdateDocumentRequest{Document: doc}); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := c.GetDocument(b.Context(), &firestorepb.GetDocumentRequest{Name: doc.Name}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
