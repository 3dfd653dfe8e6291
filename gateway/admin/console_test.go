package admin_test

import (
	"encoding/json"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"atoll"
	"atoll/ask"
	"atoll/gateway/admin/plain"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/value"
)

// signedIn opens a world with the cities in a browser that has signed in.
func signedIn(t *testing.T) (*world, *tab) {
	t.Helper()
	b := newTab(t)
	w := newWorld(t, nil)
	w.fill(cities)
	b.screen(1200, 800, "light")
	b.open(w.door.Link())
	b.shows("Durable blocks")
	return w, b
}

// doc returns a document of the database demo as package plain writes it; empty
// if there is none.
func (w *world) doc(path string) string {
	w.t.Helper()
	got, err := w.host.Router.Get(w.t.Context(), demo, []atoll.Path{atoll.Path(path)}, 0, route.Caller{Principal: atoll.Anonymous})
	if err != nil {
		w.t.Fatal(err)
	}
	if got.Documents[0].Doc == nil {
		return ""
	}
	fields, err := value.DecodeDocument(got.Documents[0].Doc)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(plain.Document(nil, fields))
}

// selector names the input of a part of a field in the editor.
func selector(field, part string) string {
	return fmt.Sprintf(`[aria-label=%s]`, quoted(part+" of "+field))
}

// TestEdit changes a document with the keyboard alone, and takes it back.
func TestEdit(t *testing.T) {
	w, b := signedIn(t)
	before := w.doc("cities/porto")
	b.open(w.in("documents", "/cities/porto"))
	b.shows("Copy JSON")
	b.tabTo("#edit")
	b.press("Enter")
	b.shows("Save")
	b.tabTo(selector("population", "Value"))
	b.press("Control+a")
	b.write("231963x")
	b.press("Control+Enter")
	b.shows("an integer has digits alone")
	b.until(`document.activeElement.matches('[aria-invalid="true"]')`)
	b.press("Control+a")
	b.write("231963")
	b.press("Control+Enter")
	b.shows("Saved cities/porto")
	if got := w.doc("cities/porto"); got != strings.Replace(before, "231962", "231963", 1) {
		t.Errorf("after saving: %s", got)
	}
	b.until(`document.activeElement.id === "edit"`)
	b.tabTo(".toast button")
	b.press("Enter")
	b.shows("is as before")
	if got := w.doc("cities/porto"); got != before {
		t.Errorf("after undoing: %s", got)
	}
}

// allTypes has every type, with values that are easily lost on the way.
const allTypes = `{"a": [], "array": [1, {"deep": [true, {"$vector": [1, -0.5]}]}], "bool": false, "bytes": {"$bytes": ""}, "bytes2": {"$bytes": "AP8Q"},
	"double": 1.0, "geo": {"$geopoint": [-0.0, 180]}, "inf": {"$double": "-Infinity"}, "int": 9223372036854775807, "int2": -9223372036854775808,
	"m": {}, "map": {"": 1, "a.b": {"c": null}, "toString": 2, "constructor": 3}, "minus": -0.0, "nan": {"$double": "NaN"}, "null": null,
	"ref": {"$reference": "cities/porto"}, "ref2": {"$reference": "projects/other/databases/(default)/documents/a/b"},
	"string": "line\nline\ttab \"quoted\" \u202e<b>", "empty": "", "time": {"$timestamp": "0001-01-01T00:00:00Z"}, "time2": {"$timestamp": "9999-12-31T23:59:59.999999Z"},
	"tiny": 5e-324, "vector": {"$vector": []}, "big": 1e300}`

// TestTypes saves a document of all types as the editor shows it, and finds
// every value as it was.
func TestTypes(t *testing.T) {
	w, b := signedIn(t)
	text := strings.Replace(allTypes, `"": 1, `, "", 1) // no name is empty
	w.fill(map[string]string{"types/all": text})
	before := w.doc("types/all")
	b.open(w.in("documents", "/types/all"))
	b.shows("Copy JSON")
	b.eval(`document.getElementById("edit").click()`)
	b.shows("Save")
	b.eval(`document.querySelector(".editor .primary").click()`)
	b.shows("Saved types/all")
	if got := w.doc("types/all"); got != before {
		t.Errorf("it was\n%s\nand is\n%s", before, got)
	}
}

