// The browser of documents: collections, the documents of one, and one document
// with the types of its fields, side by side.

import { ago, bytes, el, get } from "./dom.js";

// address returns the link to a place in a database.
export function address(database, path = "") {
  const parts = [database, ...(path ? path.split("/") : [])].map(encodeURIComponent);
  return `#/documents/${parts.join("/")}`;
}

export class Documents {
  // parts are the database and the ids on the way to the chosen place.
  constructor(parts) {
    [this.database = "", ...this.ids] = parts;
    this.limit = 50;
    this.root = el("div", { class: "documents" });
    this.shown = "";
    this.root.addEventListener("keydown", (e) => walk(e));
  }

  async refresh() {
    const state = await this.load();
    const text = JSON.stringify(state);
    if (text === this.shown) return null;
    this.shown = text;
    const focus = document.activeElement?.getAttribute?.("href");
    const open = new Set([...this.root.querySelectorAll("details[open]")].map((d) => d.dataset.path));
    this.root.replaceChildren(...this.render(state));
    for (const d of this.root.querySelectorAll("details")) if (open.has(d.dataset.path)) d.open = true;
    if (focus) this.root.querySelector(`[href="${CSS.escape(focus)}"]`)?.focus();
    return null;
  }

  // load asks for what the three columns show.
  async load() {
    const { databases } = await get("/v1/databases", { limit: 1000 });
    if (databases.length === 0) return { databases };
    if (!this.database) this.database = databases[0].name;
    const database = this.database;
    const isDocument = this.ids.length > 0 && this.ids.length % 2 === 0;
    const collection = (isDocument ? this.ids.slice(0, -1) : this.ids).join("/");
    const parent = collection.split("/").slice(0, -1).join("/");
    const [collections, documents, doc, below] = await Promise.all([
      get("/v1/collections", { database, parent, limit: 1000 }),
      collection ? get("/v1/documents", { database, collection, limit: this.limit }) : null,
      isDocument ? get("/v1/document", { database, path: this.ids.join("/") }) : null,
      isDocument ? get("/v1/collections", { database, parent: this.ids.join("/"), limit: 1000 }) : null,
    ]);
    return { databases, collection, parent, collections, documents, doc, below };
  }

  render(state) {
    if (state.databases.length === 0) return [nothing()];
    const depth = state.doc ? "document" : state.collection ? "collection" : "root";
    return [
      this.path(state.databases),
      el("div", { class: "columns", "data-depth": depth },
        el("div", { class: "column" }, el("h2", {}, state.parent ? `Collections of ${state.parent}` : "Collections"), this.collections(state)),
        el("div", { class: "column" }, state.collection ? el("h2", {}, "Documents") : null, this.documents(state)),
        el("div", { class: "column" }, this.document(state))),
    ];
  }

  path(databases) {
    const choice = el("select", { "aria-label": "Database", onchange: (e) => (location.hash = address(e.target.value)) },
      databases.map((d) => el("option", { value: d.name, selected: d.name === this.database }, `${d.project} / ${d.id}`)));
    const crumbs = this.ids.flatMap((id, i) => {
      const here = this.ids.slice(0, i + 1).join("/");
      return [el("span", { class: "sep", "aria-hidden": "true" }, "/"),
        el("a", { href: address(this.database, here), "aria-current": i === this.ids.length - 1 ? "page" : null }, id)];
    });
    const root = el("a", { href: address(this.database), "aria-current": this.ids.length ? null : "page" }, "root");
    return el("nav", { class: "path", "aria-label": "Place" }, choice, root, crumbs);
  }

  collections({ collections, parent, collection }) {
    if (!collections.ids.length) return el("p", { class: "empty" }, "No collections here.");
    return el("ul", { class: "rows" }, collections.ids.map((id) => {
      const path = parent ? `${parent}/${id}` : id;
      return el("li", {}, el("a", { href: address(this.database, path), "aria-current": path === collection ? "true" : null }, el("span", { class: "id" }, id)));
    }));
  }

