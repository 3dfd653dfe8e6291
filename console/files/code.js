// A query as code, for people who take it to their own program. Each language is
// a function of { q, database, host }, whose query has been checked.

import { operators, structured, valueOf } from "./query.js";
import { nameOf, split } from "./rest.js";
import { typeOf, textOf } from "./values.js";

// literal quotes a text for Go, JavaScript and JSON alike. What does not show,
// or turns the order of what is shown, is written as an escape.
export const literal = (text) => visible(JSON.stringify(text.toWellFormed()));

// visible writes what does not show in JSON as escapes.
function visible(json) {
  return json.replace(/[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// quote quotes a text for a shell.
export const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// segments parts a field path into its names; names with other characters than
// letters, digits and _ stand between backquotes.
export function segments(path) {
  const names = [];
  const one = /\s*(?:`((?:[^`\\]|\\.)*)`|([^.`]*))\s*(?:\.|$)/gsy;
  for (let m; one.lastIndex < path.length && (m = one.exec(path)); ) names.push(m[1] === undefined ? m[2].trim() : m[1].replace(/\\(.)/gs, "$1"));
  return names;
}

const simple = (path) => /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/.test(path);

// parts of the place of a query.
function place({ q, database }) {
  const [, project, , id] = database.split("/");
  const { parent, query } = structured(q, database);
  return { project, id, parent, query, collection: q.from.split("/").at(-1) };
}

const selected = (q) => (q.select ? q.select.split(",").map((s) => s.trim()) : []);

// Go for cloud.google.com/go/firestore.
function go(input) {
  const { q, database, host } = input;
  const { project, id, parent, collection } = place(input);
  const imports = new Set(["context", "fmt", "log", "cloud.google.com/go/firestore", "google.golang.org/api/iterator"]);
  const value = (v) => {
    switch (typeOf(v)) {
      case "null": return "nil";
      case "boolean": return String(v.booleanValue);
      case "integer": return `int64(${v.integerValue})`;
      case "double": {
        if (typeof v.doubleValue === "number") return `float64(${v.doubleValue})`;
        imports.add("math");
        return { NaN: "math.NaN()", Infinity: "math.Inf(1)", "-Infinity": "math.Inf(-1)", "-0": "math.Copysign(0, -1)" }[v.doubleValue];
      }
      case "string": return literal(v.stringValue);
      case "timestamp": imports.add("time"); return `at(${literal(v.timestampValue)})`;
      case "bytes": imports.add("encoding/base64"); return `raw(${literal(v.bytesValue)})`;
      case "reference": return split(v.referenceValue)[0] === database ? `client.Doc(${literal(textOf(v, database))})` : literal(v.referenceValue);
      case "geopoint": imports.add("google.golang.org/genproto/googleapis/type/latlng"); return `&latlng.LatLng{Latitude: ${v.geoPointValue.latitude}, Longitude: ${v.geoPointValue.longitude}}`;
      case "vector": return `firestore.Vector64{${textOf(v)}}`;
    }
    return `[]any{${(v.arrayValue.values ?? []).map(value).join(", ")}}`;
  };
  const unary = { "is null": ["==", "nil"], "is not null": ["!=", "nil"], "is NaN": ["==", "math.NaN()"], "is not NaN": ["!=", "math.NaN()"] };
  const filter = (f, indent) => {
    if (f.parts) {
      const inner = f.parts.filter((p) => !p.parts || p.parts.length).map((p) => `${indent}\t${filter(p, `${indent}\t`)},\n`).join("");
      return `firestore.${f.op === "or" ? "OrFilter" : "AndFilter"}{Filters: []firestore.EntityFilter{\n${inner}${indent}}}`;
    }
    const [op, v] = unary[f.op] ?? [f.op, value(valueOf(f, database))];
    if (v.startsWith("math.")) imports.add("math");
    const path = f.field.trim();
    return simple(path) ? `firestore.PropertyFilter{Path: ${literal(path)}, Operator: ${literal(op)}, Value: ${v}}`
      : `firestore.PropertyPathFilter{Path: firestore.FieldPath{${segments(path).map(literal).join(", ")}}, Operator: ${literal(op)}, Value: ${v}}`;
  };
  const base = q.group && !parent ? `client.CollectionGroup(${literal(collection)}).Query`
    : `client.Collection(${literal(q.from)}).Query`;
  const lines = [`q := ${base}`];
  if (q.group && parent) lines.unshift(`// Go's client cannot limit a collection group to what is below ${literal(parent)}.`);
  if (q.where.parts.length) lines.push(`q = q.WhereEntity(${filter(q.where, "\t")})`);
  for (const [path, direction] of q.order) {
    lines.push(simple(path.trim()) || path.trim() === "__name__" ? `q = q.OrderBy(${literal(path.trim())}, firestore.${direction === "desc" ? "Desc" : "Asc"})`
      : `q = q.OrderByPath(firestore.FieldPath{${segments(path.trim()).map(literal).join(", ")}}, firestore.${direction === "desc" ? "Desc" : "Asc"})`);
  }
  if (q.select) lines.push(`q = q.SelectPaths(${selected(q).map((s) => `firestore.FieldPath{${segments(s).map(literal).join(", ")}}`).join(", ")})`);
  lines.push(`q = q.Limit(${q.limit})`);
  if (q.at) { imports.add("time"); lines.push(`q = *q.WithReadOptions(firestore.ReadTime(at(${literal(q.at)})))`); }
  const connect = id === "(default)" ? `firestore.NewClient(ctx, ${literal(project)})` : `firestore.NewClientWithDatabase(ctx, ${literal(project)}, ${literal(id)})`;
  const helpers = [
    imports.has("time") ? `
func at(text string) time.Time {
\tt, err := time.Parse(time.RFC3339Nano, text)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\treturn t
}
` : "", imports.has("encoding/base64") ? `
func raw(text string) []byte {
\tb, err := base64.StdEncoding.DecodeString(text)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\treturn b
}
` : ""].join("");
  const list = [...imports].sort();
  const groups = [list.filter((i) => !i.includes(".")), list.filter((i) => i.includes("."))];
  return `// FIRESTORE_EMULATOR_HOST=${host} go run .
package main

import (
${groups.map((g) => g.map((i) => `\t"${i}"\n`).join("")).join("\n")})

func main() {
\tctx := context.Background()
\tclient, err := ${connect}
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tdefer client.Close()
${lines.map((l) => `\t${l}\n`).join("")}\tfor it := q.Documents(ctx); ; {
\t\tdoc, err := it.Next()
\t\tif err == iterator.Done {
\t\t\tbreak
\t\t}
\t\tif err != nil {
\t\t\tlog.Fatal(err)
\t\t}
\t\tfmt.Println(doc.Ref.ID, doc.Data())
\t}
}
${helpers}`;
}

