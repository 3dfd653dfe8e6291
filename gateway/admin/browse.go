package admin

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"atoll"
	"atoll/gateway/admin/plain"
	"atoll/program/accounts"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/value"
)

// What the console asks for. Numbers that may be too large for a browser are
// texts.

type overviewReply struct {
	Version  string             `json:"version"`
	Address  string             `json:"address"`
	Status   string             `json:"status"`
	Now      int64              `json:"now"`     // milliseconds since the epoch
	Started  int64              `json:"started"` // milliseconds since the epoch
	Totals   map[string]float64 `json:"totals"`
	Subnets  []subnetReply      `json:"subnets"`
	Programs map[string]int     `json:"programs"` // canisters by program
}

type subnetReply struct {
	SubnetHealth
	Time      string          `json:"time"`
	Blocks    uint64          `json:"blocks"`
	Messages  uint64          `json:"messages"`
	Queued    int             `json:"queued"`
	DiskBytes float64         `json:"diskBytes"`
	FreeBytes uint64          `json:"freeBytes"`
	Canisters []canisterReply `json:"canisters"`
	More      bool            `json:"more"` // there are more canisters
}

type canisterReply struct {
	ID       string `json:"id"`
	Program  string `json:"program"`
	Cycles   string `json:"cycles"`
	Bytes    int64  `json:"bytes"`
	Queued   int    `json:"queued"`
	Executed uint64 `json:"executed"`
}

// consoleCanisters is how many canisters of a subnet the console shows.
const consoleCanisters = 100

const (
	readsTotal  = "atoll_firestore_documents_read_total"
	writesTotal = "atoll_firestore_writes_total"

	requestsTotal = "atoll_firestore_requests_total" // by method and code
	secondsTotal  = "atoll_firestore_request_seconds"
)

func (d *Door) overview(w http.ResponseWriter, r *http.Request) {
	h := d.health()
	sums := total(d.registry, readsTotal, writesTotal)
	out := overviewReply{
		Version: d.version, Address: d.address, Status: h.Status,
		Now: time.Now().UnixMilli(), Started: d.started.UnixMilli(),
		Totals:   map[string]float64{"reads": sums[readsTotal], "writes": sums[writesTotal]},
		Programs: map[string]int{},
	}
	for _, one := range h.Subnets {
		out.Subnets = append(out.Subnets, d.subnetReply(r.Context(), one, out.Programs))
	}
	writeJSON(w, out)
}

func (d *Door) subnetReply(ctx context.Context, h SubnetHealth, programs map[string]int) subnetReply {
	out := subnetReply{SubnetHealth: h, Canisters: []canisterReply{}}
	rep, err := d.source.Report(h.Subnet)
	if err != nil {
		return out
	}
	out.Time, out.Blocks, out.Messages = rep.Head.Time.String(), rep.Blocks, rep.Messages
	out.Queued, out.FreeBytes = rep.Queued, rep.Free
	for _, f := range rep.Store {
		if f.Name == "disk_bytes" {
			out.DiskBytes = f.Value
		}
	}
	list, err := d.canisters(ctx, h.Subnet, "", consoleCanisters+1)
	if err != nil {
		return out // why has been told by health
	}
	if out.More = len(list) > consoleCanisters; out.More {
		list = list[:consoleCanisters]
	}
	for _, c := range list {
		programs[c.Program]++
		out.Canisters = append(out.Canisters, canisterReply{
			ID: c.ID.String(), Program: c.Program, Cycles: strconv.FormatUint(c.Cycles, 10),
			Bytes: c.Bytes, Queued: c.Queued, Executed: c.Executed,
		})
	}
	return out
}

// canisters returns a page of a subnet's canisters.
func (d *Door) canisters(ctx context.Context, s atoll.SubnetID, after atoll.CanisterID, limit int) ([]subnet.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	st, err := d.source.State(ctx, s)
	if err != nil {
		return nil, err
	}
	defer st.Release()
	return subnet.Canisters(st, after, limit)
}

type databasesReply struct {
	Databases []databaseReply `json:"databases"`
	More      bool            `json:"more"`
}

type databaseReply struct {
	Name    string `json:"name"`
	Project string `json:"project"`
	ID      string `json:"id"`
	Created string `json:"created"`
}

// databases lists them in the order of their names, behind the parameter after.
func (d *Door) databases(w http.ResponseWriter, r *http.Request) {
	req := accounts.ListRequest{}
	var err error
	if after := r.FormValue("after"); after != "" {
		req.After, err = atoll.ParseDatabase(after)
	}
	if err == nil {
		req.Limit, err = limitOf(r, 100, 1000)
	}
	var list accounts.ListReply
	if err == nil {
		err = d.ask(r.Context(), d.root, accounts.MethodList, req, &list)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := databasesReply{Databases: []databaseReply{}, More: list.More}
	for _, e := range list.Entries {
		out.Databases = append(out.Databases, databaseReply{e.Database.String(), e.Database.Project, e.Database.ID, e.Created.String()})
	}
	writeJSON(w, out)
}

type collectionsReply struct {
	IDs  []string `json:"ids"`
	More bool     `json:"more"`
}

// collections lists the collections below a document or the root.
func (d *Door) collections(w http.ResponseWriter, r *http.Request) {
	db, _, err := d.databaseOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	req := shard.CollectionsRequest{After: r.FormValue("after")}
	if req.Parent, err = pathOf(r, "parent", isParent, "a document"); err == nil {
		req.Limit, err = limitOf(r, 100, shard.MaxPage)
	}
	var list shard.CollectionsReply
	if err == nil {
		list, err = d.router.Collections(r.Context(), db, req, operator)
	}
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, collectionsReply{append([]string{}, list.IDs...), list.More})
}

