// The console: which page is shown, and asking for news once a second.

import { Documents } from "./documents.js";
import { get } from "./dom.js";
import { Overview } from "./overview.js";

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const status = document.getElementById("status");

let page; // what is shown
let name; // "overview" or "documents"
let timer;

// route shows the page that the address names.
function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  name = parts[0] === "documents" ? "documents" : "overview";
  page = name === "documents" ? new Documents(parts.slice(1)) : new Overview();
  main.replaceChildren(page.root);
  for (const a of document.querySelectorAll(".top nav a")) {
    if (a.dataset.page === name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  document.title = parts.length > 1 ? `${parts.at(-1)} · Atoll` : "Atoll";
  tick();
}

// tick asks for news, and again after a while for as long as somebody looks.
async function tick() {
  clearTimeout(timer);
  const shown = page;
  let pause = name === "overview" ? 1000 : 2000;
  if (!document.hidden) {
    try {
      const overview = await shown.refresh();
      const health = overview ?? (await get("/healthz").catch((e) => ({ status: e.status === 503 ? "failing" : "ok" })));
      if (shown === page) tell(health, "");
    } catch (failure) {
      if (shown === page) tell({ status: failure.status ? "ok" : "failing" }, failure.message);
      pause = failure.status === 401 ? 60000 : 3000;
    }
  }
  if (shown === page) timer = setTimeout(tick, pause);
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
route();
