package account

import (
	"fmt"
	"time"

	"atoll"
	"atoll/program/shard"
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

// budget is one of Budgets.
type budget int

const (
	keysBudget budget = iota
	documentsBudget
	timeBudget
	callerKeysBudget
)

var budgetNames = [...]string{keysBudget: "keys", documentsBudget: "documents", timeBudget: "time", callerKeysBudget: "caller-keys"}

// Flags of the command that set budgets, which errors name.
const (
	KeysFlag       = "query-keys"
	DocumentsFlag  = "query-documents"
	TimeFlag       = "query-time"
	CallerKeysFlag = "caller-keys"
)

// Budgets returns the table's; none if it is nil.
func (t *Table) Budgets() Budgets {
	if t == nil {
		return Budgets{}
	}
	return t.budgets
}

// OverCallerKeys counts a request whose caller has used up what one caller may
// read in a minute, and returns what to say.
func (t *Table) OverCallerKeys(c *Call) string {
	t.over[callerKeysBudget].Add(1)
	return fmt.Sprintf("you have used up your budget of %d keys read in a minute (--%s), now with %s", t.budgets.CallerKeys, CallerKeysFlag, c.Text())
}

// Allow fails with ResourceExhausted if a query has used up a budget of its own
// with what it read so far, or its time. A nil Call is allowed everything.
func (c *Call) Allow(spent shard.QueryStats) error {
	if c == nil {
		return nil
	}
	b := &c.table.budgets
	switch {
	case b.Keys > 0 && spent.Keys >= b.Keys:
		return c.over(keysBudget, "it has read %d keys, and %d are allowed (--%s)", spent.Keys, b.Keys, KeysFlag)
	case b.Documents > 0 && spent.Documents >= b.Documents:
		return c.over(documentsBudget, "it has read %d documents, and %d are allowed (--%s)", spent.Documents, b.Documents, DocumentsFlag)
	case spent.Seeks > 0: // looking at the clock costs more than the rest
		return c.InTime()
	}
	return nil
}

// InTime fails with ResourceExhausted if a query has used up its time.
func (c *Call) InTime() error {
	if c == nil || c.table.budgets.Time == 0 {
		return nil
	}
	if took, most := c.table.clock().Sub(c.start), c.table.budgets.Time; took >= most {
		return c.over(timeBudget, "it has taken %s, and %s are allowed (--%s)", took.Round(time.Millisecond), most, TimeFlag)
	}
	return nil
}

func (c *Call) over(b budget, format string, args ...any) error {
	c.table.over[b].Add(1)
	e := atoll.Errorf(atoll.ResourceExhausted, format, args...)
	e.Msg = "the budget of one query is used up: " + e.Msg + ". The query is " + c.Text() + "; narrow it, ask for it in pages, or add an index that serves it"
	return e
}
