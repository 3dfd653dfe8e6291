package account

import (
	"cmp"
	"slices"
	"strings"

	"atoll"
)

// Costs are what requests took. All figures are sums since the node started,
// or since the shape was first seen, and only grow.
type Costs struct {
	Count            uint64 `json:"count"`            // requests answered; in a Write stream, its messages
	Errors           uint64 `json:"errors"`           // of these, answered with an error of any kind, and not found is one
	Micros           uint64 `json:"micros"`           // from arrival to the end of the answer, in microseconds
	Seeks            uint64 `json:"seeks"`            // index seeks
	Keys             uint64 `json:"keys"`             // index entries and versions read
	DocumentsRead    uint64 `json:"documentsRead"`    // documents decoded, or fetched by name
	DocumentsWritten uint64 `json:"documentsWritten"` // writes that were committed
	Results          uint64 `json:"results"`          // documents, or ids of collections, returned
	Bytes            uint64 `json:"bytes"`            // of documents returned or written, as they are stored
	Cost             uint64 `json:"cost"`             // of all this, an estimate of processor time in microseconds; see Estimate
}

// Shape is an account of the requests of one shape.
type Shape struct {
	Method   string `json:"method"`   // of the service, such as RunQuery
	Database string `json:"database"` // projects/P/databases/D; empty if the request named none that could be read
	Group    string `json:"group"`    // id of the collections; empty for all, or if there is none
	Text     string `json:"text"`     // for people: printable, with ? for values, at most MaxText bytes
	Costs
	MaxMicros int64 `json:"maxMicros"` // the slowest, in microseconds
	P50Micros int64 `json:"p50Micros"` // half were as fast as this, to within an eighth
	P99Micros int64 `json:"p99Micros"`
	// Load is what requests of this shape cost of late: Cost per second,
	// averaged with half of the weight on the last HalfLife.
	Load  float64 `json:"load"`
	First int64   `json:"first"` // when the shape was first seen, in milliseconds since the epoch; it may have been seen and forgotten before
	Last  int64   `json:"last"`  // when a request of it ended last, likewise
}

// Report is what GET /v1/top of the operator's door answers, and what
// "atoll top" and the console show.
type Report struct {
	Now     int64   `json:"now"`     // milliseconds since the epoch
	Started int64   `json:"started"` // likewise, when accounts began
	Total   Costs   `json:"total"`   // of all requests, also of shapes that are forgotten
	Load    float64 `json:"load"`    // of all requests, as Shape.Load
	Shapes  []Shape `json:"shapes"`  // in the order asked for, as many as were asked for
	Tracked int     `json:"tracked"` // shapes that are kept
	Limit   int     `json:"limit"`   // as many may be kept
	Evicted uint64  `json:"evicted"` // shapes forgotten for want of room
	Budgets Budgets `json:"budgets"`
	// OverBudget counts the requests that were ended because of a budget, by
	// the budget's name: keys, documents, time or caller-keys.
	OverBudget map[string]uint64 `json:"overBudget"`
}

// orders are the ways to sort shapes: the larger figure first.
var orders = map[string]func(*Shape) float64{
	"load":    func(s *Shape) float64 { return s.Load },
	"cost":    func(s *Shape) float64 { return float64(s.Cost) },
	"count":   func(s *Shape) float64 { return float64(s.Count) },
	"errors":  func(s *Shape) float64 { return float64(s.Errors) },
	"time":    func(s *Shape) float64 { return float64(s.Micros) },
	"keys":    func(s *Shape) float64 { return float64(s.Keys) },
	"read":    func(s *Shape) float64 { return float64(s.DocumentsRead) },
	"written": func(s *Shape) float64 { return float64(s.DocumentsWritten) },
	"results": func(s *Shape) float64 { return float64(s.Results) },
	"bytes":   func(s *Shape) float64 { return float64(s.Bytes) },
	"p50":     func(s *Shape) float64 { return float64(s.P50Micros) },
	"p99":     func(s *Shape) float64 { return float64(s.P99Micros) },
	"max":     func(s *Shape) float64 { return float64(s.MaxMicros) },
	"last":    func(s *Shape) float64 { return float64(s.Last) },
}

// Orders lists the names that Sort knows, in the order of a list for people.
func Orders() []string {
	return []string{"load", "cost", "count", "errors", "time", "keys", "read", "written", "results", "bytes", "p50", "p99", "max", "last"}
}

// Sort sorts shapes by one of Orders, the largest first; shapes with equal
// figures come in the order of their names. It fails with Invalid if there is
// no such order.
func Sort(shapes []Shape, by string) error {
	figure, ok := orders[by]
	if !ok {
		return atoll.Errorf(atoll.Invalid, "shapes cannot be sorted by %.50q; there are %s", by, strings.Join(Orders(), ", "))
	}
	slices.SortFunc(shapes, func(a, b Shape) int {
		return cmp.Or(cmp.Compare(figure(&b), figure(&a)), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.Database, b.Database), cmp.Compare(a.Text, b.Text))
	})
	return nil
}
