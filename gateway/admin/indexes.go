package admin

import (
	"net/http"

	"atoll/program/shard"
	"atoll/route"
)

// administrator is in whose name the door asks for what is the installation's.
var administrator = route.Caller{Principal: route.Administrator}

type indexesReply struct {
	Version    uint64           `json:"version"` // 0: nothing was ever set
	Composites []compositeReply `json:"composites"`
	Fields     []overrideReply  `json:"fields"`
	Problem    string           `json:"problem,omitempty"`
}

type compositeReply struct {
	ID         uint32      `json:"id"`
	Collection string      `json:"collection"`
	Group      bool        `json:"group"`
	Parts      []partReply `json:"parts"`
	progressReply
}

type partReply struct {
	Field      string `json:"field"`
	Descending bool   `json:"descending,omitempty"`
	Contains   bool   `json:"contains,omitempty"`
}

type overrideReply struct {
	Collection string `json:"collection"`
	Field      string `json:"field"` // "*" is every other field
	Off        bool   `json:"off,omitempty"`
	Group      bool   `json:"group,omitempty"`
	TTL        bool   `json:"ttl,omitempty"`
	progressReply
}

// progressReply is how far an index is, over all shards.
type progressReply struct {
	State     string `json:"state"` // building, ready, failed or deleting
	Documents uint64 `json:"documents"`
	Estimate  uint64 `json:"estimate"` // 0: not known
	Entries   uint64 `json:"entries"`
	Reason    string `json:"reason,omitempty"`
}

var indexStates = map[shard.IndexState]string{
	shard.IndexBuilding: "building", shard.IndexReady: "ready", shard.IndexFailed: "failed", shard.IndexDeleting: "deleting",
}

func progressOf(p shard.IndexProgress) progressReply {
	return progressReply{indexStates[p.State], p.Documents, p.Estimate, p.Entries, p.Reason}
}

// indexes tells what is set about a database's indexes, and how far each is.
func (d *Door) indexes(w http.ResponseWriter, r *http.Request) {
	db, _, err := d.databaseOf(r)
	var set route.IndexSet
	if err == nil {
		set, err = d.router.Indexes(r.Context(), db, administrator)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := indexesReply{Version: set.Version, Composites: []compositeReply{}, Fields: []overrideReply{}, Problem: set.Problem}
	for _, c := range set.Composites {
		one := compositeReply{ID: c.Index.ID, Collection: c.Index.Collection, Group: c.Index.Group, progressReply: progressOf(c.IndexProgress)}
		for _, p := range c.Index.Fields {
			one.Parts = append(one.Parts, partReply{p.Field, p.Desc, p.Contains})
		}
		out.Composites = append(out.Composites, one)
	}
	for _, f := range set.Fields {
		out.Fields = append(out.Fields, overrideReply{f.Collection, f.Field, f.Off, f.Group, f.TTL, progressOf(f.IndexProgress)})
	}
	writeJSON(w, out)
}