// TestValues holds what somebody types to what its type can hold.
func TestValues(t *testing.T) {
	_, b := signedIn(t)
	for _, c := range []struct{ kind, text, want string }{
		{"integer", " +7 ", `{"integerValue":"7"}`},
		{"integer", "9223372036854775808", "an integer has 64 bits: up to 9223372036854775807"},
		{"integer", "-9223372036854775808", `{"integerValue":"-9223372036854775808"}`},
		{"integer", "1.5", "an integer has digits alone, such as 42"},
		{"double", "nan", `{"doubleValue":"NaN"}`},
		{"double", "-0", `{"doubleValue":"-0"}`},
		{"double", "1e999", "1e999 is too large for a double"},
		{"double", "0x10", "“0x10” is no number"},
		{"double", "", "“” is no number"},
		{"timestamp", "2026-10-05t12:00:00.5z", `{"timestampValue":"2026-10-05T12:00:00.5Z"}`},
		{"timestamp", "2026-13-05T12:00:00Z", "a time has the form 2026-10-05T12:00:00Z"},
		{"timestamp", "yesterday", "a time has the form 2026-10-05T12:00:00Z"},
		{"bytes", "aGk", "bytes are typed in base64, such as aGk="},
		{"reference", "cities", "a reference is the path of a document, such as cities/lisbon"},
		{"reference", "a/b", `{"referenceValue":"D/documents/a/b"}`},
		{"geopoint", "91, 0", "a geopoint is latitude (-90 to 90) and longitude (-180 to 180), such as 38.72, -9.14"},
		{"geopoint", "1", "a geopoint is latitude (-90 to 90) and longitude (-180 to 180), such as 38.72, -9.14"},
		{"geopoint", "1, 2", `{"geoPointValue":{"latitude":1,"longitude":2}}`},
		{"string", " x ", `{"stringValue":" x "}`},
		{"boolean", "true", `{"booleanValue":true}`},
	} {
		got := b.eval(fmt.Sprintf(`import("/values.js").then((v) => { try { return JSON.stringify(v.parse(%s, %s, "D")) } catch (e) { return e.message } })`, quoted(c.kind), quoted(c.text)))
		if got != c.want {
			t.Errorf("%s %q: %v, want %s", c.kind, c.text, got, c.want)
		}
	}
	for time, want := range map[string]string{"2026-10-05T12:00:00Z": "2026-10-05T11:59:59.999999Z", "2026-10-05T12:00:00.5Z": "2026-10-05T12:00:00.499999Z"} {
		if got := b.eval(fmt.Sprintf(`import("/rest.js").then((r) => r.justBefore(%s))`, quoted(time))); got != want {
			t.Errorf("before %s comes %v", time, got)
		}
	}
}

