// The browser of documents: collections, the documents of one, and one document
// with the types of its fields, side by side. Each column follows what is
// written meanwhile.

import { ago, ask, bytes, copier, el, get, toast } from "./dom.js";
import { Editor } from "./editor.js";
import { justBefore, put, read, remove, split } from "./rest.js";

const pageSize = 50;

const maxValues = 3000; // of a document that can be edited

// address returns the link to a place in a database; what is something to do
// there.
export function address(database, path = "", what = "") {
  const parts = [database, ...(path ? path.split("/") : [])].map(encodeURIComponent);
  return `#/documents/${parts.join("/")}${what ? `?${what}` : ""}`;
}

export class Documents {
  constructor() {
    this.bar = el("nav", { class: "path", "aria-label": "Place" });
    this.columns = [0, 1, 2].map(() => el("div", { class: "column" }));
    this.body = el("div", { class: "columns" }, this.columns);
    this.root = el("div", { class: "documents" }, this.bar, this.body);
    this.drawn = new Map(); // part of the page → what it shows, as a text
    this.turned = new Map(); // collection → ids behind which its pages begin
    this.root.addEventListener("keydown", (e) => walk(e));
  }

  // leave asks before changes are lost, and reports whether to go.
  async leave() {
    if (!this.editor?.dirty) return true;
    return ask("Drop your changes?", "The document was changed and is not saved.", "Drop");
  }

  // show goes to a place: the database and the ids on the way there.
  show([database = "", ...ids], what) {
    Object.assign(this, { database, ids, editor: null });
    this.place = `${database}/${ids.join("/")}`;
    this.creating = what.has("new");
    this.drawn.delete(this.columns[2]);
    this.columns[2].replaceChildren();
  }

  get isDocument() {
    return this.ids.length > 0 && this.ids.length % 2 === 0;
  }

  async refresh() {
    const place = this.place;
    const state = await this.load();
    if (place !== this.place) return null; // somebody went on meanwhile
    if (state.databases.length === 0 && !this.creating) {
      this.draw(this.body, state.databases, () => [nothing()]);
      return null;
    }
    if (this.drawn.delete(this.body)) this.body.replaceChildren(...this.columns);
    this.body.dataset.depth = state.doc || this.creating ? "document" : state.collection ? "collection" : "root";
    this.draw(this.bar, [state.databases, this.ids, this.creating], () => this.path(state.databases));
    this.draw(this.columns[0], [this.database, state.parent, state.collection, state.collections], () => this.collections(state));
    this.draw(this.columns[1], [this.database, state.collection, state.documents, state.doc?.path, this.pages(state.collection)], () => this.documents(state));
    if (this.creating && !this.editor) this.create(state);
    if (this.editor) this.editor.changed?.(state.doc?.exists ? state.doc.updated : "");
    else this.draw(this.columns[2], [state.doc, state.below], () => this.document(state));
    for (const dd of this.columns[2].querySelectorAll("[data-time]")) dd.textContent = ago(dd.dataset.time);
    return null;
  }

  // draw shows a part of the page anew if it has changed.
  draw(part, state, render) {
    const text = JSON.stringify(state);
    if (this.drawn.get(part) === text) return;
    this.drawn.set(part, text);
    const focus = part.contains(document.activeElement) ? document.activeElement : null;
    const open = new Set([...part.querySelectorAll("details[open]")].map((d) => d.dataset.path));
    const closed = new Set([...part.querySelectorAll("details:not([open])")].map((d) => d.dataset.path));
    part.replaceChildren(...render().flat().filter(Boolean));
    for (const d of part.querySelectorAll("details")) d.open = open.has(d.dataset.path) || (d.open && !closed.has(d.dataset.path));
    const href = focus?.getAttribute("href");
    if (href) part.querySelector(`[href="${CSS.escape(href)}"]`)?.focus();
    else if (focus?.id) document.getElementById(focus.id)?.focus();
  }

  // pages returns where the pages of a collection begin, up to the one shown.
  pages(collection) {
    const key = `${this.database}/${collection}`;
    if (!this.turned.has(key)) this.turned.set(key, [""]);
    return this.turned.get(key);
  }

  // load asks for what the three columns show.
  async load() {
    const { databases } = await get("/v1/databases", { limit: 1000 });
    if (!this.database) this.database = databases[0]?.name ?? "projects/demo/databases/(default)";
    if (!databases.some((d) => d.name === this.database)) {
      return { databases, collection: "", parent: "", collections: { ids: [] } };
    }
    const database = this.database;
    const collection = (this.isDocument ? this.ids.slice(0, -1) : this.ids).join("/");
    const parent = collection.split("/").slice(0, -1).join("/");
    const [collections, documents, doc, below] = await Promise.all([
      get("/v1/collections", { database, parent, limit: 1000 }),
      collection ? get("/v1/documents", { database, collection, limit: pageSize, after: this.pages(collection).at(-1) }) : null,
      this.isDocument ? get("/v1/document", { database, path: this.ids.join("/") }) : null,
      this.isDocument ? get("/v1/collections", { database, parent: this.ids.join("/"), limit: 1000 }) : null,
    ]);
    return { databases, collection, parent, collections, documents, doc, below };
  }

