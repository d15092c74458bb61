// The page: which view the address names, what the server says, and drawing the one from the other.

import { setAttribute, setText } from "./dom.js";
import { clock } from "./format.js";
import { drawHistory } from "./history.js";
import { drawJob } from "./job.js";
import { drawJobs, listenToFilter, showFilter } from "./jobs.js";
import { byId, detailsPath, IDS, jobsAddress, routeOf } from "./links.js";
import { drawMethods } from "./methods.js";
import { drawFigures, drawNow, listenToHeatKeys } from "./now.js";
import { registryOf } from "./registry.js";
import { drawSteps } from "./steps.js";
import { drawWorker } from "./worker.js";
import { drawWorkers } from "./workers.js";

const SECTIONS = {
  overview: [IDS.figures, IDS.now, IDS.history, IDS.methods, IDS.jobs],
  methods: [IDS.methods],
  history: [IDS.history],
  jobs: [IDS.jobs],
  job: [IDS.job],
  workers: [IDS.now, IDS.workers],
  worker: [IDS.worker],
};
const ALL_SECTIONS = new Set(Object.values(SECTIONS).flat());
const EXAMPLE_METHOD = "BATCH+LATE_BINDING"; // to type, while no scheduler has told which methods there are

let route = routeOf("");
let stats = null; // the latest snapshot
let registry = registryOf(null); // of that snapshot
let details = { path: null, value: undefined };
let awaySince = null;

// Where we are

function read() {
  route = routeOf(location.hash);
  details = { path: detailsPath(route), value: undefined };
  for (const link of document.querySelectorAll("nav a")) {
    setAttribute(link, "aria-current", link.dataset.view === route.entry ? "page" : null);
  }
  const name = `${route.view[0].toUpperCase()}${route.view.slice(1)}${route.id && ` ${route.id}`}`;
  setText(byId(IDS.title), name);
  document.title = route.view === "overview" ? "Sparrow" : `${name} · Sparrow`;
  document.body.dataset.view = route.view;
  draw();
}

function navigated() {
  read();
  tellPoller(true);
  scrollTo(0, 0);
  byId(IDS.main).focus({ preventScroll: true });
}

/** The filter is part of the address, so that it can be shared. */
function filtered(filter) {
  history.replaceState(null, "", jobsAddress(filter));
  read();
}

// What the server says

const poller = new Worker(new URL("./poll.js", import.meta.url), { type: "module" });

function tellPoller(now = false) {
  poller.postMessage({ path: details.path, hidden: document.hidden, now });
}

poller.onmessage = ({ data }) => {
  if (data.away) {
    awaySince ??= Date.now() / 1000;
  } else {
    awaySince = null;
    stats = data.stats;
    registry = registryOf(stats);
    if (data.path === details.path) details.value = data.details;
  }
  if (!document.hidden) draw();
};

// Drawing

const PAINTERS = {
  [IDS.figures]: () => drawFigures(stats),
  [IDS.now]: () => drawNow(stats),
  [IDS.history]: () => drawHistory(stats),
  [IDS.methods]: () => drawMethods(stats, registry),
  [IDS.jobs]: () => drawJobs(stats, registry, route.filter, route.view === "jobs"),
  [IDS.workers]: () => drawWorkers(stats),
  [IDS.job]: () => details.value !== undefined && drawJob(route.id, details.value, registry),
  [IDS.worker]: () => details.value !== undefined && drawWorker(route.id, details.value, registry),
};

function draw() {
  drawConnection();
  showFilter(route.filter, registry);
  if (!stats) return;
  drawSteps(stats, registry.registered.at(-1) ?? EXAMPLE_METHOD, route.id !== "");
  const sections = sectionsNow();
  for (const id of ALL_SECTIONS) byId(id).hidden = !sections.includes(id);
  for (const id of sections) PAINTERS[id]();
  const schedulers = Object.entries(stats.schedulers).map(([name, one]) => (one.state === "up" ? name : `${name} (gone)`));
  setText(byId(IDS.footText), `Name server ${stats.nameserver.address} · ${schedulers.join(", ") || "no scheduler"}`);
  document.body.dataset.ready = "1";
}

/** Empty charts teach nothing: until there is something to show, "Getting started" has the page to itself. */
function sectionsNow() {
  const { jobs, workers, workers_gone } = stats.totals;
  const known = workers + workers_gone > 0 || jobs > 0;
  if (route.view === "overview" && jobs === 0) return known ? [IDS.figures, IDS.now] : [];
  if (route.view === "workers" && !known) return [];
  return SECTIONS[route.view];
}

function drawConnection() {
  const live = byId(IDS.live);
  const away = byId(IDS.away);
  if (awaySince === null) {
    setText(live, stats ? "Live" : "Connecting");
    setAttribute(live, "data-state", stats ? "live" : "connecting");
    away.hidden = true;
  } else {
    setText(live, "Away");
    setAttribute(live, "data-state", "away");
    setText(
      away,
      `The server has not answered since ${clock(awaySince)}. What you see is the last picture; it comes back by itself.`,
    );
    away.hidden = false;
  }
  document.body.classList.toggle("stale", awaySince !== null);
}

addEventListener("hashchange", navigated);
addEventListener("restyled", draw);
document.addEventListener("visibilitychange", () => {
  tellPoller();
  if (!document.hidden) draw();
});
listenToFilter(filtered);
listenToHeatKeys();
read();
tellPoller(true);
