package rest

import (
	"context"
	"net/http"
	"strings"

	"atoll"
)

// emulatorPrefix begins the addresses that Firebase's emulator has besides the
// service's.
const emulatorPrefix = "/emulator/v1/"

// Clear deletes all documents of a database, for a caller with that
// authorization header.
type Clear func(ctx context.Context, authorization string, db atoll.Database) error

// emulator serves DELETE /emulator/v1/projects/{p}/databases/{d}/documents, with
// which test tools start over, if the node has it.
func (d *Door) emulator(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, emulatorPrefix), "/documents")
	err := error(atoll.Errorf(atoll.NotFound, "this node has no address %s %.200s", clip(r.Method), r.URL.Path))
	if ok && r.Method == http.MethodDelete && d.clear != nil {
		var db atoll.Database
		if db, err = atoll.ParseDatabase(name); err == nil {
			err = d.clear(r.Context(), r.Header.Get("Authorization"), db)
		}
	}
	if err != nil {
		d.fail(w, call{}, err)
		return
	}
	d.write(w, http.StatusOK, []byte("{}\n"))
}