type documentsReply struct {
	Documents []rowReply `json:"documents"`
	More      bool       `json:"more"`
}

// rowReply is a document in a list.
type rowReply struct {
	ID      string `json:"id"`
	Missing bool   `json:"missing,omitempty"` // it only has collections below it
	Updated string `json:"updated,omitempty"`
	Preview string `json:"preview,omitempty"`
}

// maxPreview is the length of a document's preview, in bytes.
const maxPreview = 160

// documents lists the documents of a collection.
func (d *Door) documents(w http.ResponseWriter, r *http.Request) {
	db, _, err := d.databaseOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	req := shard.ListRequest{After: r.FormValue("after"), Missing: true}
	if req.Collection, err = pathOf(r, "collection", atoll.Path.IsCollection, "a collection"); err == nil {
		req.Limit, err = limitOf(r, 50, 300)
	}
	var list shard.ListReply
	if err == nil {
		list, err = d.router.List(r.Context(), db, req, operator)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := documentsReply{Documents: []rowReply{}, More: list.More}
	for i := range list.Documents {
		out.Documents = append(out.Documents, row(&list.Documents[i]))
	}
	writeJSON(w, out)
}

func row(doc *shard.Document) rowReply {
	out := rowReply{ID: doc.Path.ID(), Missing: doc.Doc == nil}
	if doc.Doc == nil {
		return out
	}
	out.Updated = doc.Updated.String()
	fields, err := value.DecodeDocument(doc.Doc)
	if err != nil {
		out.Preview = "damaged: " + err.Error()
		return out
	}
	out.Preview = preview(fields)
	return out
}

// preview returns the first fields of a document on one line.
func preview(doc value.Value) string {
	var b strings.Builder
	for i := 0; i < doc.Len() && b.Len() < maxPreview; i++ {
		f := doc.Field(i)
		shown := cut(text(f.Value), maxPreview)
		switch f.Value.Kind() {
		case value.KindArray:
			shown = "[" + shown + "]"
		case value.KindMap:
			shown = "{" + shown + "}"
		}
		if i > 0 {
			b.WriteString(" · ")
		}
		b.WriteString(f.Name + " " + shown)
	}
	return cut(b.String(), maxPreview)
}

// cut shortens a text to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

type documentReply struct {
	Path     atoll.Path   `json:"path"`
	Exists   bool         `json:"exists"`
	Created  string       `json:"created,omitempty"`
	Updated  string       `json:"updated,omitempty"`
	Revision uint64       `json:"revision,omitempty"`
	Bytes    int          `json:"bytes"` // as Firestore counts them
	Fields   []fieldReply `json:"fields"`
	JSON     string       `json:"json,omitempty"`
}

// fieldReply is one field with its type. Text is for people; maps and arrays
// have Fields instead.
type fieldReply struct {
	Name   string       `json:"name"`
	Type   string       `json:"type"`
	Text   string       `json:"text,omitempty"`
	Fields []fieldReply `json:"fields,omitempty"`
}

// document returns one document with the types of its fields.
func (d *Door) document(w http.ResponseWriter, r *http.Request) {
	db, _, err := d.databaseOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	path, err := pathOf(r, "path", atoll.Path.IsDocument, "a document")
	var got shard.GetReply
	if err == nil {
		got, err = d.router.Get(r.Context(), db, []atoll.Path{path}, 0, operator)
	}
	out := documentReply{Path: path, Fields: []fieldReply{}}
	if err == nil && len(got.Documents) == 1 && got.Documents[0].Doc != nil {
		err = out.fill(&got.Documents[0])
	}
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, out)
}

func (out *documentReply) fill(doc *shard.Document) error {
	fields, err := value.DecodeDocument(doc.Doc)
	if err != nil {
		return atoll.Errorf(atoll.DataLoss, "the document %s is damaged: %v", doc.Path, err)
	}
	out.Exists, out.Revision = true, doc.Revision
	out.Created, out.Updated = doc.Created.String(), doc.Updated.String()
	out.Bytes = value.DocumentSize(doc.Path, fields)
	out.Fields = typed(fields)
	out.JSON = string(plain.Document(nil, fields))
	return nil
}

func typed(v value.Value) []fieldReply {
	out := make([]fieldReply, v.Len())
	for i := range out {
		f := value.Field{Name: strconv.Itoa(i)}
		if v.Kind() == value.KindArray {
			f.Value = v.Elem(i)
		} else {
			f = v.Field(i)
		}
		out[i] = fieldReply{Name: f.Name, Type: f.Value.Kind().String(), Text: text(f.Value)}
		if k := f.Value.Kind(); k == value.KindArray || k == value.KindMap {
			out[i].Fields = typed(f.Value)
		}
	}
	return out
}

// text returns a value for people who see its type beside it; of an array or
// map the number of its elements.
func text(v value.Value) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	switch v.Kind() {
	case value.KindArray, value.KindMap:
		return strconv.Itoa(v.Len())
	case value.KindString, value.KindReference:
		return v.Str()
	case value.KindBytes:
		return hex.EncodeToString(v.Bytes())
	case value.KindDouble:
		return number(v.Double())
	case value.KindTimestamp:
		return v.Time().Std().Format(time.RFC3339Nano)
	case value.KindGeoPoint:
		lat, lng := v.GeoPoint()
		return number(lat) + ", " + number(lng)
	case value.KindVector:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = number(v.Component(i))
		}
		return strings.Join(parts, ", ")
	}
	return v.String()
}
