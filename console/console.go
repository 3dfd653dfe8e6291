// Package console is the pages on which an operator sees what a node does, and
// browses, edits and queries its documents: files for a browser, written by
// hand, which load nothing from elsewhere. The operator's door (gateway/admin)
// serves them and what they ask for.
package console

import (
	"embed"
	"io/fs"
)

//go:embed files
var embedded embed.FS

// Files returns the page and what belongs to it; index.html is where to begin.
func Files() fs.FS {
	sub, err := fs.Sub(embedded, "files")
	if err != nil {
		panic(err) // the directory is a part of this package
	}
	return sub
}
