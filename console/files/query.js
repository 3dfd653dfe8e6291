// The query builder: conditions, order and limit as rows, what the query found,
// what it cost, and the same query as code. The address carries the query.

import { choice, copier, count, el, Failure, get, plural } from "./dom.js";
import { address as place } from "./documents.js";
import { languages } from "./code.js";
import { run, split, tally } from "./rest.js";
import { hints, Mistake, parse, shown, types } from "./values.js";

const maxLimit = 1000; // documents that one page shows
const maxDepth = 3; // of groups within groups

// operators with their names in the REST interface. Unary ones take no value,
// and those of lists take one value on each line.
export const operators = {
  "==": { rest: "EQUAL" }, "!=": { rest: "NOT_EQUAL" }, "<": { rest: "LESS_THAN" }, "<=": { rest: "LESS_THAN_OR_EQUAL" },
  ">": { rest: "GREATER_THAN" }, ">=": { rest: "GREATER_THAN_OR_EQUAL" },
  in: { rest: "IN", list: true }, "not-in": { rest: "NOT_IN", list: true },
  "array-contains": { rest: "ARRAY_CONTAINS" }, "array-contains-any": { rest: "ARRAY_CONTAINS_ANY", list: true },
  "is null": { rest: "IS_NULL", unary: true }, "is not null": { rest: "IS_NOT_NULL", unary: true },
  "is NaN": { rest: "IS_NAN", unary: true }, "is not NaN": { rest: "IS_NOT_NAN", unary: true },
};

const scalar = types.filter((t) => t !== "map" && t !== "array");

const blank = () => ({ from: "", where: { op: "and", parts: [] }, order: [], limit: 50 });

// tidy makes a query of what an address says, whatever it says.
export function tidy(raw) {
  const text = (v) => (typeof v === "string" ? v : "");
  const filter = (f, depth) => {
    if (Array.isArray(f?.parts) && depth <= maxDepth) return { op: f.op === "or" ? "or" : "and", parts: f.parts.slice(0, 100).map((p) => filter(p, depth + 1)) };
    return { field: text(f?.field), op: Object.hasOwn(operators, f?.op) ? f.op : "==", type: scalar.includes(f?.type) ? f.type : "string", value: text(f?.value) };
  };
  const where = filter({ op: raw?.where?.op, parts: Array.isArray(raw?.where?.parts) ? raw.where.parts : [] }, 0);
  const order = (Array.isArray(raw?.order) ? raw.order : []).slice(0, 100).map((o) => [text(o?.[0]), o?.[1] === "desc" ? "desc" : "asc"]);
  const limit = Number(raw?.limit);
  const q = { from: text(raw?.from), where, order, limit: Number.isInteger(limit) && limit > 0 && limit <= maxLimit ? limit : 50 };
  if (raw?.group) q.group = true;
  if (text(raw?.select)) q.select = raw.select;
  if (text(raw?.at)) q.at = raw.at;
  return q;
}

// valueOf returns the value of a condition in REST's form. It throws a Mistake.
export function valueOf(f, database) {
  if (!operators[f.op].list) return parse(f.type, f.value, database);
  const lines = f.value.split("\n").filter((line) => line !== "" || f.type === "string");
  return { arrayValue: { values: lines.map((line) => parse(f.type, line, database)) } };
}

// structured returns the parent's path and the query in REST's form. It throws
// a Mistake.
export function structured(q, database) {
  const ids = q.from.split("/");
  if (ids.length % 2 === 0 || ids.some((id) => !id)) throw new Mistake("Name a collection, such as cities or users/ann/orders.");
  const filter = (f) => {
    if (f.parts) return f.parts.length ? { compositeFilter: { op: f.op.toUpperCase(), filters: f.parts.map(filter).filter(Boolean) } } : null;
    if (!f.field.trim()) throw new Mistake("A condition needs the name of a field.");
    const field = { fieldPath: f.field.trim() };
    if (operators[f.op].unary) return { unaryFilter: { field, op: operators[f.op].rest } };
    try {
      return { fieldFilter: { field, op: operators[f.op].rest, value: valueOf(f, database) } };
    } catch (e) {
      throw e instanceof Mistake ? new Mistake(`${f.field} ${f.op}: ${e.message}.`) : e;
    }
  };
  const query = { from: [{ collectionId: ids.at(-1), ...(q.group ? { allDescendants: true } : {}) }] };
  const where = filter(q.where);
  if (where) query.where = where;
  if (q.order.length) {
    query.orderBy = q.order.map(([fieldPath, direction]) => {
      if (!fieldPath.trim()) throw new Mistake("An order needs the name of a field.");
      return { field: { fieldPath: fieldPath.trim() }, direction: direction === "desc" ? "DESCENDING" : "ASCENDING" };
    });
  }
  if (q.select) query.select = { fields: q.select.split(",").map((f) => ({ fieldPath: f.trim() })) };
  query.limit = q.limit;
  return { parent: ids.slice(0, -1).join("/"), query };
}

