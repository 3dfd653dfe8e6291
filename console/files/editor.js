// The editor of one document: its fields with their types, maps and arrays as
// deep as they go. It writes on the condition that the document is still the
// one that it began with.

import { choice, el } from "./dom.js";
import { isConflict, put, randomID, read, sameTime } from "./rest.js";
import { guess, hints, Mistake, parse, shown, textOf, typeOf, types } from "./values.js";

let serial = 0; // of nodes, for ids of elements

// Entry is one field or element while it is edited.
class Entry {
  constructor(name, type, text, children) {
    this.id = `value-${++serial}`;
    this.name = name;
    this.type = type;
    this.text = text; // of maps and arrays none
    this.children = children; // of maps and arrays alone
    this.mistake = "";
  }

  static of(name, value, database) {
    const type = typeOf(value);
    const children = type === "map" ? nodesOf(value.mapValue.fields, database)
      : type === "array" ? (value.arrayValue.values ?? []).map((v) => Entry.of("", v, database)) : null;
    return new Entry(name, type, textOf(value, database), children);
  }

  // retype keeps what it can of the value.
  retype(type) {
    if (type !== "map" && type !== "array") {
      this.text = guess(type, this.children ? "" : this.text);
      this.children = null;
    } else {
      this.children ??= [];
      for (const [i, c] of this.children.entries()) c.name ||= String(i);
    }
    this.type = type;
    this.mistake = "";
  }

  // value returns the value in REST's form; mistakes are noted where they are.
  value(database) {
    this.mistake = "";
    try {
      if (this.type === "map") return { mapValue: { fields: fieldsOf(this.children, database) } };
      if (this.type === "array") return { arrayValue: { values: this.children.map((c) => c.value(database)) } };
      return parse(this.type, this.text, database);
    } catch (e) {
      if (!(e instanceof Mistake)) throw e;
      this.mistake = e.message;
      return { nullValue: null };
    }
  }
}

const nodesOf = (fields, database) => Object.entries(fields ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, v]) => Entry.of(name, v, database));

// fieldsOf makes fields of nodes, with a mistake at each name that cannot be.
function fieldsOf(nodes, database) {
  const fields = Object.create(null); // __proto__ is a name like any other
  for (const node of nodes) {
    const value = node.value(database);
    if (!node.name) node.mistake = "a field needs a name";
    else if (node.name in fields) node.mistake = `there are two fields called “${node.name}”`;
    fields[node.name] = value;
  }
  return fields;
}

const all = (nodes) => nodes.flatMap((n) => [n, ...all(n.children ?? [])]);

export class Editor {
  // base is the document that is edited, null for a new one. A new one has a
  // path, or a collection in which it gets an id, or begins a collection below
  // a document or the root. saved and cancelled are called at the end; saved
  // with the path, the document before, and the new update time.
  constructor({ database, below, collection, path, base, saved, cancelled }) {
    Object.assign(this, { database, below, path, base, saved, cancelled });
    this.collection = collection ?? "";
    this.newCollection = !collection && !path;
    this.id = base ? "" : randomID();
    this.nodes = base ? nodesOf(base.fields, database) : [new Entry("", "string", "")];
    this.begun = this.state();
    this.problem = el("div", { class: "problem", role: "alert", hidden: true });
    this.list = el("div", { class: "edit-fields" });
    this.root = this.form();
    this.draw();
  }

  // state is what could be saved, as a text.
  state() {
    const plain = (n) => [n.name, n.type, n.children ? n.children.map(plain) : n.text];
    return JSON.stringify([this.nodes.map(plain)]);
  }

  get dirty() {
    return this.state() !== this.begun;
  }

