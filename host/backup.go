package host

import (
	"context"
	"os"
	"path/filepath"

	"atoll"
	"atoll/backup"
	"atoll/subnet"
	"atoll/wire"
)

// Backup adds a backup of the running installation to those in a folder or a
// bucket; see backup.Create. One is made at a time.
func (h *Host) Backup(ctx context.Context, location string, full bool, tell func(backup.Progress)) (backup.Manifest, error) {
	return backup.Create(ctx, backupSource{h}, location, full, tell)
}

// backupSource is the installation as package backup sees it.
type backupSource struct{ *Host }

// Staging implements backup.Source.
func (s backupSource) Staging() string {
	if s.opt.Dir == "" {
		return filepath.Join(os.TempDir(), "atoll-backup-stage")
	}
	return filepath.Join(s.opt.Dir, "backup-stage")
}

// State implements backup.Source. A query at a time closes that time, whatever
// is asked: here it is the status of a canister that does not exist.
func (s backupSource) State(ctx context.Context, id atoll.SubnetID, at atoll.Time) (backup.State, error) {
	if at > 0 {
		self := subnet.ManagementOf(id)
		question := atoll.Question{Caller: atoll.Management, Method: subnet.MethodStatus, Payload: wire.Marshal(subnet.Managed{Canister: self})}
		if _, err := s.QueryAt(ctx, at, self, question); err != nil && atoll.KindOf(err) != atoll.NotFound {
			return backup.State{}, err
		}
	}
	st, err := s.View(ctx, id)
	if err != nil {
		return backup.State{}, err
	}
	return backup.State{Reader: st, Release: st.Release}, nil
}
