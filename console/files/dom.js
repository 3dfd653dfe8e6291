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
  constructor(status, message, kind = "") {
    super(message);
    this.status = status; // 0: no answer at all
    this.kind = kind; // as in google.rpc.Code, if the node told it
  }
}

// get asks the node for JSON.
export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return answerOf(query ? `${path}?${query}` : path, {});
}

// post sends JSON to the node and returns what it answers.
export function post(path, body) {
  return answerOf(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

// maxAnswer is how much of an answer a page takes, in bytes.
const maxAnswer = 32 << 20;

async function answerOf(path, options) {
  const stop = new AbortController();
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: stop.signal, headers: { Accept: "application/json", ...options.headers } });
  } catch {
    throw new Failure(0, "The node does not answer. Trying again.");
  }
  if (answer.status === 401) throw new Failure(401, "This session has ended. Run “atoll console” for a new link.");
  let size = 0;
  const counted = new TransformStream({ transform(chunk, out) {
    size += chunk.byteLength;
    if (size > maxAnswer) stop.abort();
    else out.enqueue(chunk);
  } });
  const body = await new Response(answer.body?.pipeThrough(counted)).json().catch(() => null);
  if (size > maxAnswer) throw new Failure(answer.status, "The answer has more than 32 MiB, too much for a page. Ask for fewer documents, or for some of their fields.");
  // A stream that fails ends in an element with the error.
  const error = (Array.isArray(body) ? body.at(-1) : body)?.error;
  if (error) throw new Failure(answer.status, error.message, error.status ?? error.kind);
  if (!answer.ok || body === null) throw new Failure(answer.status, `The node's answer (${answer.status}) ended early.`);
  return body;
}

// plural counts things.
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// choice makes a list to choose from; options are texts, or pairs of value and
// text.
export function choice(label, options, chosen, onchange, more = {}) {
  return el("select", { "aria-label": label, ...more, onchange: (e) => onchange(e.target.value) },
    options.map((o) => (Array.isArray(o) ? o : [o, o])).map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

// ask shows a question over the page, and resolves to whether the answer is yes.
export function ask(title, text, verb) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "asked", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      el("form", { method: "dialog" },
        el("h2", { id: "asked" }, title),
        el("p", {}, text),
        el("div", { class: "actions" },
          el("button", { value: "no", class: "plain", autofocus: true }, "Cancel"),
          el("button", { value: "yes", class: "danger" }, verb))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

// toast tells what was done, and offers to undo it. The next one takes its
// place.
export function toast(text, verb, act) {
  const at = document.getElementById("toast");
  clearTimeout(toast.timer);
  const hide = () => at.replaceChildren();
  at.replaceChildren(el("div", { class: "toast" }, el("span", {}, text),
    verb ? el("button", { onclick: () => { hide(); act(); } }, verb) : null,
    el("button", { class: "close", "aria-label": "Close", onclick: hide }, "×")));
  toast.timer = setTimeout(hide, verb ? 30000 : 6000);
}

// copier makes a button that copies a text.
export function copier(label, text) {
  const button = el("button", { class: "plain copy", type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  } }, label);
  return button;
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