  path(databases) {
    const known = databases.some((d) => d.name === this.database) ? databases : [...databases, { name: this.database, project: this.database.split("/")[1], id: this.database.split("/")[3] }];
    const select = el("select", { id: "database", "aria-label": "Database", onchange: (e) => (location.hash = address(e.target.value)) },
      known.map((d) => el("option", { value: d.name, selected: d.name === this.database }, `${d.project} / ${d.id}`)));
    const last = (i) => (i === this.ids.length - 1 && !this.creating ? "page" : null);
    const crumbs = this.ids.flatMap((id, i) => [el("span", { class: "sep", "aria-hidden": "true" }, "/"),
      el("a", { href: address(this.database, this.ids.slice(0, i + 1).join("/")), "aria-current": last(i) }, el("bdi", {}, id))]);
    return [select, el("a", { href: address(this.database), "aria-current": this.ids.length || this.creating ? null : "page" }, "root"), crumbs];
  }

  collections({ collections, parent, collection }) {
    const rows = collections.ids.map((id) => {
      const path = parent ? `${parent}/${id}` : id;
      return el("li", {}, el("a", { href: address(this.database, path), "aria-current": path === collection ? "true" : null }, el("span", { class: "id", dir: "auto" }, id)));
    });
    return [
      el("div", { class: "column-head" }, el("h2", {}, parent ? `Collections of ${parent}` : "Collections"),
        el("a", { class: "create", href: address(this.database, parent, "new"), title: "New collection", "aria-label": "New collection" }, "+")),
      rows.length ? el("ul", { class: "rows" }, rows) : el("p", { class: "empty" }, "No collections here."),
    ];
  }

  documents({ documents, collection, doc }) {
    if (!documents) return [];
    const pages = this.pages(collection);
    const turn = (change) => { change(); this.refresh(); };
    const rows = documents.documents.map((d) => {
      const path = `${collection}/${d.id}`;
      return el("li", {}, el("a", { href: address(this.database, path), class: d.missing ? "missing" : null, "aria-current": doc?.path === path ? "true" : null },
        el("span", { class: "id", dir: "auto" }, d.id),
        el("span", { class: "preview", dir: "auto" }, d.missing ? "does not exist, has collections" : d.preview)));
    });
    const pager = pages.length > 1 || documents.more ? el("div", { class: "pager" },
      el("button", { id: "page-before", class: "plain", disabled: pages.length === 1, onclick: () => turn(() => pages.pop()) }, "← Back"),
      el("span", {}, `Page ${pages.length}`),
      el("button", { id: "page-next", class: "plain", disabled: !documents.more, onclick: () => turn(() => pages.push(documents.documents.at(-1).id)) }, "Next →")) : null;
    return [
      el("div", { class: "column-head" }, el("h2", {}, "Documents"),
        el("a", { class: "ask", href: `#/query/${encodeURIComponent(this.database)}?q=${encodeURIComponent(JSON.stringify({ from: collection }))}` }, "Query"),
        el("a", { class: "create", href: address(this.database, collection, "new"), title: "New document", "aria-label": "New document" }, "+")),
      rows.length ? el("ul", { class: "rows" }, rows) : el("p", { class: "empty" }, pages.length > 1 ? "No documents behind this page any more." : "No documents in this collection."),
      pager,
    ];
  }

  document({ doc, below }) {
    if (!doc) return [];
    const id = this.ids.at(-1);
    const collections = below.ids.length ? [
      el("h3", {}, "Collections"),
      el("div", { class: "chips" }, below.ids.map((c) => el("a", { href: address(this.database, `${doc.path}/${c}`) }, el("bdi", {}, c)))),
    ] : [];
    const title = el("h2", { dir: "auto" }, id);
    const within = el("a", { class: "plain", href: address(this.database, doc.path, "new") }, "New collection");
    if (!doc.exists) {
      const create = el("button", { id: "create", class: "plain", onclick: () => this.edit(null) }, "Create it");
      return [el("article", { class: "doc" }, el("header", {}, title, el("div", { class: "actions" }, within, create)), el("p", { class: "facts" }, "This document does not exist."), collections)];
    }
    return [el("article", { class: "doc" },
      el("header", {}, title, el("div", { class: "actions" },
        el("button", { id: "edit", class: "plain", onclick: () => this.begin() }, "Edit"),
        copier("Copy JSON", () => doc.json), within,
        el("button", { id: "delete", class: "plain", onclick: () => this.remove(doc, below) }, "Delete"))),
      el("dl", { class: "facts" },
        when("updated", doc.updated), when("created", doc.created),
        fact("revision", String(doc.revision)), fact("size", bytes(doc.bytes))),
      el("div", { class: "fields" }, doc.fields.length ? this.fields(doc.fields, "") : el("p", { class: "empty" }, "No fields.")),
      collections)];
  }

