package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/kv/pebble"
	"atoll/subnet"
)

// version is that of the next release until it is made.
const version = "0.1.0-dev"

// versions is what "atoll version" tells.
type versions struct {
	Version   string             `json:"version"`
	Commit    string             `json:"commit,omitempty"`
	Go        string             `json:"go"`
	Formats   formats            `json:"formats"`
	Semantics [2]atoll.Semantics `json:"semantics"` // the oldest and the newest that it executes
}

// formats are the versions of what is stored.
type formats struct {
	Record int `json:"record"` // of the log
	State  int `json:"state"`  // keys and values of a subnet
	Store  int `json:"store"`  // files
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of atoll, of its formats and of its semantics",
		Long: `version shows which atoll this is, the numbers of the formats in which it stores
data, and the versions of the rules (semantics) under which it can execute a log.
A newer atoll reads the formats of older ones; an older one refuses newer data.`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{
				Version: version, Commit: commit(), Go: runtime.Version(),
				Formats:   formats{Record: atoll.RecordFormat, State: subnet.HeadFormat, Store: pebble.Format},
				Semantics: [2]atoll.Semantics{subnet.MinSemantics, subnet.MaxSemantics},
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(v)
			}
			fmt.Fprintf(out, "atoll %s\n", v.Version)
			if v.Commit != "" {
				fmt.Fprintf(out, "commit     %s\n", v.Commit)
			}
			fmt.Fprintf(out, "go         %s\nformats    record %d, state %d, store %d\nsemantics  %d to %d\n",
				v.Go, v.Formats.Record, v.Formats.State, v.Formats.Store, v.Semantics[0], v.Semantics[1])
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer with JSON")
	return cmd
}

// commit returns the commit from which this was built, if the build knows it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var id, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			id = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " with changes"
		}
	}
	return id + dirty
}
