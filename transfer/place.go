package transfer

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"atoll"
)

// placeFormat is the version of the file that holds a Place or an ExportPlace.
const placeFormat = 1

// Mark tells one state of a file from another.
type Mark struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
}

// Place is how far an import has come.
type Place struct {
	Format   int     `json:"format"`
	Run      string  `json:"run"`      // 16 random bytes, in hexadecimal
	Settings string  `json:"settings"` // whoever goes on must have the same
	Files    []Mark  `json:"files"`
	File     int     `json:"file"`     // the file at hand, from 0
	Row      int64   `json:"row"`      // all rows of it up to this one are applied, or reported
	Reported int64   `json:"reported"` // bytes of the report so far
	Summary  Summary `json:"summary"`
	Done     bool    `json:"done"`
}

// Summary counts what became of the rows.
type Summary struct {
	Rows      int64 `json:"rows"`
	Documents int64 `json:"documents"` // written, also more than once
	Skipped   int64 `json:"skipped"`   // rows with an error
	Ignored   int64 `json:"ignored"`   // lines that were to be left out
}

// NewPlace returns the beginning of an import of files.
func NewPlace(settings string, files []Mark) *Place {
	var run [16]byte
	rand.Read(run[:])
	return &Place{Format: placeFormat, Run: hex.EncodeToString(run[:]), Settings: settings, Files: files}
}

// LoadPlace reads the place of an import from a file; ok is false if there is
// no such file. It fails with FailedPrecondition if the place belongs to an
// import of other files, or of the same ones with other settings.
func LoadPlace(file, settings string, files []Mark) (p *Place, ok bool, err error) {
	if ok, err := loadState(file, &p); !ok {
		return nil, false, err
	}
	if p == nil || p.Format != placeFormat {
		return nil, false, atoll.Errorf(atoll.Invalid, "%s does not hold the place of an import; name another file", file)
	}
	run, err := hex.DecodeString(p.Run)
	switch {
	case err != nil || len(run) != 16 || len(p.Files) != len(files) || p.File < 0 || p.Row < 0:
	case p.Settings != settings:
		return nil, false, atoll.Errorf(atoll.FailedPrecondition, "%s is the place of an import with other settings; repeat the command line that made it, or remove the file to begin anew", file)
	default:
		for i, f := range files {
			if p.Files[i] != f {
				return nil, false, atoll.Errorf(atoll.FailedPrecondition, "%s has changed since the import whose place %s holds; remove that file to begin anew", f.Name, file)
			}
		}
		return p, true, nil
	}
	return nil, false, atoll.Errorf(atoll.FailedPrecondition, "%s is the place of an import of other files; name another one", file)
}

// Save writes the place to a file, which holds the old place or the new one,
// whatever happens.
func (p *Place) Save(file string) error { return saveState(file, p) }

// ExportPlace is how far an export has come.
type ExportPlace struct {
	Format   int        `json:"format"`
	Settings string     `json:"settings"`
	Time     atoll.Time `json:"time"`  // at which is read, in microseconds since 1970
	After    atoll.Path `json:"after"` // the last document of the output
	Pages    []Page     `json:"pages"` // that hold it and what it is below, outermost first
	Bytes    int64      `json:"bytes"` // of the output up to there
	Fields   []string   `json:"fields,omitempty"`
	Count    int64      `json:"count"`
	Done     bool       `json:"done"`
}

// Page is a page of a list of documents.
type Page struct {
	Collection atoll.Path `json:"collection"`
	Token      string     `json:"token"` // of the request for it; empty for the first
}

// LoadExport reads the place of an export from a file; ok is false if there is
// no such file. It fails with FailedPrecondition if the place belongs to
// another export.
func LoadExport(file, settings string) (p *ExportPlace, ok bool, err error) {
	if ok, err := loadState(file, &p); !ok {
		return nil, false, err
	}
	if p == nil || p.Format != placeFormat || p.Time <= 0 || p.Bytes < 0 {
		return nil, false, atoll.Errorf(atoll.Invalid, "%s does not hold the place of an export; name another file", file)
	}
	if p.Settings != settings {
		return nil, false, atoll.Errorf(atoll.FailedPrecondition, "%s is the place of another export; repeat the command line that made it, or remove the file to begin anew", file)
	}
	return p, true, nil
}

// Save writes the place to a file, as Place.Save does.
func (p *ExportPlace) Save(file string) error {
	p.Format = placeFormat
	return saveState(file, p)
}

func loadState(file string, p any) (ok bool, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, atoll.Errorf(atoll.Unavailable, "cannot read the place: %v", err)
	}
	if err := json.Unmarshal(b, p); err != nil {
		return false, atoll.Errorf(atoll.Invalid, "%s does not hold a place: %v", file, err)
	}
	return true, nil
}

func saveState(file string, p any) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return atoll.Errorf(atoll.Unavailable, "cannot keep the place: %v", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return atoll.Errorf(atoll.Unavailable, "cannot keep the place: %v", err)
	}
	return nil
}