export class Query {
  constructor() {
    this.q = blank();
    this.database = "";
    this.databases = [];
    this.language = "Go";
    this.builder = el("form", { class: "builder", onsubmit: (e) => { e.preventDefault(); this.go(); }, onkeydown: (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); this.go(); }
    } });
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.result = el("div", { class: "result", "aria-live": "polite" });
    this.code = el("section", { class: "code" });
    this.root = el("div", { class: "query" }, this.builder, this.problem, this.result, this.code);
  }

  // show takes the query from the address.
  show([database = ""], parameters) {
    let raw = null;
    try {
      raw = JSON.parse(parameters.get("q") ?? "null");
    } catch {
      raw = null; // a mistyped address is an empty query
    }
    const q = tidy(raw);
    const text = JSON.stringify([database, q]);
    if (text !== this.shown) {
      Object.assign(this, { database, q, shown: text });
      this.draw();
    }
    if (q.from && database) this.start();
  }

  async refresh() {
    const { databases } = await get("/v1/databases", { limit: 1000 });
    const text = JSON.stringify(databases);
    if (text !== JSON.stringify(this.databases) || !this.database) {
      this.databases = databases;
      this.database ||= databases[0]?.name ?? "projects/demo/databases/(default)";
      this.draw();
      await this.suggest();
    }
    return null;
  }

  // suggest offers the collections of the root while somebody types.
  async suggest() {
    const { ids } = await get("/v1/collections", { database: this.database, limit: 100 }).catch(() => ({ ids: [] }));
    this.builder.querySelector("#collections")?.replaceChildren(...ids.map((value) => el("option", { value })));
  }

  // go puts the query into the address, from where it is run.
  go(analyze = true) {
    this.analyze = analyze;
    const hash = `#/query/${encodeURIComponent(this.database)}?q=${encodeURIComponent(JSON.stringify(this.q))}`;
    this.shown = JSON.stringify([this.database, tidy(this.q)]);
    if (location.hash === hash) this.start();
    else location.hash = hash;
  }

  async start() {
    const turn = (this.turn = Symbol("a later one takes its place"));
    const analyze = this.analyze ?? true;
    this.analyze = true;
    try {
      const { parent, query } = structured(this.q, this.database);
      const before = performance.now();
      const found = await run(this.database, parent, query, { analyze, readTime: this.q.at || undefined });
      if (turn === this.turn) this.tell("", this.found(found, performance.now() - before, analyze));
    } catch (e) {
      if (!(e instanceof Mistake || e instanceof Failure)) throw e;
      if (turn === this.turn) this.tell(e.message, []);
    }
    this.drawCode();
  }

  async count() {
    try {
      const { parent, query: { limit, select, ...query } } = structured(this.q, this.database);
      const { count: n, explain } = await tally(this.database, parent, query, this.q.at || undefined);
      this.tell("", [el("p", { class: "counted" }, el("b", {}, n.toLocaleString("en")), ` document${n === 1 ? "" : "s"}, without the limit.`), figures(explain)]);
    } catch (e) {
      if (!(e instanceof Mistake || e instanceof Failure)) throw e;
      this.tell(e.message, []);
    }
  }

  tell(problem, result) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
    this.result.replaceChildren(...result);
  }

  // draw shows the builder anew, and leaves the focus where it was.
  draw(focus = document.activeElement?.id) {
    const q = this.q;
    const names = [...new Set([this.database, ...this.databases.map((d) => d.name)])].filter(Boolean);
    this.builder.replaceChildren(
      el("div", { class: "from" },
        el("label", {}, el("span", {}, "Database"), choice("Database", names.map((n) => [n, `${n.split("/")[1]} / ${n.split("/")[3]}`]), this.database, (v) => { this.database = v; this.suggest(); this.drawCode(); }, { id: "q-database" })),
        el("label", { class: "wide" }, el("span", {}, q.group ? "Collection group" : "Collection"),
          el("input", { id: "q-from", class: "mono", value: q.from, list: "collections", placeholder: "cities", autocomplete: "off", spellcheck: "false", oninput: (e) => { q.from = e.target.value.trim(); this.drawCode(); } }),
          el("datalist", { id: "collections" })),
        el("label", { class: "check" }, el("input", { id: "q-group", type: "checkbox", checked: Boolean(q.group), onchange: (e) => { if (e.target.checked) q.group = true; else delete q.group; this.draw(); this.suggest(); } }), el("span", {}, "Whole group"))),
      el("fieldset", { class: "where" }, el("legend", {}, "Where"), this.group(q.where, null, 0, "w")),
      el("fieldset", { class: "orders" }, el("legend", {}, "Order by"), this.orders()),
      el("div", { class: "rest" },
        el("label", {}, el("span", {}, "Limit"), el("input", { id: "q-limit", type: "number", min: "1", max: String(maxLimit), value: String(q.limit), oninput: (e) => { q.limit = Math.min(Math.max(Math.trunc(Number(e.target.value)) || 1, 1), maxLimit); this.drawCode(); } })),
        el("label", { class: "wide" }, el("span", {}, "Fields"), el("input", { id: "q-select", class: "mono", value: q.select ?? "", placeholder: "all", autocomplete: "off", spellcheck: "false", oninput: (e) => { q.select = e.target.value.trim() || undefined; this.drawCode(); } })),
        el("label", { class: "wide" }, el("span", {}, "Read at"), el("input", { id: "q-at", class: "mono", value: q.at ?? "", placeholder: "now", title: "a time of the last hour, such as 2026-10-05T12:00:00Z", autocomplete: "off", spellcheck: "false", oninput: (e) => { q.at = e.target.value.trim() || undefined; this.drawCode(); } })),
        el("div", { class: "actions" },
          el("button", { id: "q-count", type: "button", class: "plain", onclick: () => this.count() }, "Count"),
          el("button", { id: "q-explain", type: "button", class: "plain", title: "The plan alone, without running it", onclick: () => this.go(false) }, "Explain"),
          el("button", { id: "q-run", class: "primary", title: "Ctrl + Enter" }, "Run"))));
    if (focus) document.getElementById(focus)?.focus();
    this.drawCode();
  }

  group(g, above, depth, id) {
    const redraw = (focus) => { this.draw(focus); this.suggest(); };
    const rows = g.parts.map((p, i) => (p.parts ? this.group(p, g, depth + 1, `${id}-${i}`) : this.condition(p, g, i, `${id}-${i}`)));
    const add = (part) => { g.parts.push(part); redraw(`${id}-${g.parts.length - 1}-field`); };
    const word = choice("How the conditions are joined", [["and", "all of"], ["or", "any of"]], g.op, (v) => { g.op = v; this.drawCode(); }, { id: `${id}-op` });
    return el("div", { class: `group depth-${depth}`, role: "group", "aria-label": g.op === "or" ? "any of" : "all of" },
      depth > 0 || g.parts.length > 1 ? el("div", { class: "join" }, word, depth > 0 ? el("button", { type: "button", class: "tool", "aria-label": "Remove the group", title: "Remove", onclick: () => { above.parts.splice(above.parts.indexOf(g), 1); redraw(); } }, "×") : null) : null,
      rows,
      el("div", { class: "adds" },
        el("button", { id: `${id}-add`, type: "button", class: "add", onclick: () => add({ field: "", op: "==", type: "string", value: "" }) }, "+ Condition"),
        depth < maxDepth - 1 ? el("button", { type: "button", class: "add", onclick: () => add({ op: g.op === "or" ? "and" : "or", parts: [{ field: "", op: "==", type: "string", value: "" }] }) }, "+ Group") : null));
  }

  condition(f, g, i, id) {
    const changed = () => this.drawCode();
    const op = operators[f.op];
    const value = op.unary ? el("span", { class: "value none" })
      : op.list ? el("textarea", { id: `${id}-value`, class: "value mono", rows: "2", "aria-label": "Values", placeholder: "one value on each line", spellcheck: "false", oninput: (e) => { f.value = e.target.value; changed(); } })
        : f.type === "boolean" ? choice("Value", ["true", "false"], f.value, (v) => { f.value = v; changed(); }, { id: `${id}-value`, class: "value" })
          : f.type === "null" ? el("span", { class: "value none" }, "null")
            : el("input", { id: `${id}-value`, class: "value mono", "aria-label": "Value", placeholder: hints[f.type] ?? "", autocomplete: "off", spellcheck: "false", oninput: (e) => { f.value = e.target.value; changed(); } });
    if (value.tagName === "TEXTAREA" || value.tagName === "INPUT") value.value = f.value;
    return el("div", { class: "condition" },
      el("input", { id: `${id}-field`, class: "field-name mono", value: f.field, "aria-label": "Field", placeholder: "field", autocomplete: "off", spellcheck: "false", oninput: (e) => { f.field = e.target.value; changed(); } }),
      choice("Operator", Object.keys(operators), f.op, (v) => { f.op = v; this.draw(`${id}-op`); }, { id: `${id}-op`, class: "op" }),
      op.unary ? null : choice("Type", scalar, f.type, (v) => { f.type = v; if (v === "boolean") f.value = f.value === "true" ? "true" : "false"; this.draw(`${id}-type`); }, { id: `${id}-type`, class: "type" }),
      value,
      el("button", { type: "button", class: "tool", "aria-label": "Remove the condition", title: "Remove", onclick: () => { g.parts.splice(i, 1); this.draw(); } }, "×"));
  }

  orders() {
    const { order } = this.q;
    const rows = order.map((o, i) => el("div", { class: "order" },
      el("input", { id: `o-${i}`, class: "field-name mono", value: o[0], "aria-label": "Field", placeholder: "field", autocomplete: "off", spellcheck: "false", oninput: (e) => { o[0] = e.target.value; this.drawCode(); } }),
      choice("Direction", [["asc", "ascending"], ["desc", "descending"]], o[1], (v) => { o[1] = v; this.drawCode(); }, { id: `o-${i}-dir` }),
      el("button", { type: "button", class: "tool", "aria-label": "Remove the order", title: "Remove", onclick: () => { order.splice(i, 1); this.draw(); } }, "×")));
    return [...rows, el("button", { id: "o-add", type: "button", class: "add", onclick: () => { order.push(["", "asc"]); this.draw(`o-${order.length - 1}`); } }, "+ Field")];
  }

  // drawCode shows the query as code, as far as it is one.
  drawCode() {
    let text;
    try {
      structured(this.q, this.database);
      text = languages[this.language]({ q: this.q, database: this.database, host: location.host });
    } catch (e) {
      if (!(e instanceof Mistake)) throw e;
      this.code.replaceChildren();
      return;
    }
    const tabs = Object.keys(languages).map((name) => el("button", { type: "button", id: `code-${name}`, class: "tab", "aria-pressed": String(name === this.language), onclick: () => {
      this.language = name;
      this.drawCode();
      document.getElementById(`code-${name}`).focus();
    } }, name));
    this.code.replaceChildren(
      el("div", { class: "code-head" }, el("h2", {}, "As code"), el("div", { class: "tabs" }, tabs), copier("Copy", () => text)),
      el("pre", { tabindex: "0" }, text));
  }

  // found shows documents, and what they cost.
  found({ documents, time, explain }, took, analyzed) {
    const parts = [figures(explain, analyzed ? { documents: documents.length, took } : null)];
    if (!analyzed) return parts;
    if (!documents.length) return [...parts, el("p", { class: "empty" }, "Nothing was found.")];
    const names = new Map();
    for (const d of documents) for (const n of Object.keys(d.fields ?? {})) names.set(n, (names.get(n) ?? 0) + 1);
    const columns = [...names].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 12).map(([n]) => n);
    const more = names.size - columns.length;
    const rows = documents.map((d) => {
      const [, path] = split(d.name);
      const label = this.q.group ? path : path.split("/").at(-1);
      return el("tr", {}, el("td", { class: "name" }, el("a", { href: place(this.database, path) }, el("bdi", {}, label))),
        columns.map((n) => {
          const v = d.fields?.[n];
          return v === undefined ? el("td", { class: "none" }) : el("td", { class: "cell", title: shown(v, this.database) }, el("bdi", {}, shown(v, this.database)));
        }));
    });
    return [...parts,
      el("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": "Documents found" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Document"), columns.map((n) => el("th", { scope: "col" }, el("bdi", {}, n))))),
        el("tbody", {}, rows))),
      el("p", { class: "note" }, `Read at ${time ?? "now"}.`, more > 0 ? ` ${plural(more, "more field is", "more fields are")} in these documents.` : "",
        documents.length === this.q.limit ? " The limit was reached; there may be more." : "")];
  }
}

// figures shows what a query cost, and its plan.
function figures(explain, seen) {
  const stats = explain.executionStats;
  const debug = stats?.debugStats ?? {};
  const one = (name, value, unit) => el("div", {}, el("dt", {}, name), el("dd", {}, value, unit ? el("small", {}, unit) : null));
  const plan = (explain.planSummary?.indexesUsed ?? []).map((i) => i.properties).filter(Boolean).join("; ");
  const seconds = Number.parseFloat(stats?.executionDuration ?? "");
  return el("div", { class: "cost" },
    stats ? el("dl", {},
      seen ? one("Results", count(seen.documents)) : null,
      one("Index seeks", count(Number(debug.index_seeks ?? 0))),
      one("Keys read", count(Number(debug.index_entries_scanned ?? 0))),
      one("Documents read", count(Number(debug.documents_scanned ?? 0))),
      Number.isNaN(seconds) ? null : one("In the node", (seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0), "ms"),
      seen ? one("To this page", seen.took.toFixed(0), "ms") : null) : null,
    plan ? el("p", { class: "plan" }, el("span", {}, "Plan"), el("code", {}, plan)) : null);
}
