// The console: which page is shown, and asking for news while somebody looks.

import { Activity } from "./activity.js";
import { Documents } from "./documents.js";
import { get } from "./dom.js";
import { Indexes } from "./indexes.js";
import { Overview } from "./overview.js";
import { Query } from "./query.js";

// pages by the first word of the address, with how often each asks for news, in
// milliseconds.
const pages = {
  overview: [Overview, 1000],
  documents: [Documents, 2000],
  query: [Query, 5000],
  indexes: [Indexes, 2000],
  activity: [Activity, 2000],
};

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const status = document.getElementById("status");

let page; // what is shown
let name; // its name
let shown = location.hash; // its address
let timer;

// parse returns what an address names: the page, the parts of the place on it,
// and parameters.
function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decode);
  return { name: Object.hasOwn(pages, parts[0]) ? parts[0] : "overview", parts: parts.slice(1), parameters: new URLSearchParams(query) };
}

// decode leaves what somebody mistyped as it is.
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// route shows the page that the address names, unless it would lose something.
async function route() {
  const to = parse(location.hash);
  if (page?.leave && location.hash !== shown) {
    const wanted = location.hash;
    if (!(await page.leave())) {
      history.replaceState(null, "", shown || "#/");
      return;
    }
    if (location.hash !== wanted) return; // another change, which routes again
  }
  shown = location.hash;
  if (to.name !== name) {
    name = to.name;
    page = new pages[name][0]();
    main.replaceChildren(page.root);
  }
  page.show?.(to.parts, to.parameters);
  for (const a of document.querySelectorAll(".top nav a")) {
    if (a.dataset.page === name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  document.title = to.parts.length > 1 ? `${to.parts.at(-1)} · Atoll` : "Atoll";
  tick();
}

// tick asks for news, and again after a while for as long as somebody looks.
async function tick() {
  clearTimeout(timer);
  const asked = page;
  let pause = pages[name][1];
  if (!document.hidden) {
    try {
      const overview = await asked.refresh();
      const health = overview ?? (await get("/healthz").catch((e) => ({ status: e.status === 503 ? "failing" : "ok" })));
      if (asked === page) tell(health, "");
    } catch (failure) {
      if (asked === page) tell({ status: failure.status ? "ok" : "failing" }, failure.message);
      pause = failure.status === 401 ? 60000 : 3000;
    }
  }
  if (asked === page) {
    clearTimeout(timer);
    timer = setTimeout(tick, pause);
  }
}

// tell shows whether the node does well.
function tell(health, problem) {
  const ok = health.status === "ok";
  status.textContent = ok ? "running" : "failing";
  status.className = `status ${ok ? "ok" : "failing"}`;
  document.getElementById("address").textContent = location.host;
  banner.hidden = !problem;
  banner.textContent = problem;
}

addEventListener("hashchange", route);
addEventListener("visibilitychange", () => document.hidden || tick());
addEventListener("beforeunload", (e) => page?.editor?.dirty && e.preventDefault());
route();
