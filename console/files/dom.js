// Small tools for the pages: elements, requests, and numbers for people.

// el makes an element. Strings become text, never markup.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}

// Failure is an answer of the node that is not a success.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // 0: no answer at all
  }
}

// get asks the node for JSON.
export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  let answer;
  try {
    answer = await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
  } catch {
    throw new Failure(0, "The node does not answer. Trying again.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Failure(401, "This session has ended. Run “atoll console” for a new link.");
  if (!answer.ok) throw new Failure(answer.status, body.error?.message ?? `The node answered ${answer.status}.`);
  return body;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

export const count = (n) => (n < 100000 ? whole.format(n) : short.format(n));

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${n >= 100 || i === 0 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

// cycles shortens a number of cycles, which a browser may not hold exactly, to
// trillions, the unit in which they are traded.
export function cycles(text) {
  return text.length <= 9 ? whole.format(Number(text)) : `${tenth.format(Number(text) / 1e12)} T`;
}

export function duration(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ago(time) {
  const ms = Date.now() - new Date(time).getTime();
  if (ms < 2000) return "now";
  if (ms < 30 * 86400000) return `${duration(ms)} ago`;
  return time.slice(0, 10);
}
