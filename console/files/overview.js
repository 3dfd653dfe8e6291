// The overview: what runs, and how much is going on right now.

import { bytes, count, cycles, duration, el, get, plural } from "./dom.js";

const span = 60; // seconds in a curve

export class Overview {
  constructor() {
    this.samples = []; // {at, reads, writes, messages}
    this.stored = { at: 0 }; // what /v1/storage told, and when
    this.root = el("div", { class: "overview" });
  }

  async refresh() {
    const now = await get("/v1/overview");
    if (now.now - this.stored.at > 10000) this.stored = { at: now.now, ...(await get("/v1/storage")) };
    this.samples.push({ at: now.now, ...now.totals, messages: sum(now.subnets, "messages") });
    this.samples = this.samples.filter((s) => s.at > now.now - (span + 2) * 1000);
    const focus = document.activeElement?.id;
    this.root.replaceChildren(
      this.figures(now),
      el("section", {}, el("h2", {}, "Subnets"), subnets(now.subnets)),
      el("section", {}, el("h2", {}, "Storage"), stores(this.stored.subnets)),
      el("section", {}, el("h2", {}, "Databases", this.stored.more ? el("small", {}, "the first of them") : null), databases(this.stored.databases)),
      el("section", {}, el("h2", {}, "Canisters", el("small", {}, programs(now.programs))), canisters(now.subnets)),
    );
    if (focus) document.getElementById(focus)?.focus();
    return now;
  }

  figures(now) {
    const disk = sum(now.subnets, "diskBytes");
    return el("dl", { class: "figures" },
      this.rate("Writes", "writes"),
      this.rate("Documents read", "reads"),
      figure("Durable blocks", count(sum(now.subnets, "height")), "", `${count(sum(now.subnets, "queued"))} messages waiting`),
      figure("On disk", bytes(disk), "", `up for ${duration(now.now - now.started)}`),
    );
  }

  rate(name, key) {
    const rates = [];
    for (let i = 1; i < this.samples.length; i++) {
      const [a, b] = [this.samples[i - 1], this.samples[i]];
      rates.push(Math.max(0, (b[key] - a[key]) / Math.max((b.at - a.at) / 1000, 0.2)));
    }
    const recent = rates.slice(-3);
    const now = recent.length ? recent.reduce((a, b) => a + b, 0) / recent.length : 0;
    return el("div", { class: "figure" },
      el("dt", {}, name),
      el("dd", {}, now > 0 && now < 10 ? now.toFixed(1) : count(now), el("small", {}, "per second")),
      spark(rates, `${name} per second over the last minute`));
  }
}

const sum = (list, key) => list.reduce((n, one) => n + one[key], 0);

function figure(name, value, unit, note) {
  return el("div", { class: "figure" },
    el("dt", {}, name),
    el("dd", {}, value, unit ? el("small", {}, unit) : null),
    el("p", { class: "note" }, note));
}

// spark draws a curve of the last minute, the newest value at the right.
function spark(values, label) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${span} 32`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const shown = values.slice(-span - 1);
  const top = Math.max(...shown, 1);
  const points = shown.map((v, i) => `${span - (shown.length - 1 - i)},${(30 - (v / top) * 27).toFixed(2)}`);
  if (points.length < 2) points.splice(0, points.length, `0,30`, `${span},30`);
  const first = points[0].split(",")[0];
  for (const [name, d] of [["area", `M${first},32 L${points.join(" L")} L${span},32 Z`], ["line", `M${points.join(" L")}`]]) {
    const path = document.createElementNS(ns, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

function table(head, rows) {
  return el("div", { class: "sheet", tabindex: "0", id: `sheet-${head[0].name}`, role: "region", "aria-label": head[0].name },
    el("table", {},
      el("thead", {}, el("tr", {}, head.map((h) => el("th", { scope: "col", class: h.num ? "num" : null }, h.name)))),
      el("tbody", {}, rows)));
}

function subnets(list) {
  const head = [{ name: "Subnet" }, { name: "Status" }, { name: "Height", num: true }, { name: "Messages", num: true },
    { name: "Waiting", num: true }, { name: "On disk", num: true }, { name: "Disk free", num: true }];
  return table(head, list.map((s) => el("tr", {},
    el("td", { class: "name" }, String(s.subnet)),
    el("td", {}, el("span", { class: `status ${s.status === "ok" ? "ok" : "failing"}` }, s.status === "ok" ? "running" : s.status),
      s.reason ? el("div", { class: "reason" }, s.reason) : null),
    el("td", { class: "num" }, count(s.height)),
    el("td", { class: "num" }, count(s.messages)),
    el("td", { class: "num" }, count(s.queued)),
    el("td", { class: "num" }, bytes(s.diskBytes)),
    el("td", { class: "num" }, s.freeBytes ? bytes(s.freeBytes) : "–"))));
}

// stores shows what lies in the store of each subnet.
function stores(list) {
  const head = [{ name: "Store" }, { name: "Files", num: true }, { name: "To replay", num: true }, { name: "To rewrite", num: true },
    { name: "Memory", num: true }, { name: "Log records", num: true }, { name: "State", num: true }];
  return table(head, list.map((s) => el("tr", {},
    el("td", { class: "name" }, `subnet ${s.subnet}`),
    ...[s.files, s.replay, s.debt, s.memory].map((n) => el("td", { class: "num" }, s.files ? bytes(n) : "–")),
    el("td", { class: "num" }, count(s.records)),
    el("td", { class: "num", title: `of ${plural(s.canister, "canister")}, as charged` }, bytes(s.state)))));
}

function databases(list) {
  if (!list.length) return el("p", { class: "empty boxed" }, "None yet. A database begins with its first document.");
  const head = [{ name: "Database" }, { name: "State", num: true }, { name: "Share", num: true }, { name: "Ranges", num: true }, { name: "Shards", num: true }];
  const all = Math.max(sum(list, "state"), 1);
  return table(head, list.map((d) => el("tr", {},
    el("td", { class: "name" }, el("a", { href: `#/documents/${encodeURIComponent(d.name)}` }, el("bdi", {}, `${d.name.split("/")[1]} / ${d.name.split("/")[3]}`))),
    el("td", { class: "num", title: "documents, their versions and index entries, as charged" }, bytes(d.state)),
    el("td", { class: "num" }, `${Math.round((100 * d.state) / all)} %`),
    el("td", { class: "num" }, count(d.ranges)),
    el("td", { class: "num" }, count(d.shards)))));
}

function canisters(list) {
  const head = [{ name: "Program" }, { name: "Canister" }, { name: "Subnet", num: true }, { name: "Executed", num: true },
    { name: "Waiting", num: true }, { name: "Stores", num: true }, { name: "Cycles", num: true }];
  const rows = list.flatMap((s) => s.canisters.map((c) => el("tr", {},
    el("td", { class: "name" }, c.program),
    el("td", { class: "id" }, c.id),
    el("td", { class: "num" }, String(s.subnet)),
    el("td", { class: "num" }, count(c.executed)),
    el("td", { class: "num" }, count(c.queued)),
    el("td", { class: "num" }, bytes(c.bytes)),
    el("td", { class: "num", title: c.cycles }, cycles(c.cycles)))));
  for (const s of list.filter((s) => s.more)) {
    rows.push(el("tr", {}, el("td", { colspan: "7" }, el("a", { href: `/debug/canisters?subnet=${s.subnet}` }, `all canisters of subnet ${s.subnet}`))));
  }
  return table(head, rows);
}

function programs(counts) {
  return Object.entries(counts).sort().map(([name, n]) => `${n} ${name}`).join(", ");
}