// JavaScript for firebase/firestore.
function javascript(input) {
  const { q, database, host } = input;
  const { project, id, parent, collection } = place(input);
  const used = new Set(["connectFirestoreEmulator", "getDocs", "getFirestore", "limit", "query"]);
  const use = (name) => (used.add(name), name);
  const value = (v) => {
    switch (typeOf(v)) {
      case "null": return "null";
      case "boolean": return String(v.booleanValue);
      case "integer": return Number.isSafeInteger(Number(v.integerValue)) ? v.integerValue : `${Number(v.integerValue)} /* ${v.integerValue} is no number of JavaScript */`;
      case "double": return String(v.doubleValue);
      case "string": return literal(v.stringValue);
      case "timestamp": return `${use("Timestamp")}.fromDate(new Date(${literal(v.timestampValue)}))`;
      case "bytes": return `${use("Bytes")}.fromBase64String(${literal(v.bytesValue)})`;
      case "reference": return `${use("doc")}(db, ${literal(textOf(v, database))})`;
      case "geopoint": return `new ${use("GeoPoint")}(${v.geoPointValue.latitude}, ${v.geoPointValue.longitude})`;
      case "vector": return `${use("vector")}([${textOf(v)}])`;
    }
    return `[${(v.arrayValue.values ?? []).map(value).join(", ")}]`;
  };
  const field = (path) => (path === "__name__" ? `${use("documentId")}()` : simple(path) ? literal(path) : `new ${use("FieldPath")}(${segments(path).map(literal).join(", ")})`);
  const unary = { "is null": ["==", "null"], "is not null": ["!=", "null"], "is NaN": ["==", "NaN"], "is not NaN": ["!=", "NaN"] };
  const filter = (f) => {
    if (f.parts) return `${use(f.op)}(${f.parts.filter((p) => !p.parts || p.parts.length).map(filter).join(", ")})`;
    const [op, v] = unary[f.op] ?? [f.op, value(valueOf(f, database))];
    return `${use("where")}(${field(f.field.trim())}, ${literal(op)}, ${v})`;
  };
  const lines = [q.group ? `${use("collectionGroup")}(db, ${literal(collection)})` : `${use("collection")}(db, ${literal(q.from)})`];
  const parts = q.where.parts.filter((p) => !p.parts || p.parts.length);
  if (parts.length && q.where.op === "and" && parts.every((p) => !p.parts)) lines.push(...parts.map(filter));
  else if (parts.length) lines.push(filter(q.where));
  for (const [path, direction] of q.order) lines.push(`${use("orderBy")}(${field(path.trim())}, ${literal(direction)})`);
  lines.push(`limit(${q.limit})`);
  const [hostname, port] = [host.replace(/:\d+$/, ""), /:(\d+)$/.exec(host)?.[1] ?? "80"];
  const notes = [
    q.group && parent ? `// Below ${literal(parent)} alone: this client has no way to say so.\n` : "",
    q.select ? `// Fields ${literal(q.select)} alone: this client always gets all fields.\n` : "",
    q.at ? `// As of ${literal(q.at)}: this client always reads what is now.\n` : "",
  ].join("");
  return `import { initializeApp } from "firebase/app";
import {
  ${[...used].sort().join(", ")},
} from "firebase/firestore";

const db = getFirestore(initializeApp({ projectId: ${literal(project)} })${id === "(default)" ? "" : `, ${literal(id)}`});
connectFirestoreEmulator(db, ${literal(hostname)}, ${port});
${notes}const found = await getDocs(query(
${lines.map((l) => `  ${l},\n`).join("")}));
for (const d of found.docs) console.log(d.id, d.data());
`;
}