  fields(list, at) {
    return list.map((f) => (f.type === "map" || f.type === "array" ? this.nested(f, at) : el("div", { class: "field" },
      el("span", { class: "name", dir: "auto" }, f.name),
      el("span", { class: `value ${f.type}`, dir: "auto" }, this.value(f)),
      el("span", { class: "type" }, f.type))));
  }

  nested(f, at) {
    const path = `${at}/${f.name}`;
    const n = Number(f.text);
    return el("details", { "data-path": path, open: at === "" && n > 0 && n <= 8 },
      el("summary", {},
        el("span", { class: "name", dir: "auto" }, f.name),
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

  // begin edits the document as it is now.
  async begin() {
    const path = this.ids.join("/");
    try {
      const base = await read(this.database, path);
      const n = JSON.stringify(base?.fields ?? {}).split('Value":').length - 1;
      if (n > maxValues) return toast(`${path} has about ${n} values, too many to be edited here. Use “atoll set --merge”.`);
      this.edit(base);
    } catch (e) {
      toast(`Cannot edit: ${e.message}`);
    }
  }

  edit(base) {
    const path = this.ids.join("/");
    this.open({ path, base });
  }

  // create begins a new document in the collection shown, or a new collection
  // at the root or below the document shown.
  create(state) {
    if (this.isDocument) this.open({ below: this.ids.join("/") });
    else this.open({ collection: state.collection });
  }

  open({ path, base = null, collection, below }) {
    this.editor = new Editor({
      database: this.database, path, base, collection, below,
      saved: (done) => this.saved(done),
      cancelled: async (dirty) => {
        if (dirty && !(await this.leave())) return;
        this.editor = null;
        if (this.creating) location.hash = address(this.database, this.ids.join("/"));
        else this.again("edit");
      },
    });
    this.drawn.delete(this.columns[2]);
    this.columns[2].replaceChildren(this.editor.root);
    this.editor.root.querySelector("input, textarea, select")?.focus();
  }

  // again shows the column of the document anew.
  async again(focus) {
    this.drawn.delete(this.columns[2]);
    await this.refresh().catch(() => {}); // the next round tells
    document.getElementById(focus)?.focus();
  }

  saved({ path, before, updateTime }) {
    const database = this.database;
    this.editor = null;
    toast(before ? `Saved ${path}.` : `Created ${path}.`, "Undo", () => this.undo(async () => {
      // What was before is read from the past, as the node had it.
      const then = before && await read(database, path, justBefore(updateTime));
      if (then) await put(database, path, then.fields ?? {}, { updateTime });
      else await remove(database, path, updateTime);
    }, path));
    if (this.ids.join("/") === path && !this.creating) return this.again("edit");
    location.hash = address(database, path);
  }

  async remove(doc, below) {
    const rest = below.ids.length ? ` Its collections (${below.ids.join(", ")}) stay.` : "";
    if (!(await ask("Delete this document?", `${doc.path} will be deleted.${rest}`, "Delete"))) return;
    const database = this.database;
    let time;
    try {
      time = await remove(database, doc.path, doc.updated);
    } catch (e) {
      return toast(`Not deleted: ${e.message}`);
    }
    toast(`Deleted ${doc.path}.`, "Undo", () => this.undo(async () => {
      const then = await read(database, doc.path, justBefore(time));
      await put(database, doc.path, then.fields ?? {}, { exists: false });
    }, doc.path));
    location.hash = address(database, doc.path.split("/").slice(0, -1).join("/"));
  }

  async undo(act, path) {
    try {
      await act();
      toast(`${path} is as before.`);
    } catch (e) {
      toast(`Cannot undo: ${e.message}`);
    }
    this.again();
  }
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function when(name, time) {
  return el("div", { title: time }, el("dt", {}, name), el("dd", { "data-time": time }, ago(time)));
}

function nothing() {
  return el("div", { class: "hint" },
    el("h2", {}, "No documents yet"),
    el("p", {}, "A database begins with its first document. Point a Firestore client at this node, or write one here:"),
    el("code", {}, `atoll set cities/lisbon '{"name": "Lisbon", "visits": 1}'`),
    el("p", {}, el("a", { class: "plain", href: address("projects/demo/databases/(default)", "", "new") }, "Create a document in project demo")));
}

// walk moves between the rows of a column with the arrow keys, and between
// columns with left and right.
function walk(event) {
  const here = event.target.closest?.(".rows a");
  if (!here) return;
  const row = here.closest("li");
  const column = here.closest(".column");
  const next = {
    ArrowDown: () => row.nextElementSibling?.querySelector("a, button") ?? column.querySelector(".pager button:last-child:not([disabled])"),
    ArrowUp: () => row.previousElementSibling?.querySelector("a, button"),
    ArrowLeft: () => column.previousElementSibling?.querySelector(".rows [aria-current], .rows a"),
    ArrowRight: () => column.nextElementSibling?.querySelector(".rows [aria-current], .rows a, .doc button"),
  }[event.key]?.();
  if (next) {
    next.focus();
    event.preventDefault();
  }
}
