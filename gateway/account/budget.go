package account

import (
	"time"

	"atoll"
)

// Budgets bound what clients may have a node do. Of each, 0 sets no bound.
type Budgets struct {
	Keys       int           `json:"keys"`       // index entries and versions that one query may read
	Documents  int           `json:"documents"`  // documents that one query may read
	Time       time.Duration `json:"time"`       // that one query may take, in nanoseconds
	CallerKeys int           `json:"callerKeys"` // keys that one caller may read in a minute, all requests together
}

// DefaultBudgets are those of a node that is told nothing else: what no query
// of a well-made application needs.
var DefaultBudgets = Budgets{Keys: 5_000_000, Documents: 5_000_000, Time: 60 * time.Second}

// Check fails with Invalid if a budget is negative.
func (b Budgets) Check() error {
	if b.Keys < 0 || b.Documents < 0 || b.Time < 0 || b.CallerKeys < 0 {
		return atoll.Errorf(atoll.Invalid, "a budget must be 0, for none, or more")
	}
	return nil
}
