// The page: which view the address names, what the server says, and drawing the one from the other.

import { drawConnection } from "./connection.js";
import { setAttribute, setText } from "./dom.js";
import { drawFigures } from "./figures.js";
import { blankOf, healthOf } from "./health.js";
import { listenToHeatKeys } from "./heat.js";
import { drawHistory } from "./history.js";
import { drawJob } from "./job.js";
import { drawJobs, listenToFilter, showFilter } from "./jobs.js";
import { byId, detailsPath, IDS, jobsAddress, routeOf } from "./links.js";
import { drawMethods } from "./methods.js";
import { drawNow } from "./now.js";
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
let details = detailsOf(route); // of what the address names: value is undefined until they are there, error says why they are not
let awaySince = null;

// Where we are

function read() {
  route = routeOf(location.hash);
  if (detailsPath(route) !== details.path) details = detailsOf(route);
  for (const link of document.querySelectorAll("nav a")) {
    setAttribute(link, "aria-current", link.dataset.view === route.entry ? "page" : null);
  }
  setText(byId(IDS.title), titleOf(route));
  document.title = route.view === "overview" ? "Sparrow" : `${titleOf(route)} · Sparrow`;
  document.body.dataset.view = route.view;
  draw();
}

function detailsOf(place) {
  return { path: detailsPath(place), value: undefined, error: "" };
}

function titleOf({ view, id }) {
  return `${view[0].toUpperCase()}${view.slice(1)}${id && ` ${id}`}`;
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
  poller.postMessage({ path: hasEnded(details) ? null : details.path, hidden: document.hidden, now });
}

poller.onmessage = ({ data }) => {
  if (data.away) {
    awaySince ??= Date.now() / 1000;
  } else {
    awaySince = null;
    stats = data.stats;
    registry = registryOf(stats);
    if (data.details && data.path === details.path) detailsCame(data.details);
  }
  if (!document.hidden) draw();
};

/** What has been shown stays when it is not to be had now; an ended job stays as it is, and is not asked for again. */
function detailsCame({ value = details.value, error = "" }) {
  details = { path: details.path, value, error };
  if (hasEnded(details)) tellPoller();
}

const hasEnded = ({ value, error }) => route.view === "job" && !error && ["done", "failed"].includes(value?.state);

// Drawing

const PAINTERS = {
  [IDS.figures]: () => drawFigures(stats),
  [IDS.now]: () => drawNow(stats),
  [IDS.history]: () => drawHistory(stats),
  [IDS.methods]: () => drawMethods(stats, registry),
  [IDS.jobs]: () => drawJobs(stats, registry, route.filter, route.view === "jobs"),
  [IDS.workers]: () => drawWorkers(stats),
  [IDS.job]: () => drawJob(route.id, details, registry),
  [IDS.worker]: () => drawWorker(route.id, details, registry),
};

function draw() {
  drawConnection(healthOf(stats, awaySince));
  showFilter(route.filter, registry);
  const sections = stats ? sectionsNow() : [];
  for (const id of ALL_SECTIONS) byId(id).hidden = !sections.includes(id);
  drawBlank(!stats || (details.path !== null && sections.length === 0));
  if (!stats) return;
  drawSteps(stats, registry.registered.at(-1) ?? EXAMPLE_METHOD, route.id !== "");
  for (const id of sections) PAINTERS[id]();
  setText(byId(IDS.footText), footWords(stats));
  document.body.dataset.ready = "1";
}

/** What is shown in place of a picture that is not there yet. */
function drawBlank(needed) {
  byId(IDS.blank).hidden = !needed;
  const { title, words } = blankOf(titleOf(route), awaySince !== null);
  setText(byId(IDS.blankTitle), title);
  setText(byId(IDS.blankSub), words);
}

function footWords({ nameserver, schedulers }) {
  const names = Object.entries(schedulers).map(([name, { state }]) => (state === "up" ? name : `${name} (${state})`));
  return `Name server ${nameserver.address} · ${names.join(", ") || "no scheduler"}`;
}

/** Empty charts teach nothing: until there is something to show, "Getting started" has the page to itself. */
function sectionsNow() {
  const { jobs, workers, workers_gone } = stats.totals;
  const known = workers + workers_gone > 0 || jobs > 0;
  if (route.view === "overview" && jobs === 0) return known ? [IDS.figures, IDS.now] : [];
  if (route.view === "workers" && !known) return [];
  if (details.path !== null && details.value === undefined && !details.error) return [];
  return SECTIONS[route.view];
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