  form() {
    const key = (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) this.save();
      else if (e.key === "Escape") this.cancelled(this.dirty);
      else return;
      e.preventDefault();
      e.stopPropagation();
    };
    const place = this.base || this.path ? null : el("div", { class: "place" },
      this.newCollection ? el("label", {}, el("span", {}, "Collection"),
        el("input", { id: "new-collection", class: "mono", autocomplete: "off", spellcheck: "false", oninput: (e) => (this.collection = e.target.value.trim()) })) : null,
      el("label", {}, el("span", {}, "Document id"),
        el("input", { id: "new-id", class: "mono", value: this.id, autocomplete: "off", spellcheck: "false", oninput: (e) => (this.id = e.target.value.trim()) })));
    this.submit = el("button", { class: "primary", title: "Ctrl + Enter" }, this.base ? "Save" : "Create");
    return el("form", { class: "editor", novalidate: true, onkeydown: key, onsubmit: (e) => { e.preventDefault(); this.save(); } },
      el("header", {}, el("h2", {}, this.base || this.path ? this.path.split("/").at(-1) : this.newCollection ? "New collection" : "New document"),
        el("div", { class: "actions" }, el("button", { type: "button", class: "plain", title: "Escape", onclick: () => this.cancelled(this.dirty) }, "Cancel"), this.submit)),
      place, this.problem, this.list);
  }

  // draw shows all rows anew, and leaves the focus where it was.
  draw(focus = document.activeElement?.id) {
    this.list.replaceChildren(...this.rows(this.nodes, "map"));
    if (focus && this.root.contains(document.getElementById(focus))) document.getElementById(focus).focus();
  }

  rows(nodes, parent) {
    const add = () => {
      const node = new Entry("", nodes.at(-1)?.type ?? "string", "");
      if (node.type === "map" || node.type === "array") node.children = [];
      node.text = guess(node.type, "");
      nodes.push(node);
      this.draw(parent === "map" ? `${node.id}-name` : `${node.id}-value`);
    };
    return [
      ...nodes.map((n, i) => this.row(n, i, nodes, parent)),
      el("button", { type: "button", class: "add", onclick: add }, parent === "map" ? "+ Field" : "+ Element"),
    ];
  }

  row(node, i, nodes, parent) {
    const what = parent === "map" ? node.name || "new field" : `element ${i}`;
    const name = parent === "map"
      ? el("input", { id: `${node.id}-name`, class: "name", value: node.name, "aria-label": "Name of the field", placeholder: "name", autocomplete: "off", spellcheck: "false", oninput: (e) => (node.name = e.target.value) })
      : el("span", { class: "name index" }, String(i));
    const move = (to) => { nodes.splice(to, 0, ...nodes.splice(i, 1)); this.draw(); };
    const tools = el("span", { class: "tools" },
      parent === "array" && i > 0 ? el("button", { id: `${node.id}-up`, type: "button", class: "tool", "aria-label": `Move ${what} up`, title: "Up", onclick: () => move(i - 1) }, "↑") : null,
      el("button", { type: "button", class: "tool", "aria-label": `Remove ${what}`, title: "Remove", onclick: () => {
        nodes.splice(i, 1);
        const next = nodes[Math.min(i, nodes.length - 1)];
        this.draw(next && `${next.id}-type`);
      } }, "×"));
    return el("div", { class: "edit-field", "data-type": node.type },
      el("div", { class: "line" }, name,
        choice(`Type of ${what}`, types, node.type, (type) => { node.retype(type); this.draw(`${node.id}-type`); }, { id: `${node.id}-type`, class: "type" }),
        this.input(node, what), tools),
      el("p", { class: "mistake", id: `${node.id}-mistake`, hidden: !node.mistake }, node.mistake),
      node.children ? el("div", { class: "inside" }, this.rows(node.children, node.type)) : null);
  }

  input(node, what) {
    const common = { id: `${node.id}-value`, class: "value", "aria-label": `Value of ${what}`, "aria-describedby": `${node.id}-mistake`, "aria-invalid": node.mistake ? "true" : null };
    const oninput = (e) => { node.text = e.target.value; grow(e.target); };
    switch (node.type) {
      case "map": case "array": return el("span", { class: "value count" }, `${node.children.length} ${node.type === "map" ? "field" : "element"}${node.children.length === 1 ? "" : "s"}`);
      case "null": return el("span", { class: "value none" }, "null");
      case "boolean": return choice(common["aria-label"], ["true", "false"], node.text, (v) => (node.text = v), { id: common.id, class: "value" });
      case "string": case "bytes": case "vector": {
        const area = el("textarea", { ...common, class: `value ${node.type === "string" ? "" : "mono"}`, rows: "1", dir: "auto", spellcheck: "false", placeholder: hints[node.type], oninput });
        area.value = node.text;
        requestAnimationFrame(() => grow(area));
        return area;
      }
    }
    const input = el("input", { ...common, class: "value mono", autocomplete: "off", spellcheck: "false", placeholder: hints[node.type], oninput });
    input.value = node.text;
    return input;
  }

  tell(...what) {
    this.problem.hidden = what.length === 0;
    this.problem.replaceChildren(...what);
    if (what.length) this.problem.scrollIntoView({ block: "nearest" });
  }

  async save() {
    const fields = fieldsOf(this.nodes, this.database);
    const wrong = all(this.nodes).find((n) => n.mistake);
    this.draw(wrong && (document.getElementById(`${wrong.id}-value`) ? `${wrong.id}-value` : `${wrong.id}-name`));
    if (wrong) return this.tell("Not saved: ", wrong.mistake, ".");
    const path = this.path || `${this.below ? `${this.below}/` : ""}${this.collection}/${this.id}`;
    if (!this.path && (!this.collection || !this.id)) return this.tell("Not saved: the document needs an id", this.newCollection ? ", and the collection too." : ".");
    this.submit.disabled = true;
    try {
      const updateTime = await put(this.database, path, fields, this.base ? { updateTime: this.base.updateTime } : { exists: false });
      this.saved({ path, before: this.base, updateTime });
    } catch (e) {
      if (isConflict(e)) await this.conflict(path, e);
      else this.tell(`Not saved: ${e.message}`);
    } finally {
      this.submit.disabled = false;
    }
  }

  // changed is told of a newer version while somebody edits.
  changed(updated) {
    if (this.base && !this.conflicting && !sameTime(updated, this.base.updateTime)) this.conflict(this.path);
  }

  // conflict says what somebody else did, and lets one choose.
  async conflict(path, failure) {
    this.conflicting = true;
    const theirs = await read(this.database, path).catch(() => undefined);
    const same = theirs && this.base && sameTime(theirs.updateTime, this.base.updateTime);
    if (theirs === undefined || same || (!theirs && !this.base)) {
      this.conflicting = false;
      return failure ? this.tell(`Not saved: ${failure.message}`) : undefined;
    }
    const keep = el("button", { type: "button", class: "plain", onclick: () => {
      this.base = theirs;
      this.conflicting = false;
      this.tell();
      this.submit.textContent = theirs ? "Save" : "Create";
      this.save();
    } }, theirs ? "Save mine over it" : "Create it again");
    const load = el("button", { type: "button", class: "plain", onclick: () => {
      this.base = theirs;
      this.conflicting = false;
      this.path = path;
      this.nodes = nodesOf(theirs.fields, this.database);
      this.begun = this.state();
      this.submit.textContent = "Save";
      this.tell();
      this.draw();
    } }, "Drop mine and load it");
    const title = !this.base ? "There is a document with this id already. Nothing was overwritten."
      : theirs ? "Somebody changed this document after you began. Your changes are still here and not saved."
        : "Somebody deleted this document after you began. Your changes are still here and not saved.";
    this.tell(el("p", {}, title),
      theirs && this.base ? el("ul", {}, differences(this.base.fields, theirs.fields, this.database)) : "",
      el("div", { class: "actions" }, this.base || !theirs ? keep : "", theirs ? load : ""));
  }
}

// differences lists what became of fields.
function differences(before = {}, now = {}, database) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  const lines = names.filter((n) => JSON.stringify(before[n]) !== JSON.stringify(now[n])).map((n) => el("li", {}, el("b", {}, el("bdi", {}, n)), ": ",
    before[n] ? el("bdi", {}, shown(before[n], database)) : "not there", " → ", now[n] ? el("bdi", {}, shown(now[n], database)) : "removed"));
  return lines.length > 8 ? [...lines.slice(0, 8), el("li", {}, `and ${lines.length - 8} more`)] : lines;
}

// grow makes a box as high as its text, up to a limit.
function grow(area) {
  if (area.tagName !== "TEXTAREA") return;
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight + 2, 320)}px`;
}