// TestConflict lets somebody else change and delete a document while it is
// edited.
func TestConflict(t *testing.T) {
	w, b := signedIn(t)
	open := func() {
		b.open("about:blank")
		b.open(w.in("documents", "/users/ann"))
		b.shows("Copy JSON")
		b.eval(`document.getElementById("edit").click()`)
		b.until(`document.querySelector(".editor textarea")`)
		b.eval(`(() => { const box = document.querySelector(".editor textarea"); box.value = "Mine"; box.dispatchEvent(new Event("input")); })()`)
	}
	button := func(text string) {
		b.eval(fmt.Sprintf(`[...document.querySelectorAll(".problem button")].find((x) => x.textContent === %s).click()`, quoted(text)))
	}
	open()
	w.fill(map[string]string{"users/ann": `{"name": "Theirs", "age": 7}`})
	b.shows("Somebody changed this document after you began")
	b.shows("age: not there → 7")
	w.keep(b, "conflict")
	b.eval(`document.querySelector(".editor .primary").click()`) // and it is refused all the same
	b.until(`!document.querySelector(".editor .primary").disabled`)
	if got := w.doc("users/ann"); got != `{"age":7,"name":"Theirs"}` {
		t.Fatalf("overwritten: %s", got)
	}
	button("Save mine over it")
	b.shows("Saved users/ann")
	if got := w.doc("users/ann"); got != `{"name":"Mine"}` {
		t.Errorf("mine: %s", got)
	}
	open()
	w.fill(map[string]string{"users/ann": `{"name": "Theirs again"}`})
	b.shows("Somebody changed this document after you began")
	button("Drop mine and load it")
	b.until(`document.querySelector(".editor textarea").value === "Theirs again"`)
	b.eval(`document.querySelector(".editor .primary").click()`)
	b.shows("Saved users/ann")

	status, text := 0, ""
	open()
	if status, text = w.post("/data/v1/"+demo.String()+"/documents:commit", `{"writes": [{"delete": "`+demo.String()+`/documents/users/ann"}]}`); status != 200 {
		t.Fatal(text)
	}
	b.shows("Somebody deleted this document after you began")
	button("Create it again")
	b.shows("Created users/ann")
	if got := w.doc("users/ann"); got != `{"name":"Mine"}` {
		t.Errorf("again: %s", got)
	}
}

// TestCreateAndDelete makes a collection, a document that is there already, and
// deletes one, with the keyboard.
func TestCreateAndDelete(t *testing.T) {
	w, b := signedIn(t)
	b.open(w.in("documents", ""))
	b.tabTo(`[aria-label="New collection"]`)
	b.press("Enter")
	b.until(`document.activeElement.id === "new-collection"`)
	b.write("trees")
	b.press("Tab", "Control+a")
	b.write("oak")
	b.press("Tab")
	b.write("height")
	b.press("Tab", "ArrowDown") // from string to integer
	b.tabTo(selector("new field", "Value") + ", " + selector("height", "Value"))
	b.press("Control+a")
	b.write("20")
	b.press("Control+Enter")
	b.shows("Created trees/oak")
	if got := w.doc("trees/oak"); got != `{"height":20}` {
		t.Errorf("created: %s", got)
	}
	w.fill(map[string]string{"trees/elm": `{}`})
	b.shows("elm") // the list follows what others write

	b.open(w.in("documents", "/trees?new"))
	b.until(`document.activeElement.id === "new-id"`)
	b.press("Control+a")
	b.write("elm")
	b.eval(`document.querySelector(".edit-field .tool").click()`)
	b.eval(`document.querySelector(".editor .primary").click()`)
	b.shows("There is a document with this id already")
	b.press("Escape")
	b.shows("Drop your changes?")
	b.eval(`document.querySelector("dialog .danger").click()`)
	b.until(`!document.querySelector(".editor")`)

	before := w.doc("trees/oak")
	b.open("about:blank")
	b.open(w.in("documents", "/trees/oak"))
	b.shows("Copy JSON")
	b.tabTo("#delete")
	b.press("Enter")
	b.until(`document.querySelector("dialog[open]")`)
	w.keep(b, "dialog")
	b.press("Escape") // no
	b.until(`!document.querySelector("dialog")`)
	if w.doc("trees/oak") != before {
		t.Fatal("deleted without a yes")
	}
	b.tabTo("#delete")
	b.press("Enter")
	b.tabTo("dialog .danger")
	b.press("Enter")
	b.shows("Deleted trees/oak")
	w.keep(b, "toast")
	if got := w.doc("trees/oak"); got != "" {
		t.Errorf("still there: %s", got)
	}
	b.until(`document.querySelectorAll(".rows .id").length === 5`) // four collections and an elm
	b.tabTo(".toast button")
	b.press("Enter")
	b.shows("is as before")
	if got := w.doc("trees/oak"); got != before {
		t.Errorf("undone: %s", got)
	}
}

