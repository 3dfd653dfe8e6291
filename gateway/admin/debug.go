package admin

import (
	"bytes"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"atoll"
	"atoll/gateway/admin/inspect"
	"atoll/log/local"
	"atoll/subnet"
)

//go:embed pages
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"spaces": inspect.Spaces}).ParseFS(files, "pages/*.html"))

const (
	debugBlocks    = 50  // on one page of the log
	debugKeys      = 100 // on one page of the store
	debugCanisters = 200
	debugText      = 4 << 10 // bytes shown of one value
)

// page answers with a template. An error of the template is a defect.
func (d *Door) page(w http.ResponseWriter, status int, name, title string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name+".html", map[string]any{"Title": title, "Address": d.address, "Data": data}); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

func (d *Door) style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "pages/style.css")
}

func (d *Door) debugIndex(w http.ResponseWriter, _ *http.Request) {
	d.page(w, http.StatusOK, "index", "Debug", d.source.Subnets())
}

// table is what most viewers show.
type table struct {
	Note string
	Head []string
	Rows [][]cell
	Next string // address of the next page
}

// cell is a text, which may lead somewhere.
type cell struct{ Text, Link string }

func cells(texts ...any) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i].Text = fmt.Sprint(t)
	}
	return row
}

// link returns an address of a viewer.
func link(viewer string, params ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	return "/debug/" + viewer + "?" + q.Encode()
}

// debugSubnets shows where each subnet stands.
func (d *Door) debugSubnets(w http.ResponseWriter, _ *http.Request) {
	t := table{Head: []string{"subnet", "status", "durable", "executed", "time", "reserved", "semantics", "supports", "digest", "minted", "received", "burned", "sent", "waiting", "free bytes", "scrubbed"}}
	for _, h := range d.health().Subnets {
		rep, err := d.source.Report(h.Subnet)
		if err != nil {
			continue
		}
		status := h.Status
		if h.Reason != "" {
			status += ": " + h.Reason
		}
		head := rep.Head
		scrubbed := "not yet"
		if !rep.Scrubbed.IsZero() {
			scrubbed = rep.Scrubbed.UTC().Format("2006-01-02 15:04:05Z")
		}
		t.Rows = append(t.Rows, cells(h.Subnet, status, head.Height, rep.Executed, head.Time, head.Reserved, head.Semantics,
			fmt.Sprintf("%d to %d", head.Supports[0], head.Supports[1]), head.Digest, head.Minted, head.Received, head.Burned, head.Sent,
			fmt.Sprintf("%d messages, %d bytes", rep.Queued, rep.QueuedBytes), rep.Free, scrubbed))
	}
	d.page(w, http.StatusOK, "table", "Subnets", t)
}

// subnetOf reads the parameter "subnet" and opens its newest state.
func (d *Door) subnetOf(r *http.Request) (atoll.SubnetID, State, error) {
	n, err := strconv.ParseUint(or(r.FormValue("subnet"), "0"), 10, 32)
	if err != nil {
		return 0, State{}, atoll.Errorf(atoll.Invalid, "the parameter subnet, %q, is no number", r.FormValue("subnet"))
	}
	st, err := d.source.State(r.Context(), atoll.SubnetID(n))
	return atoll.SubnetID(n), st, err
}

func or(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}

// debugCanisters shows the canisters of a subnet, with cycles and queues.
func (d *Door) debugCanisters(w http.ResponseWriter, r *http.Request) {
	after, err := principalOf(r, "after")
	if err != nil {
		fail(w, err)
		return
	}
	s, st, err := d.subnetOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	defer st.Release()
	list, err := subnet.Canisters(st, after, debugCanisters)
	if err != nil {
		fail(w, err)
		return
	}
	t := table{
		Note: fmt.Sprintf("subnet %d at height %d", s, st.Head.Height),
		Head: []string{"canister", "program", "cycles", "bytes", "waiting letters", "open calls", "deferred replies", "executed", "created", "controllers"},
	}
	for _, c := range list {
		t.Rows = append(t.Rows, cells(c.ID, c.Program, c.Cycles, c.Bytes, c.Queued, c.Open, c.Deferred, c.Executed, c.Created, c.Controllers))
	}
	if len(list) == debugCanisters {
		t.Next = link("canisters", "subnet", fmt.Sprint(s), "after", list[len(list)-1].ID.String())
	}
	d.page(w, http.StatusOK, "table", "Canisters", t)
}

func principalOf(r *http.Request, name string) (atoll.Principal, error) {
	text := r.FormValue(name)
	if text == "" {
		return "", nil
	}
	return atoll.ParsePrincipal(text)
}

// debugStreams shows how far the letters between subnets have come.
func (d *Door) debugStreams(w http.ResponseWriter, r *http.Request) {
	t := table{Head: []string{"subnet", "with", "last sent", "acknowledged", "under way", "last received"}}
	for s := range atoll.SubnetID(d.source.Subnets()) {
		st, err := d.source.State(r.Context(), s)
		if err != nil {
			fail(w, err)
			return
		}
		streams, err := subnet.Streams(st)
		st.Release()
		if err != nil {
			fail(w, err)
			return
		}
		for _, to := range slices.Sorted(maps.Keys(streams)) {
			x := streams[to]
			t.Rows = append(t.Rows, cells(s, to, x.Out, x.Acked, x.Out-x.Acked, x.In))
		}
	}
	t.Note = "Letters are numbered from 1; those under way are sent again until they are acknowledged."
	d.page(w, http.StatusOK, "table", "Streams", t)
}

