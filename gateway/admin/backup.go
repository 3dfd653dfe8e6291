package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"time"

	"atoll"
	"atoll/backup"
)

// backupBeat is the least time between two lines about progress.
const backupBeat = 200 * time.Millisecond

// BackupLine is one line of the answer to POST /v1/backup. The last one has
// Manifest, or Error.
type BackupLine struct {
	Progress *backup.Progress `json:"progress,omitempty"`
	Manifest *backup.Manifest `json:"manifest,omitempty"`
	Error    *BackupError     `json:"error,omitempty"`
}

// BackupError is why there is no backup.
type BackupError struct {
	Kind    atoll.Kind `json:"kind"`
	Message string     `json:"message"`
}

// backup writes a backup into "dir", a folder of this machine or a bucket (see
// backup.IsBucket), and tells how far it has come. It ends with the request.
func (d *Door) backup(w http.ResponseWriter, r *http.Request) {
	dir := r.FormValue("dir")
	full := r.FormValue("full")
	switch {
	case d.makeBackup == nil:
		fail(w, atoll.Errorf(atoll.NotFound, "this node makes no backups"))
		return
	case !filepath.IsAbs(dir) && !backup.IsBucket(dir):
		fail(w, atoll.Errorf(atoll.Invalid, "dir=%q is no absolute name of a folder, nor a bucket", dir))
		return
	case full != "" && full != "true" && full != "false":
		fail(w, atoll.Errorf(atoll.Invalid, "full=%q is neither true nor false", full))
		return
	case !d.backingUp.TryLock():
		fail(w, atoll.Errorf(atoll.Unavailable, "a backup is being made already; try again when it is done"))
		return
	}
	defer d.backingUp.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)()
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // the request has been read; the answer may last
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	write := func(l BackupLine) {
		control.SetWriteDeadline(time.Now().Add(tailStalls))
		if lines.Encode(l) != nil || control.Flush() != nil {
			cancel() // the reader is gone
		}
	}
	var last time.Time
	if !backup.IsBucket(dir) {
		dir = filepath.Clean(dir)
	}
	m, err := d.makeBackup(ctx, dir, full == "true", func(p backup.Progress) {
		if time.Since(last) >= backupBeat {
			last = time.Now()
			write(BackupLine{Progress: &p})
		}
	})
	if err != nil {
		e := atoll.AsError(err)
		message := e.Msg
		if e.Detail != "" {
			message += " (" + e.Detail + ")"
		}
		write(BackupLine{Error: &BackupError{Kind: e.Kind, Message: message}})
		return
	}
	write(BackupLine{Manifest: &m})
}