  documents({ documents, collection, doc }) {
    if (!documents) return el("p", { class: "empty" });
    if (!documents.documents.length) return el("p", { class: "empty" }, "No documents in this collection.");
    const rows = documents.documents.map((d) => {
      const path = `${collection}/${d.id}`;
      return el("li", {}, el("a", { href: address(this.database, path), class: d.missing ? "missing" : null, "aria-current": doc?.path === path ? "true" : null },
        el("span", { class: "id" }, d.id),
        el("span", { class: "preview" }, d.missing ? "does not exist, has collections" : d.preview)));
    });
    if (documents.more) {
      rows.push(el("li", {}, el("button", { onclick: () => { this.limit = Math.min(this.limit + 50, 300); this.refresh(); } },
        this.limit < 300 ? "Show more" : "Only the first 300 are shown")));
    }
    return el("ul", { class: "rows" }, rows);
  }

  document({ doc, below }) {
    if (!doc) return null;
    const id = this.ids.at(-1);
    const copy = el("button", { class: "copy", onclick: async () => {
      await navigator.clipboard.writeText(doc.json);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy JSON"), 1500);
    } }, "Copy JSON");
    const collections = below.ids.length ? [
      el("h3", {}, "Collections"),
      el("div", { class: "chips" }, below.ids.map((c) => el("a", { href: address(this.database, `${doc.path}/${c}`) }, c))),
    ] : [];
    if (!doc.exists) {
      return el("article", { class: "doc" }, el("header", {}, el("h2", {}, id)), el("p", { class: "facts" }, "This document does not exist."), collections);
    }
    return el("article", { class: "doc" },
      el("header", {}, el("h2", {}, id), copy),
      el("dl", { class: "facts" },
        fact("updated", ago(doc.updated), doc.updated), fact("created", ago(doc.created), doc.created),
        fact("revision", String(doc.revision)), fact("size", bytes(doc.bytes))),
      el("div", { class: "fields" }, doc.fields.length ? this.fields(doc.fields, "") : el("p", { class: "empty" }, "No fields.")),
      collections);
  }

  fields(list, at) {
    return list.map((f) => (f.type === "map" || f.type === "array" ? this.nested(f, at) : el("div", { class: "field" },
      el("span", { class: "name" }, f.name),
      el("span", { class: `value ${f.type}` }, this.value(f)),
      el("span", { class: "type" }, f.type))));
  }

  nested(f, at) {
    const path = `${at}/${f.name}`;
    const n = Number(f.text);
    return el("details", { "data-path": path, open: at === "" && n > 0 && n <= 8 },
      el("summary", {},
        el("span", { class: "name" }, f.name),
        el("span", { class: "summary" }, `${n} ${f.type === "map" ? "field" : "element"}${n === 1 ? "" : "s"}`),
        el("span", { class: "type" }, f.type)),
      el("div", { class: "inside" }, this.fields(f.fields ?? [], path)));
  }

  value(f) {
    if (f.type === "reference") {
      const [before, path] = split(f.text);
      return before === this.database ? el("a", { href: address(before, path) }, path) : f.text;
    }
    if (f.type === "string" && !f.text) return el("span", { class: "none" }, "empty");
    return f.text ?? "";
  }
}

// split parts a document's full name into database and path.
function split(name) {
  const at = name.indexOf("/documents/");
  return at < 0 ? ["", name] : [name.slice(0, at), name.slice(at + "/documents/".length)];
}

function fact(name, value, title) {
  return el("div", { title }, el("dt", {}, name), el("dd", {}, value));
}

function nothing() {
  return el("div", { class: "hint" },
    el("h2", {}, "No documents yet"),
    el("p", {}, "A database begins with its first document. Point a Firestore client at this node, or write one here:"),
    el("code", {}, `atoll set cities/lisbon '{"name": "Lisbon", "visits": 1}'`));
}

// walk moves between the rows of a column with the arrow keys, and between
// columns with left and right.
function walk(event) {
  const here = event.target.closest?.(".rows a");
  if (!here) return;
  const row = here.closest("li");
  const column = here.closest(".column");
  const next = {
    ArrowDown: () => row.nextElementSibling?.querySelector("a, button"),
    ArrowUp: () => row.previousElementSibling?.querySelector("a, button"),
    ArrowLeft: () => column.previousElementSibling?.querySelector(".rows [aria-current], .rows a"),
    ArrowRight: () => column.nextElementSibling?.querySelector(".rows [aria-current], .rows a, summary"),
  }[event.key]?.();
  if (next) {
    next.focus();
    event.preventDefault();
  }
}
