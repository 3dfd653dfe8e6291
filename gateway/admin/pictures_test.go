package admin_test

import (
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"atoll"
	"atoll/console"
	"atoll/gateway/admin/plain"
	"atoll/program/shard"
	"atoll/route"
	"atoll/value"
)

// pictures is where TestSizes leaves what it sees. Those that the documents
// show are made by: go test ./gateway/admin -run TestSizes -pictures ../../docs
var pictures = flag.String("pictures", "", "folder for pictures of the console")

// files lets the pages be changed without building anew.
var files = flag.String("files", "", "folder with the console's files, in place of those that were built in")

func consoleFiles() fs.FS {
	if *files != "" {
		return os.DirFS(*files)
	}
	return console.Files()
}

var demo = atoll.Database{Project: "demo", ID: atoll.DefaultDatabase}

// cities are documents of all types.
var cities = map[string]string{
	"cities/aveiro":  `{"name": "Aveiro", "country": "Portugal", "population": 80880, "rating": 4.4, "tags": ["canals", "salt"], "coast": true}`,
	"cities/braga":   `{"name": "Braga", "country": "Portugal", "population": 193333, "rating": 4.3, "tags": ["churches"], "coast": false}`,
	"cities/coimbra": `{"name": "Coimbra", "country": "Portugal", "population": 140796, "rating": 4.5, "tags": ["university", "river"], "coast": false}`,
	"cities/evora":   `{"name": "Évora", "country": "Portugal", "population": 53591, "rating": 4.6, "tags": ["temple"], "coast": false}`,
	"cities/faro":    `{"name": "Faro", "country": "Portugal", "population": 67650, "rating": 4.2, "tags": ["lagoon", "port"], "coast": true}`,
	"cities/funchal": `{"name": "Funchal", "country": "Portugal", "population": 105795, "rating": 4.7, "tags": ["island", "port"], "coast": true}`,
	"cities/lisbon": `{"name": "Lisbon", "country": "Portugal", "population": 545796, "rating": 4.8, "tags": ["port", "capital", "hills"], "coast": true,
		"at": {"$geopoint": [38.7223, -9.1393]}, "embedding": {"$vector": [0.12, -0.4, 0.98]}, "flag": {"$bytes": "AP8Q"}, "mayor": null,
		"founded": {"$timestamp": "1147-10-25T00:00:00Z"}, "twin": {"$reference": "cities/porto"}, "weather": {"jan": 11.6, "jul": 23.5, "rain": {"days": 103}}}`,
	"cities/lisbon/districts/alfama": `{"name": "Alfama"}`,
	"cities/porto":                   `{"name": "Porto", "country": "Portugal", "population": 231962, "rating": 4.7, "tags": ["port", "wine"], "coast": true}`,
	"cities/setubal":                 `{"name": "Setúbal", "country": "Portugal", "population": 123496, "rating": 4.1, "tags": ["port"], "coast": true}`,
	"cities/madrid/districts/sol":    `{"name": "Sol"}`,
	"orders/1001":                    `{"city": "lisbon", "total": 42.5}`,
	"users/ann":                      `{"name": "Ann"}`,
}

// fill writes documents into the database demo.
func (w *world) fill(documents map[string]string) {
	w.t.Helper()
	for path, text := range documents {
		doc, err := plain.Parse(demo, atoll.Path(path), []byte(text))
		if err != nil {
			w.t.Fatal(err)
		}
		write := shard.Write{Op: shard.OpSet, Path: atoll.Path(path), Doc: value.Encode(doc)}
		if _, err := w.host.Router.Commit(w.t.Context(), demo, []shard.Write{write}, route.NewRequestID(), route.Caller{Principal: atoll.Anonymous}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// in returns the address of a page of the console, of a place in the database
// demo.
func (w *world) in(page, rest string) string {
	return w.url + "/#/" + page + "/" + url.PathEscape(demo.String()) + rest
}

const exampleQuery = `{"from": "cities", "where": {"op": "and", "parts": [{"field": "tags", "op": "array-contains", "type": "string", "value": "port"},
	{"op": "or", "parts": [{"field": "population", "op": ">=", "type": "integer", "value": "100000"}, {"field": "coast", "op": "==", "type": "boolean", "value": "false"}]}]},
	"order": [["population", "desc"]], "limit": 20, "select": "name,population,rating,tags"}`

// TestSizes visits all pages in light and dark, from narrow to wide: nothing
// lies beyond the right edge, no script fails, and nothing is refused.
func TestSizes(t *testing.T) {
	b := newTab(t)
	w := newWorld(t, nil)
	w.fill(cities)
	for range 3 {
		w.post("/data/v1/"+demo.String()+"/documents:runQuery", `{"structuredQuery": {"from": [{"collectionId": "cities"}]}}`)
	}
	b.open(w.door.Link())
	b.shows("Durable blocks")
	visits := []struct{ name, address, shows, then string }{
		{"overview", w.url + "/#/", "Durable blocks", ""},
		{"collections", w.in("documents", ""), "orders", ""},
		{"documents", w.in("documents", "/cities"), "setubal", ""},
		{"document", w.in("documents", "/cities/lisbon"), "Copy JSON", ""},
		{"edit", w.in("documents", "/cities/lisbon"), "Save", "document.getElementById('edit').click()"},
		{"new", w.in("documents", "/cities?new"), "New document", ""},
		{"query", w.in("query", "?q="+url.QueryEscape(exampleQuery)), "Keys read", ""},
		{"indexes", w.in("indexes", ""), "Composite indexes", ""},
		{"activity", w.in("activity", ""), "Latency of writes", ""},
	}
	sizes := [][2]int{{400, 800}, {1600, 1000}}
	if *pictures != "" {
		sizes = append(sizes, [2]int{1200, 960})
	}
	for _, size := range sizes {
		for _, scheme := range []string{"light", "dark"} {
			b.screen(size[0], size[1], scheme)
			for _, v := range visits {
				b.open(strings.ReplaceAll(v.address, "+", "%20"))
				if v.then != "" {
					b.shows("Copy JSON")
					b.eval(v.then)
				}
				b.shows(v.shows)
				if wide := b.eval("document.documentElement.scrollWidth").(float64); int(wide) > size[0] {
					t.Errorf("%s at %d pixels is %v wide", v.name, size[0], wide)
				}
				w.keep(b, fmt.Sprintf("%s-%d-%s", v.name, size[0], scheme))
			}
		}
	}
	if told := b.told(); len(told) > 0 {
		t.Errorf("the pages told of %q", told)
	}
}

// published are the pictures in the documents, by what they show.
var published = map[string]string{"document-1200-light": "console", "query-1200-light": "console-query"}

// keep writes a picture, if pictures are wanted.
func (w *world) keep(b *tab, name string) {
	w.t.Helper()
	if *pictures == "" {
		return
	}
	if filepath.Base(*pictures) == "docs" {
		if name = published[name]; name == "" {
			return
		}
	}
	time.Sleep(300 * time.Millisecond) // for fonts and boxes that grow
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), b.picture(), 0o644); err != nil {
		w.t.Fatal(err)
	}
}
