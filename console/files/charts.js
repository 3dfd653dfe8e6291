// Charts over time, drawn by hand: lines, a few gridlines, and a mark that
// follows the pointer or the arrow keys and says what was then.

import { el } from "./dom.js";

const ns = "http://www.w3.org/2000/svg";
const height = 132;
const margin = { top: 10, right: 8, bottom: 20, left: 58 };

function svg(name, attributes, ...children) {
  const node = document.createElementNS(ns, name);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  node.append(...children);
  return node;
}

// nice returns round numbers from 0 to above top, three steps at most. In bytes
// round means by powers of two.
export function nice(top, binary = false) {
  let unit = 1;
  if (binary) while (top / unit >= 1024) unit *= 1024;
  const most = Math.max(top / unit, 1e-9) / 3;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= most - 1e-12) * unit;
  const ticks = [];
  for (let v = 0; ; v += step) {
    ticks.push(v);
    if (v >= top) return ticks;
  }
}

// Chart is one chart. lines are { key, label, of } with of a function from a
// sample to a number or undefined, and format makes a number a text.
export class Chart {
  constructor({ title, lines, format, binary }) {
    Object.assign(this, { title, lines, format, binary, samples: [], chosen: null });
    this.legend = el("dl", { class: "legend" });
    this.frame = svg("svg", { class: "chart", height, tabindex: "0", role: "img" });
    this.frame.addEventListener("pointermove", (e) => this.point(e.clientX - this.frame.getBoundingClientRect().left));
    this.frame.addEventListener("pointerleave", () => this.choose(null));
    this.frame.addEventListener("blur", () => this.choose(null));
    this.frame.addEventListener("keydown", (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!step || !this.samples.length) return;
      e.preventDefault();
      this.choose(Math.min(Math.max((this.chosen ?? this.samples.length) + step, 0), this.samples.length - 1));
    });
    this.root = el("figure", { class: "plot" }, el("figcaption", {}, el("h3", {}, title), this.legend), this.frame);
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  // set shows samples from a time to another, in milliseconds; what lies more
  // than gap apart is not joined.
  set(samples, from, to, gap) {
    const at = this.chosen === null ? null : this.samples[this.chosen]?.at;
    Object.assign(this, { samples, from, to, gap });
    this.chosen = at === null ? null : samples.findIndex((s) => s.at === at);
    if (this.chosen === -1) this.chosen = null;
    this.draw();
  }

  point(x) {
    if (!this.samples.length) return;
    const at = this.from + ((x - margin.left) / this.wide) * (this.to - this.from);
    let best = 0;
    for (let i = 1; i < this.samples.length; i++) if (Math.abs(this.samples[i].at - at) < Math.abs(this.samples[best].at - at)) best = i;
    this.choose(best);
  }

  choose(i) {
    this.chosen = i;
    this.draw();
  }

  draw() {
    const width = this.root.clientWidth;
    if (!width || this.from === undefined) return;
    this.wide = width - margin.left - margin.right;
    const high = height - margin.top - margin.bottom;
    const top = Math.max(0, ...this.samples.flatMap((s) => this.lines.map((l) => l.of(s) ?? 0)));
    const ticks = nice(top || (this.binary ? 1024 : 1), this.binary);
    const x = (at) => margin.left + ((at - this.from) / (this.to - this.from)) * this.wide;
    const y = (v) => margin.top + high - (v / ticks.at(-1)) * high;
    const parts = ticks.map((v) => svg("g", { class: "tick" },
      svg("line", { x1: margin.left, x2: margin.left + this.wide, y1: y(v), y2: y(v) }),
      svg("text", { x: margin.left - 8, y: y(v) + 4, "text-anchor": "end" }, short(this.format(v)))));
    const marks = width > 520 ? 4 : 2;
    for (let i = 0; i <= marks; i++) {
      const at = this.from + ((this.to - this.from) * i) / marks;
      parts.push(svg("text", { class: "time", x: x(at), y: height - 4, "text-anchor": i === 0 ? "start" : i === marks ? "end" : "middle" }, clock(at, this.to - this.from)));
    }
    for (const [i, line] of this.lines.entries()) {
      parts.push(svg("path", { class: `series s${i}`, d: this.path(line, x, y) }));
    }
    const shown = this.chosen === null ? this.samples.at(-1) : this.samples[this.chosen];
    if (this.chosen !== null && shown) parts.push(svg("line", { class: "mark", x1: x(shown.at), x2: x(shown.at), y1: margin.top, y2: margin.top + high }));
    this.frame.setAttribute("width", width);
    this.frame.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.frame.replaceChildren(...parts);
    const values = this.lines.map((l) => [l.label, shown && l.of(shown) !== undefined ? this.format(l.of(shown), true) : "–"]);
    this.legend.replaceChildren(
      this.chosen === null || !shown ? "" : el("div", { class: "when" }, el("dt", {}, ""), el("dd", {}, clock(shown.at, 0))),
      ...values.map(([label, text], i) => el("div", { class: `s${i}` }, el("dt", {}, label), el("dd", {}, text))));
    this.frame.setAttribute("aria-label", `${this.title}${this.chosen === null ? ", now" : ` at ${clock(shown.at, 0)}`}: ${values.map((v) => v.join(" ")).join(", ")}`);
  }

  // path joins the values of a line; a value alone is a dot.
  path(line, x, y) {
    let d = "";
    let before = -Infinity;
    for (const s of this.samples) {
      const v = line.of(s);
      if (v === undefined || s.at < this.from) continue;
      const point = `${x(s.at).toFixed(1)},${y(v).toFixed(1)}`;
      d += s.at - before > this.gap ? `M${point}h0` : `L${point}`;
      before = s.at;
    }
    return d;
  }
}

// short drops what says nothing in a scale.
const short = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

function clock(at, span) {
  const time = new Date(at);
  const two = (n) => String(n).padStart(2, "0");
  const short = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return span === 0 ? `${short}:${two(time.getSeconds())}` : short;
}