// TestPaging turns pages that follow what is written.
func TestPaging(t *testing.T) {
	w, b := signedIn(t)
	many := map[string]string{}
	for i := range 120 {
		many[fmt.Sprintf("many/%03d", i)] = fmt.Sprintf(`{"n": %d}`, i)
	}
	w.fill(many)
	b.open(w.in("documents", "/many"))
	b.shows("Page 1")
	ids := `[...document.querySelectorAll(".column:nth-child(2) .rows .id")].map((x) => x.textContent).join()`
	seen := ""
	for page := 1; page <= 3; page++ {
		b.shows(fmt.Sprintf("Page %d", page))
		b.until(fmt.Sprintf(`(%s).startsWith(%s)`, ids, quoted(fmt.Sprintf("%03d,", (page-1)*50))))
		seen += b.eval(ids).(string) + ","
		if page < 3 {
			b.tabTo("#page-next")
			b.press("Enter")
		}
	}
	if n := strings.Count(seen, ","); n != 120 {
		t.Errorf("%d documents on three pages: %s", n, seen)
	}
	w.fill(map[string]string{"many/119a": `{}`})
	b.shows("119a")
	b.tabTo("#page-before")
	b.press("Enter")
	b.shows("Page 2")
}

// hostile are texts that have broken pages.
var hostile = []string{
	`<script>window.hacked=1</script>`, `<img src=x onerror="window.hacked=1">`, `javascript:window.hacked=1`, `"><svg onload=window.hacked=1>`,
	"\u202egnp.exe\u2066", "'; window.hacked=1; '", "${window.hacked=1}", "`window.hacked=1`", "</title></style><b>", "a\u0001b\u2028c", "%00%2e%2e", "?new", "#/query",
}

