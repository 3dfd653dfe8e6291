package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	"atoll"
)

// explained is how a query is answered. But for the plan and the scope it is
// all zero if the query was not run.
type explained struct {
	Plan      string  `json:"plan"`
	Scope     string  `json:"scope"`
	Seeks     int64   `json:"seeks"`     // in indexes
	Keys      int64   `json:"keys"`      // index entries and versions read
	Documents int64   `json:"documents"` // read
	Results   int64   `json:"results"`
	Seconds   float64 `json:"seconds"`
	Ran       bool    `json:"ran"`
}

func explainCommand() *cobra.Command {
	var f countFlags
	var plan, count bool
	cmd := &cobra.Command{
		Use:   "explain COLLECTION",
		Short: "Show how a query is answered, and what that costs",
		Long: `explain runs a query and shows, in place of the documents, by which indexes they
were found, how many seeks, keys and documents were read for how many results, and
how long that took. With --plan the query is not run. With --count, --sum or --avg
it explains "atoll count".

` + conditionHelp + `

` + connectionHelp,
		Example: `  atoll explain cities --where 'country == "PT"' --order 'population desc' --limit 10
  atoll explain cities --count --json`,
		Args: arguments(1, "COLLECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			defer c.close()
			options := &firestorepb.ExplainOptions{Analyze: !plan}
			explain := f.explain
			if count || len(f.sums) > 0 || len(f.averages) > 0 {
				explain = f.explainCount
			}
			m, err := explain(cmd, c, args[0], options)
			if err != nil {
				return err
			}
			return showExplained(cmd.OutOrStdout(), readMetrics(m), f.asJSON)
		},
	}
	f.flags(cmd)
	f.selectFlag(cmd)
	f.figureFlags(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&plan, "plan", false, "show the plan alone, and do not run the query")
	fl.BoolVar(&count, "count", false, "explain how the documents are counted")
	fl.BoolVar(&f.asJSON, "json", false, "answer with JSON")
	return cmd
}

// explain runs a query for its figures.
func (f *countFlags) explain(cmd *cobra.Command, c *client, collection string, o *firestorepb.ExplainOptions) (m *firestorepb.ExplainMetrics, err error) {
	req, err := f.request(c, collection)
	if err != nil {
		return nil, err
	}
	req.ExplainOptions = o
	err = c.runQuery(cmd.Context(), req, func(reply *firestorepb.RunQueryResponse) error {
		if reply.GetExplainMetrics() != nil {
			m = reply.GetExplainMetrics()
		}
		return nil
	})
	if err == nil && m == nil {
		err = atoll.Errorf(atoll.Unavailable, "the node's answer tells no plan")
	}
	return m, err
}

// explainCount runs an aggregation for its figures.
func (f *countFlags) explainCount(cmd *cobra.Command, c *client, collection string, o *firestorepb.ExplainOptions) (*firestorepb.ExplainMetrics, error) {
	req, _, err := f.aggregation(c, collection)
	if err != nil {
		return nil, err
	}
	req.ExplainOptions = o
	reply, err := c.runAggregation(cmd.Context(), req)
	return reply.GetExplainMetrics(), err
}

// readMetrics reads what the node tells.
func readMetrics(m *firestorepb.ExplainMetrics) explained {
	var e explained
	if used := m.GetPlanSummary().GetIndexesUsed(); len(used) > 0 {
		e.Plan, e.Scope = used[0].GetFields()["properties"].GetStringValue(), used[0].GetFields()["query_scope"].GetStringValue()
	}
	st := m.GetExecutionStats()
	if st == nil {
		return e
	}
	e.Ran = true
	e.Seeks, e.Keys = figure(st.GetDebugStats(), "index_seeks"), figure(st.GetDebugStats(), "index_entries_scanned")
	e.Documents, e.Results = figure(st.GetDebugStats(), "documents_scanned"), st.GetResultsReturned()
	e.Seconds = st.GetExecutionDuration().AsDuration().Seconds()
	return e
}

// figure reads a number, which is sent as a text; 0 if there is none.
func figure(s *structpb.Struct, name string) int64 {
	n, _ := strconv.ParseInt(s.GetFields()[name].GetStringValue(), 10, 64)
	return n
}

func showExplained(out io.Writer, e explained, asJSON bool) error {
	if asJSON {
		return writeLine(out, e)
	}
	var b strings.Builder
	line := func(name, format string, v any) { fmt.Fprintf(&b, "%-10s "+format+"\n", name, v) }
	line("Plan", "%s", e.Plan)
	line("Scope", "%s", e.Scope)
	if e.Ran {
		line("Seeks", "%d", e.Seeks)
		line("Keys", "%d", e.Keys)
		line("Documents", "%d", e.Documents)
		line("Results", "%d", e.Results)
		line("Time", "%.3f ms", e.Seconds*1000)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
