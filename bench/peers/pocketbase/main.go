// Command pocketbase is the PocketBase peer of the benchmark: the unchanged
// PocketBase library with one collection and with synchronous=FULL, so that an
// acknowledged create is on disk, as it is with the other servers.
//
//	pocketbase ADDRESS DIR
//
// It is a program of its own so that SQLite's start-up work and memory do not
// count against the yardstick, which lives in the benchmark's own binary.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pocketbase ADDRESS DIR")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pocketbase:", err)
		os.Exit(1)
	}
}

// serve runs PocketBase on address with its databases in dir until the
// process is told to stop.
func serve(address, dir string) error {
	app := pocketbase.NewWithConfig(pocketbase.Config{
		DefaultDataDir:  dir,
		HideStartBanner: true,
		DBConnect:       openDatabase,
	})
	if err := app.Bootstrap(); err != nil {
		return fmt.Errorf("open the databases in %s: %w", dir, err)
	}
	if err := app.RunAllMigrations(); err != nil {
		return fmt.Errorf("create PocketBase's own tables: %w", err)
	}
	if _, err := app.FindCollectionByNameOrId(collectionName); err != nil { // the first start
		if err := app.Save(documents()); err != nil {
			return fmt.Errorf("create the collection: %w", err)
		}
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil // it would try to open a browser
		return e.Next()
	})
	return apis.Serve(app, apis.ServeConfig{HttpAddr: address})
}

// openDatabase opens one of PocketBase's two SQLite files with the pragmas that
// PocketBase itself sets, except that data.db syncs at each commit. The request
// log in auxiliary.db keeps synchronous=NORMAL: nobody is promised its rows.
func openDatabase(path string) (*dbx.DB, error) {
	synchronous := "NORMAL"
	if strings.HasSuffix(path, "data.db") {
		synchronous = "FULL"
	}
	return dbx.Open("sqlite", path+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)"+
		"&_pragma=synchronous("+synchronous+")"+
		"&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)")
}

const collectionName = "docs"

// documents is the collection that the benchmark writes to: the fields of the
// benchmark's document, an index on author and n, and rules that let everyone in.
func documents() *core.Collection {
	everyone := types.Pointer("")
	collection := core.NewBaseCollection(collectionName)
	collection.CreateRule, collection.ViewRule, collection.ListRule = everyone, everyone, everyone
	collection.Fields.Add(
		&core.TextField{Name: "title"},
		&core.TextField{Name: "body"},
		&core.TextField{Name: "author"},
		&core.NumberField{Name: "n", OnlyInt: true},
		&core.JSONField{Name: "tags"},
		&core.BoolField{Name: "done"},
		&core.NumberField{Name: "rating"},
		&core.NumberField{Name: "views", OnlyInt: true},
		&core.TextField{Name: "language"},
		&core.TextField{Name: "at"},
	)
	collection.AddIndex("docs_author_n", false, "author, n", "")
	return collection
}