// debugLog shows the last blocks of a subnet, up to the position "to".
func (d *Door) debugLog(w http.ResponseWriter, r *http.Request) {
	s, st, err := d.subnetOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	defer st.Release()
	first, last, err := local.Bounds(st)
	if err != nil {
		fail(w, err)
		return
	}
	to := last
	if text := r.FormValue("to"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			fail(w, atoll.Errorf(atoll.Invalid, "the parameter to, %q, is no position", text))
			return
		}
		to = min(atoll.Position(n), last)
	}
	from := first
	if to >= first+debugBlocks {
		from = to - debugBlocks + 1
	}
	t := table{
		Note: fmt.Sprintf("subnet %d; the log is kept from position %d to %d", s, first, last),
		Head: []string{"position", "height", "time", "epoch", "semantics", "bytes", "messages", "letters", "methods"},
	}
	for e, err := range local.Tail(st, from) {
		b, err := record(e, err)
		if err != nil {
			fail(w, err)
			return
		}
		if b.Position > to {
			break
		}
		row := cells(b.Position, b.Height, b.Time, b.Epoch, b.Semantics, b.Bytes, len(b.Messages), len(b.Letters), methods(b))
		row[0].Link = link("block", "subnet", fmt.Sprint(s), "position", fmt.Sprint(b.Position))
		t.Rows = append(t.Rows, row)
	}
	slices.Reverse(t.Rows) // newest first
	if from > first {
		t.Next = link("log", "subnet", fmt.Sprint(s), "to", fmt.Sprint(from-1))
	}
	d.page(w, http.StatusOK, "table", "Log", t)
}

// record decodes an entry, or passes the error on.
func record(e local.Entry, err error) (inspect.Block, error) {
	if err != nil {
		return inspect.Block{}, err
	}
	return inspect.Record(e)
}

// methods sums up what the messages of a block were for.
func methods(b inspect.Block) string {
	count := map[string]int{}
	for _, m := range b.Messages {
		count[m.Method]++
	}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(count)) {
		text += fmt.Sprintf("%s×%d ", name, count[name])
	}
	return text
}

// debugBlock shows one block with all its messages.
func (d *Door) debugBlock(w http.ResponseWriter, r *http.Request) {
	s, st, err := d.subnetOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	defer st.Release()
	at, err := strconv.ParseUint(r.FormValue("position"), 10, 64)
	if err != nil {
		fail(w, atoll.Errorf(atoll.Invalid, "the parameter position, %q, is no position", r.FormValue("position")))
		return
	}
	for e, err := range local.Tail(st, atoll.Position(at)) {
		b, err := record(e, err)
		if err != nil {
			fail(w, err)
			return
		}
		for i := range b.Messages {
			b.Messages[i].Payload = cut(b.Messages[i].Payload, debugText)
		}
		for i := range b.Letters {
			b.Letters[i].Payload = cut(b.Letters[i].Payload, debugText)
		}
		d.page(w, http.StatusOK, "block", fmt.Sprintf("Block %d of subnet %d", b.Height, s), b)
		return
	}
	fail(w, atoll.Errorf(atoll.NotFound, "the log of subnet %d has no record at position %d yet", s, at))
}

// debugStore shows keys and values by space, behind the key "after".
func (d *Door) debugStore(w http.ResponseWriter, r *http.Request) {
	s, st, err := d.subnetOf(r)
	if err != nil {
		fail(w, err)
		return
	}
	defer st.Release()
	name := or(r.FormValue("space"), "ranges")
	space, err := inspect.FindSpace(name)
	if err != nil {
		fail(w, err)
		return
	}
	lo := space.Lo
	if after, err := hex.DecodeString(r.FormValue("after")); err != nil {
		fail(w, atoll.Errorf(atoll.Invalid, "the parameter after is not hexadecimal"))
		return
	} else if bytes.Compare(after, lo) >= 0 {
		lo = append(after, 0)
	}
	t := table{
		Note: fmt.Sprintf("subnet %d at height %d; %s: %s", s, st.Head.Height, space.Name, space.What),
		Head: []string{"key", "bytes", "value"},
	}
	it := st.Iter(lo, space.Hi)
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		if len(t.Rows) == debugKeys {
			t.Next = link("store", "subnet", fmt.Sprint(s), "space", name, "after", hex.EncodeToString(lo))
			break
		}
		lo = bytes.Clone(it.Key())
		t.Rows = append(t.Rows, cells(inspect.Key(lo), len(it.Value()), cut(inspect.Value(lo, it.Value()), debugText)))
	}
	if err := it.Close(); err != nil {
		fail(w, err)
		return
	}
	d.page(w, http.StatusOK, "table", "Store", t)
}