// TestHostile shows, edits and queries documents whose every text wants to be
// something else.
func TestHostile(t *testing.T) {
	w, b := signedIn(t)
	documents := map[string]string{}
	fields := map[string]any{}
	for i, h := range hostile {
		fields[h] = []any{h, map[string]any{h: h, "z": 1}}
		fields[fmt.Sprintf("s%d", i)] = h
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	collection := strings.ReplaceAll(hostile[1], "/", "∕")
	for i, h := range hostile {
		documents[fmt.Sprintf("%s/%d %s", collection, i, strings.ReplaceAll(h, "/", "∕"))] = string(body)
	}
	w.fill(documents)
	safe := func(where string) {
		t.Helper()
		if bad := b.eval(`window.hacked !== undefined || document.querySelector("main img, main script, main b:not(.counted b), main title, #toast img, a[href^='javascript:'], [onerror], [onload]") !== null`); bad != false {
			t.Errorf("%s: a document became a part of the page", where)
		}
	}
	b.open(w.in("documents", "/"+url.PathEscape(collection)))
	b.shows("12 #∕query")
	safe("the list")
	for i := range hostile {
		b.eval(fmt.Sprintf(`document.querySelectorAll(".column:nth-child(2) .rows a")[%d].click()`, i))
		b.until(`document.querySelector(".doc h2")?.textContent === document.querySelector(".column:nth-child(2) [aria-current] .id")?.textContent`)
		safe("a document")
	}
	before := w.doc(firstOf(documents))
	b.until(`document.querySelector("#edit")`)
	b.eval(`document.querySelector("#edit").click()`)
	b.until(`document.querySelector(".editor .primary")`)
	safe("the editor")
	b.eval(`document.querySelector(".editor .primary").click()`)
	b.shows("Saved")
	safe("the message")
	if got := w.doc(firstOf(documents)); got != before {
		t.Errorf("saving changed\n%s\nto\n%s", before, got)
	}
	q, _ := json.Marshal(map[string]any{"from": collection, "where": map[string]any{"op": "and", "parts": []any{
		map[string]any{"field": "s0", "op": "in", "type": "string", "value": hostile[0] + "\n" + hostile[1]}}}})
	b.open(w.in("query", "?q="+url.PathEscape(string(q))))
	b.until(`document.querySelectorAll(".result tbody tr").length === ` + fmt.Sprint(len(hostile)))
	safe("a query")
	b.eval(`document.querySelector(".result tbody tr a").click()`)
	b.until(`document.querySelector(".doc h2")`)
	b.open(w.in("activity", ""))
	b.shows("Requests by what they cost")
	b.until(`document.querySelector("td.shape")`)
	safe("activity")
	if told := b.told(); len(told) > 0 {
		t.Errorf("the pages told of %q", told)
	}
}

func firstOf(documents map[string]string) (path string) {
	for p := range documents {
		if path == "" || p < path {
			path = p
		}
	}
	return path
}

// TestQueryPage builds a query with the keyboard, and opens its address anew.
func TestQueryPage(t *testing.T) {
	w, b := signedIn(t)
	b.open(w.url + "/#/query")
	b.until(`document.querySelector("#q-database")?.value`)
	b.tabTo("#q-from")
	b.write("cities")
	b.tabTo("#w-add")
	b.press("Enter")
	b.until(`document.activeElement.id === "w-0-field"`)
	b.write("population")
	b.tabTo("#w-0-op")
	b.press("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown") // >
	b.until(`document.querySelector("#w-0-op").value === ">"`)
	b.tabTo("#w-0-type")
	b.press("ArrowDown") // integer
	b.until(`document.querySelector("#w-0-type").value === "integer"`)
	b.tabTo("#w-0-value")
	b.write("150000")
	b.press("Control+Enter")
	names := `[...document.querySelectorAll(".result tbody a")].map((a) => a.textContent).join()`
	b.until(names + ` === "braga,porto,lisbon"`)
	for _, figure := range []string{"Index seeks", "Keys read", "Documents read", "Plan"} {
		b.shows(figure)
	}
	address := b.eval("location.href").(string)
	b.open("about:blank")
	b.open(address)
	b.until(names + ` === "braga,porto,lisbon"`)
	b.until(`document.querySelector("#w-0-value").value === "150000"`)
	b.tabTo("#q-count")
	b.press("Enter")
	b.shows("3 documents, without the limit")
	b.tabTo("#w-0-value")
	b.press("Control+a")
	b.write("many")
	b.press("Control+Enter")
	b.shows("population >: an integer has digits alone")
	b.tabTo("#w-0-value")
	b.press("Control+a")
	b.write("150000")
	before := b.eval(`fetch("/v1/overview").then((a) => a.json()).then((o) => o.subnets[0].time)`).(string)
	w.fill(map[string]string{"cities/big": `{"population": 10000000}`})
	b.press("Control+Enter")
	b.until(names + ` === "braga,porto,lisbon,big"`)
	b.tabTo("#q-at")
	b.write(before)
	b.press("Control+Enter")
	b.until(names + ` === "braga,porto,lisbon"`) // as it was before
	b.tabTo("#q-explain")
	b.press("Enter") // the plan alone
	b.until(`document.querySelector(".plan") && !document.querySelector(".cost dl") && !document.querySelector(".result tbody")`)
	b.open(w.in("query", "?q="+url.PathEscape(`{"from":"districts","group":true,"order":[["name","desc"]]}`)))
	b.until(names + ` === "cities/madrid/districts/sol,cities/lisbon/districts/alfama"`)
	b.eval(`document.querySelector(".result tbody a").click()`)
	b.until(`document.querySelector(".doc h2")?.textContent === "sol"`)
	for _, address := range []string{`?q={"from":7,"where":[{}],"order":"x","limit":-1}`, `?q=nonsense`, `?q={"where":{"parts":[null,{"parts":[{"parts":[{"parts":[{"parts":[{"parts":[]}]}]}]}]}]}}`} {
		b.open(w.in("query", strings.ReplaceAll(address, `"`, "%22")))
		b.until(`document.querySelector("#q-limit")?.value === "50"`)
	}
	if told := b.told(); len(told) > 1 || len(told) == 1 && !strings.Contains(told[0], "runQuery") {
		t.Errorf("the pages told of %q", told)
	}
}

// TestCode has the page write queries as code, and other people's programs read
// it.
func TestCode(t *testing.T) {
	w, b := signedIn(t)
	var parts []any
	for _, h := range hostile {
		parts = append(parts, map[string]any{"field": "`a " + strings.NewReplacer("`", "", `\`, "").Replace(h) + "`", "op": "==", "type": "string", "value": h})
	}
	for kind, text := range map[string]string{"double": "NaN", "timestamp": "2026-10-05T12:00:00Z", "geopoint": "1, -2", "reference": "cities/porto", "bytes": "aGk=", "vector": "1, 2", "null": "", "boolean": "true", "integer": "7"} {
		parts = append(parts, map[string]any{"field": "x." + kind, "op": "!=", "type": kind, "value": text})
	}
	q, err := json.Marshal(map[string]any{
		"from": "users/ann/it's", "where": map[string]any{"op": "or", "parts": []any{map[string]any{"op": "and", "parts": parts}, map[string]any{"field": "n", "op": "not-in", "type": "integer", "value": "1\n2"},
			map[string]any{"field": "n", "op": "is NaN"}}},
		"order": []any{[]string{"n", "desc"}, []string{"`x y`.z", "asc"}}, "limit": 7, "select": "n,`x y`.z", "at": "2026-10-05T12:00:00Z",
	})
	if err != nil {
		t.Fatal(err)
	}
	write := func(language string) string {
		t.Helper()
		return b.eval(fmt.Sprintf(`Promise.all([import("/code.js"), import("/query.js")]).then(([c, q]) => c.languages[%s]({ q: q.tidy(%s), database: %s, host: "127.0.0.1:4943" }))`,
			quoted(language), q, quoted(demo.String()))).(string)
	}
	code := write("Go")
	if _, err := parser.ParseFile(token.NewFileSet(), "query.go", code, parser.AllErrors); err != nil {
		t.Errorf("the Go code: %v\n%s", err, code)
	}
	if pretty, err := format.Source([]byte(code)); err == nil && string(pretty) != code {
		t.Errorf("the Go code is not as gofmt writes it:\n%s", code)
	}
	script := write("JavaScript")
	b.eval(fmt.Sprintf(`new (Object.getPrototypeOf(async function () {}).constructor)(%s)`, quoted(strings.ReplaceAll(strings.ReplaceAll(script, "import {", "var {"), "} from", "} ="))))
	for _, text := range []string{code, script, write("curl")} {
		if strings.ContainsAny(text, "\u202e\u2066\u2028\x00") {
			t.Errorf("what does not show is in the code: %q", text)
		}
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `atoll() { printf '%s\0' "$@"; }; `+write("atoll")).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(string(out), "\x00")
	if args[0] != "query" || args[1] != "users/ann/it's" || args[2] != "--where" {
		t.Fatalf("the command is %q", args)
	}
	parsed, err := ask.Parser{Database: demo}.Condition(args[3])
	if err != nil || parsed.Op != query.Or || len(parsed.Parts) != 3 || len(parsed.Parts[0].Parts) != len(parts) {
		t.Fatalf("%v in %s", err, args[3])
	}
	for i, h := range hostile {
		if v, err := value.DecodeValue(parsed.Parts[0].Parts[i].Value); err != nil || v.Str() != h {
			t.Errorf("for the command line %q became %v, %v", h, v, err)
		}
	}
	// A shell sees one address and one body, whatever is in them.
	out, err = exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$#" "$2" >&2; shift $(($# - 1)); printf '%s' "$1"; }; `+write("curl")).Output()
	if err != nil {
		t.Fatal(err)
	}
	status, answer := w.post("/data/v1/"+demo.String()+"/documents/users/ann:runQuery", string(out))
	if status != 200 && !strings.Contains(answer, "read_time") && !strings.Contains(answer, "readTime") && !strings.Contains(answer, "FAILED_PRECONDITION") && !strings.Contains(answer, "INVALID_ARGUMENT") {
		t.Errorf("%d: %s", status, answer)
	}
	var body struct{ StructuredQuery map[string]any }
	if err := json.Unmarshal(out, &body); err != nil || fmt.Sprint(body.StructuredQuery["limit"]) != "7" {
		t.Errorf("what the shell sends: %v in %s", err, out)
	}
}

// TestLarge asks for more than a page can hold, and edits what is too large for
// it.
func TestLarge(t *testing.T) {
	w, b := signedIn(t)
	large := fmt.Sprintf(`{"text": %q}`, strings.Repeat("x", 1_000_000))
	for i := range 40 {
		w.fill(map[string]string{fmt.Sprintf("large/%02d", i): large})
	}
	b.open(w.in("query", "?q="+url.PathEscape(`{"from":"large"}`)))
	b.shows("The answer has more than 32 MiB")
	b.open(w.in("query", "?q="+url.PathEscape(`{"from":"large","limit":5}`)))
	b.until(`document.querySelectorAll(".result tbody tr").length === 5`)

	w.fill(map[string]string{"many/values": `{"list": [` + strings.Repeat("1,", 4000) + `1]}`})
	b.open(w.in("documents", "/many/values"))
	b.shows("Copy JSON")
	b.eval(`document.getElementById("edit").click()`)
	b.shows("too many to be edited here")
}

// TestLeave asks before changes are lost.
func TestLeave(t *testing.T) {
	w, b := signedIn(t)
	b.open(w.in("documents", "/users/ann"))
	b.shows("Copy JSON")
	b.eval(`document.getElementById("edit").click()`)
	b.until(`document.querySelector(".editor textarea")`)
	b.eval(`(() => { const box = document.querySelector(".editor textarea"); box.value = "Mine"; box.dispatchEvent(new Event("input")); })()`)
	b.eval(`document.querySelector('[data-page="query"]').click()`)
	b.shows("Drop your changes?")
	b.press("Escape")
	b.until(`!document.querySelector("dialog") && document.querySelector(".editor textarea").value === "Mine" && location.hash.includes("users/ann")`)
	b.eval(`document.querySelector('[data-page="query"]').click()`)
	b.shows("Drop your changes?")
	b.eval(`document.querySelector("dialog .danger").click()`)
	b.until(`document.querySelector(".builder")`)
}

// TestIndexPage shows indexes with their states, and follows them.
func TestIndexPage(t *testing.T) {
	w, b := signedIn(t)
	b.open(w.in("indexes", ""))
	b.shows("Every field is indexed by itself")
	b.shows("atoll indexes apply")
	spec := shard.IndexConfig{
		Composites: []shard.CompositeIndex{{Collection: "cities", Fields: []shard.IndexedPart{{Field: "tags", Contains: true}, {Field: "population", Desc: true}}}},
		Exempt:     []shard.FieldIndex{{Collection: "cities", Field: "embedding", Off: true}, {Collection: "sessions", Field: "until", TTL: true}},
	}
	if _, err := w.host.Router.SetIndexes(t.Context(), demo, spec, route.Caller{Principal: route.Administrator}); err != nil {
		t.Fatal(err)
	}
	b.until(`[...document.querySelectorAll("#sheet-composites td")].map((x) => x.innerText.trim()).join("|").startsWith("cities|tags\ncontains") || document.querySelector("#sheet-composites td.parts")?.innerText.includes("contains")`)
	b.shows("descending")
	b.shows("not at all")
	b.shows("time to live")
	b.until(`[...document.querySelectorAll(".state .status")].every((s) => s.textContent === "ready")`)
	w.keep(b, "indexes-set")
}