// curl for Firestore's REST interface.
function curl(input) {
  const { q, database, host } = input;
  const { parent, query } = place(input);
  const body = visible(JSON.stringify({ structuredQuery: query, ...(q.at ? { readTime: q.at } : {}) }, null, 1));
  const path = [...(parent ? nameOf(database, parent) : `${database}/documents`).split("/")].map(encodeURIComponent).join("/");
  return `# With "atoll serve": its address, and the administrator's key in place of owner.
curl -s ${quote(`http://${host}/v1/${path}:runQuery`)} \\
  -H 'Authorization: Bearer owner' -H 'Content-Type: application/json' -d ${quote(body)}
`;
}

// The command line's own query; its grammar is that of package ask.
function atoll(input) {
  const { q, database, host } = input;
  const { project, id } = place(input);
  const value = (v) => {
    switch (typeOf(v)) {
      case "null": return "null";
      case "double": {
        const text = textOf(v);
        return /^-?\d+$/.test(text) ? `${text}.0` : text;
      }
      case "string": return literal(v.stringValue);
      case "timestamp": return `timestamp(${literal(v.timestampValue)})`;
      case "bytes": return `bytes(${literal(v.bytesValue)})`;
      case "reference": return `reference(${literal(textOf(v, database))})`;
      case "geopoint": return `geopoint(${textOf(v)})`;
      case "vector": return textOf(v) ? `vector(${textOf(v)})` : '{"$vector": []}';
      case "array": return `[${(v.arrayValue.values ?? []).map(value).join(", ")}]`;
    }
    return textOf(v);
  };
  const unary = { "is null": "== null", "is not null": "!= null", "is NaN": "== NaN", "is not NaN": "!= NaN" };
  const filter = (f) => {
    if (!f.parts) return `${f.field.trim()} ${unary[f.op] ?? `${f.op} ${value(valueOf(f, database))}`}`;
    const parts = f.parts.filter((p) => !p.parts || p.parts.length);
    return parts.map((p) => (p.parts?.length > 1 ? `(${filter(p)})` : filter(p))).join(` ${f.op} `);
  };
  const flag = (name, text) => (text ? ` \\\n  ${name} ${quote(text)}` : "");
  const ids = q.from.split("/");
  const command = q.group ? `atoll query ${quote(ids.at(-1))} --group${flag("--parent", ids.slice(0, -1).join("/"))}` : `atoll query ${quote(q.from)}`;
  return `${command}${flag("--where", filter(q.where))}${flag("--order", q.order.map(([f, d]) => (d === "desc" ? `${f.trim()} desc` : f.trim())).join(", "))}${flag("--select", q.select)}${flag("--at", q.at)} \\
  --limit ${q.limit} --addr ${quote(host)} --project ${quote(project)}${id === "(default)" ? "" : ` --database ${quote(id)}`}
`;
}

export const languages = { Go: go, JavaScript: javascript, curl, atoll };
