// Activity: what the node did over time, and which requests cost most.

import { Chart } from "./charts.js";
import { ago, bytes, choice, count, el, Failure, get, plural } from "./dom.js";

const spans = [["10m", "10 minutes", 600e3], ["1h", "1 hour", 3600e3], ["24h", "24 hours", 86400e3]];

const orders = [["load", "load of late"], ["cost", "cost since the start"], ["count", "requests"], ["time", "time"], ["keys", "keys read"],
  ["read", "documents read"], ["written", "documents written"], ["p99", "slowest hundredth"], ["errors", "errors"]];

const perSecond = (v) => (v === 0 ? "0" : v < 10 ? v.toFixed(1) : count(Math.round(v)));
const millis = (v, unit) => `${v === 0 ? "0" : v < 1 ? v.toFixed(2) : v < 10 ? v.toFixed(1) : count(Math.round(v))}${unit ? " ms" : ""}`;

export class Activity {
  constructor() {
    this.span = "10m";
    this.by = "load";
    const latency = (title, key) => new Chart({ title, format: millis,
      lines: [{ label: "half within", of: (s) => s[key]?.p50 }, { label: "99 % within", of: (s) => s[key]?.p99 }] });
    this.charts = [
      new Chart({ title: "Per second", format: perSecond, lines: [
        { label: "documents written", of: (s) => s.writes }, { label: "documents read", of: (s) => s.reads }, { label: "queries", of: (s) => s.queries }, { label: "errors", of: (s) => s.errors }] }),
      latency("Latency of writes, ms", "writeLatency"),
      latency("Latency of queries, ms", "queryLatency"),
      latency("Latency of reads, ms", "readLatency"),
      new Chart({ title: "On disk", format: bytes, binary: true, lines: [{ label: "files", of: (s) => s.disk }] }),
      new Chart({ title: "Memory", format: bytes, binary: true, lines: [{ label: "resident", of: (s) => s.memory }] }),
      new Chart({ title: "Processors in use", format: (v) => v.toFixed(2), lines: [{ label: "processors", of: (s) => s.cpu }] }),
    ];
    this.top = el("div", {});
    const tabs = el("div", { class: "tabs", role: "group", "aria-label": "Span of time" }, spans.map(([id, label]) => el("button", { type: "button", class: "tab", "data-span": id, "aria-pressed": String(id === this.span), onclick: () => {
      this.span = id;
      for (const b of tabs.children) b.setAttribute("aria-pressed", String(b.dataset.span === id));
      this.refresh();
    } }, label)));
    this.root = el("div", { class: "overview" },
      el("div", { class: "page-head" }, el("h1", {}, "Activity"), tabs),
      el("div", { class: "plots" }, this.charts.map((c) => c.root)),
      el("section", {}, el("div", { class: "page-head" }, el("h2", {}, "Requests by what they cost"),
        el("label", { class: "by" }, "by ", choice("Order of the requests", orders, this.by, (v) => { this.by = v; this.refresh(); }, { id: "top-by" }))), this.top));
  }

  async refresh() {
    const [{ samples, step, now }, top] = await Promise.all([get("/v1/samples", { span: this.span }), report(this.by)]);
    const length = spans.find(([id]) => id === this.span)[2];
    for (const c of this.charts) c.set(samples, now - length, now, 2.5 * step);
    const text = JSON.stringify(top);
    if (text !== this.shown) {
      this.shown = text;
      const scrolled = this.top.querySelector(".sheet")?.scrollLeft ?? 0;
      const focused = this.top.contains(document.activeElement);
      this.top.replaceChildren(...shapes(top));
      const sheet = this.top.querySelector(".sheet");
      if (sheet) sheet.scrollLeft = scrolled;
      if (focused) sheet?.focus();
    }
    return null;
  }
}

// report returns the dearest requests, or null if the node keeps no account.
async function report(by) {
  try {
    return await get("/v1/top", { sort: by, limit: 50 });
  } catch (e) {
    if (e instanceof Failure && (e.status === 404 || e.status === 410)) return null;
    throw e;
  }
}

const took = (micros) => (micros < 1000 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toFixed(micros < 1e4 ? 1 : 0)} ms` : `${(micros / 1e6).toFixed(1)} s`);

// shapes lists requests that differ in their values alone.
function shapes(top) {
  if (!top) return [el("p", { class: "empty" }, "This node keeps no account of requests.")];
  if (!top.shapes?.length) return [el("p", { class: "empty" }, "Nothing was asked yet.")];
  const head = [["Request"], ["Requests", true], ["Errors", true], ["Half within", true], ["99 % within", true], ["Keys each", true], ["Read each", true], ["Share of load", true], ["Last"]];
  const each = (s, key) => count(Math.round(s[key] / Math.max(s.count, 1)));
  const rows = top.shapes.map((s) => el("tr", {},
    el("td", { class: "shape" }, el("code", { title: s.text }, el("bdi", {}, s.text || s.method)), el("small", {}, el("bdi", {}, `${s.method} · ${(s.database ?? "").split("/").filter((_, i) => i % 2).join(" / ")}`))),
    el("td", { class: "num" }, count(s.count)),
    el("td", { class: `num ${s.errors ? "bad" : "none"}` }, count(s.errors)),
    el("td", { class: "num" }, took(s.p50Micros)),
    el("td", { class: "num" }, took(s.p99Micros)),
    el("td", { class: "num" }, each(s, "keys")),
    el("td", { class: "num" }, each(s, "documentsRead")),
    el("td", { class: "num" }, top.load > 0 ? `${((100 * s.load) / top.load).toFixed(s.load / top.load < 0.1 ? 1 : 0)} %` : "–"),
    el("td", {}, ago(new Date(s.last).toISOString()))));
  return [el("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": "Requests by what they cost" },
    el("table", {}, el("thead", {}, el("tr", {}, head.map(([name, num]) => el("th", { scope: "col", class: num ? "num" : null }, name)))), el("tbody", {}, rows))),
  el("p", { class: "note" }, `${plural(top.tracked, "shape")} of requests kept, ${count(top.evicted)} forgotten for want of room.`)];
}
