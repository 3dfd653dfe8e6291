// Indexes: what is set about a database's indexes, and how far each is built.

import { choice, count, el, get, plural } from "./dom.js";

export class Indexes {
  constructor() {
    this.database = "";
    this.root = el("div", { class: "overview" });
  }

  show([database = ""]) {
    this.database = database;
  }

  async refresh() {
    const { databases } = await get("/v1/databases", { limit: 1000 });
    this.database ||= databases[0]?.name ?? "";
    const set = databases.some((d) => d.name === this.database) ? await get("/v1/indexes", { database: this.database }) : null;
    const text = JSON.stringify([this.database, databases, set]);
    if (text === this.shown) return null;
    this.shown = text;
    const focus = document.activeElement?.id;
    this.root.replaceChildren(
      el("div", { class: "page-head" }, el("h1", {}, "Indexes"),
        databases.length ? choice("Database", databases.map((d) => [d.name, `${d.project} / ${d.id}`]), this.database, (v) => (location.hash = `#/indexes/${encodeURIComponent(v)}`), { id: "index-database" }) : null),
      ...(set ? [
        el("p", { class: "lead" }, "Every field is indexed by itself, ascending, descending and by array element. What follows is set besides."),
        set.problem ? el("p", { class: "problem" }, set.problem) : "",
        el("section", {}, el("h2", {}, "Composite indexes", el("small", {}, plural(set.composites.length, "index", "indexes"))), composites(set.composites)),
        el("section", {}, el("h2", {}, "Fields indexed otherwise", el("small", {}, plural(set.fields.length, "field"))), fields(set.fields)),
      ] : [el("p", { class: "empty" }, "No database yet. It begins with its first document.")]));
    if (focus) document.getElementById(focus)?.focus();
    return null;
  }
}

function table(label, head, rows) {
  return el("div", { class: "sheet", id: `sheet-${label}`, tabindex: "0", role: "region", "aria-label": label },
    el("table", {}, el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col" }, h)))), el("tbody", {}, rows)));
}

function composites(list) {
  if (!list.length) return el("div", { class: "hint-box" }, el("p", {}, "None. A query that no single index answers well can be given one, in the file of Firebase's tools:"), el("code", {}, "atoll indexes apply firestore.indexes.json --wait"));
  return table("composites", ["Collection", "Fields", "For", "State"], list.map((c) => el("tr", {},
    el("td", { class: "name" }, el("bdi", {}, c.collection)),
    el("td", { class: "parts" }, c.parts.map((p) => el("span", { class: "part" }, el("bdi", {}, p.field), el("small", {}, p.contains ? "contains" : p.descending ? "descending" : "ascending")))),
    el("td", {}, c.group ? "collection group" : "collection"),
    el("td", {}, state(c)))));
}

function fields(list) {
  if (!list.length) return el("p", { class: "empty boxed" }, "None.");
  return table("fields", ["Collection", "Field", "Indexed", "State"], list.map((f) => el("tr", {},
    el("td", { class: "name" }, el("bdi", {}, f.collection)),
    el("td", { class: "id" }, el("bdi", {}, f.field === "*" ? "all others" : f.field)),
    el("td", {}, [f.off ? "not at all" : f.group ? "collection and group" : "collection", f.ttl ? "time to live" : ""].filter(Boolean).join(" · ")),
    el("td", {}, state(f)))));
}

// state shows how far an index is.
function state(i) {
  const words = { building: "building", ready: "ready", failed: "failed", deleting: "being deleted" };
  const parts = [el("span", { class: `status ${{ ready: "ok", failed: "failing", building: "busy", deleting: "busy" }[i.state] ?? ""}` }, words[i.state] ?? i.state)];
  if (i.state === "building") {
    if (i.estimate > 0) parts.push(el("progress", { value: String(Math.min(i.documents, i.estimate)), max: String(i.estimate), "aria-label": "documents looked at" }));
    parts.push(el("small", { class: "progress" }, i.estimate > 0 ? `${count(i.documents)} of about ${plural(i.estimate, "document")}` : `${plural(i.documents, "document")} looked at`));
  } else if (i.state === "deleting") parts.push(el("small", { class: "progress" }, `${plural(i.entries, "entry", "entries")} removed`));
  if (i.reason) parts.push(el("div", { class: "reason" }, i.reason));
  return el("div", { class: "state" }, parts);
}
