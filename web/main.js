// The page: which view the address names, what the server says, and drawing the one from the other.

import { h, keyed, setAttribute, setText } from "./dom.js";
import { clock, plural } from "./format.js";
import { drawHistory } from "./history.js";
import { drawJob, drawJobs, listenToFilter, showFilter } from "./jobs.js";
import { drawMethods } from "./methods.js";
import { drawFigures, drawNow, listenToHeatKeys } from "./now.js";
import { drawWorker, drawWorkers } from "./workers.js";

const SECTIONS = {
  overview: ["figures", "now", "history", "methods", "jobs"],
  methods: ["methods"],
  history: ["history"],
  jobs: ["jobs"],
  job: ["job"],
  workers: ["now", "workers"],
  worker: ["worker"],
};

const byId = (id) => document.getElementById(id);

let route = { view: "overview", id: "", filter: { method: "", state: "" } };
let stats = null; // the latest snapshot
let details = { path: null, value: undefined };
let awaySince = null;

// Where we are

/** #/jobs/<id>, #/workers/<name>, #/jobs?method=...&state=..., or the name of a view. */
function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  const parameters = new URLSearchParams(query);
  const id = rest.length ? safelyDecoded(rest.join("/")) : "";
  const opened = { jobs: "job", workers: "worker" }[view];
  const wanted = id && opened ? opened : view || "overview";
  route = {
    view: SECTIONS[wanted] ? wanted : "overview",
    id,
    filter: { method: parameters.get("method") ?? "", state: parameters.get("state") ?? "" },
  };
  const path_ = { job: "/sparrow/jobs/", worker: "/sparrow/workers/" }[route.view];
  details = { path: path_ ? path_ + encodeURIComponent(id) : null, value: undefined };
  for (const link of document.querySelectorAll("nav a")) {
    const on = link.dataset.view === route.view || link.dataset.view === `${route.view}s`;
    setAttribute(link, "aria-current", on ? "page" : null);
  }
  const name = { job: `Job ${id}`, worker: `Worker ${id}` }[route.view] ?? route.view[0].toUpperCase() + route.view.slice(1);
  setText(byId("title"), name);
  document.title = route.view === "overview" ? "Sparrow" : `${name} · Sparrow`;
  document.body.dataset.view = route.view;
  showFilter(route.filter);
  draw();
}

function safelyDecoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function navigated() {
  read();
  tellPoller(true);
  scrollTo(0, 0);
  byId("main").focus({ preventScroll: true });
}

// What the server says

const poller = new Worker("/web/poll.js");

function tellPoller(now = false) {
  poller.postMessage({ path: details.path, hidden: document.hidden, now });
}

poller.onmessage = ({ data }) => {
  if (data.away) {
    awaySince ??= Date.now() / 1000;
  } else {
    awaySince = null;
    stats = data.stats;
    if (data.path === details.path) details.value = data.details;
  }
  if (!document.hidden) draw();
};

// Drawing

function draw() {
  drawConnection();
  if (!stats) return;
  drawSteps();
  const known = stats.totals.workers + stats.totals.workers_gone > 0 || stats.totals.jobs > 0;
  let sections = SECTIONS[route.view];
  if (route.view === "overview" && stats.totals.jobs === 0) sections = known ? ["figures", "now"] : []; // empty charts teach nothing
  if (route.view === "workers" && !known) sections = [];
  for (const id of new Set(Object.values(SECTIONS).flat())) byId(id).hidden = !sections.includes(id);
  const painters = {
    figures: () => drawFigures(stats),
    now: () => drawNow(stats),
    history: () => drawHistory(stats),
    methods: () => drawMethods(stats),
    jobs: () => drawJobs(stats, route.filter, route.view === "jobs"),
    workers: () => drawWorkers(stats),
    job: () => details.value !== undefined && drawJob(route.id, details.value),
    worker: () => details.value !== undefined && drawWorker(route.id, details.value),
  };
  for (const id of sections) painters[id]();
  const schedulers = Object.entries(stats.schedulers).map(([name, one]) => (one.state === "up" ? name : `${name} (gone)`));
  setText(byId("foot-text"), `Name server ${stats.nameserver.address} · ${schedulers.join(", ") || "no scheduler"}`);
  document.body.dataset.ready = "1";
}

function drawConnection() {
  const live = byId("live");
  const away = byId("away");
  if (awaySince === null) {
    setText(live, stats ? "Live" : "Connecting");
    setAttribute(live, "data-state", stats ? "live" : "connecting");
    away.hidden = true;
  } else {
    setText(live, "Away");
    setAttribute(live, "data-state", "away");
    setText(away, `The server has not answered since ${clock(awaySince)}. What you see is the last picture; it comes back by itself.`);
    away.hidden = false;
  }
  document.body.classList.toggle("stale", awaySince !== null);
}

/** What is missing, and what to type. The whole list until there was a job, then only what is missing. */
function drawSteps() {
  const { nameserver, totals, schedulers } = stats;
  const up = Object.values(schedulers).filter((one) => one.state === "up").length;
  const remote = /^(127\.0\.0\.1|localhost):9090$/.test(nameserver.address) ? "" : ` --nameserver ${nameserver.address}`;
  const [host, port] = splitAddress(nameserver.address);
  const steps = [
    {
      key: "nameserver",
      done: nameserver.up,
      yes: `Name server at ${nameserver.address}`,
      no: nameserver.error.startsWith("no name server") || !nameserver.error ? `No name server at ${nameserver.address}` : nameserver.error,
      type: `pyro4-ns${host === "localhost" || host === "127.0.0.1" ? "" : ` -n ${host}`}${port === "9090" ? "" : ` -p ${port}`}`,
      where: "on its host",
    },
    { key: "scheduler", done: up > 0, yes: plural(up, "scheduler"), no: "No scheduler", type: `python src/Scheduler.py${remote}`, where: "on any machine" },
    { key: "workers", done: totals.workers > 0, yes: plural(totals.workers, "worker"), no: "No worker", type: `python src/Worker.py${remote}`, where: "on each machine" },
    { key: "jobs", done: totals.jobs > 0, yes: plural(totals.jobs, "job"), no: "No job yet", type: `python src/SparrowClient.py BATCH+LATE_BINDING 10 10 1${remote}`, where: "10 jobs of 10 tasks of 1 s" },
  ];
  const running = up > 0 && totals.workers > 0;
  const missing = steps.filter((step) => !step.done && (step.key !== "jobs" || running || !totals.workers));
  const started = totals.jobs > 0 || totals.workers_gone > 0;
  const box = byId("steps");
  box.hidden = missing.length === 0 || (["job", "worker"].includes(route.view) && started);
  setText(byId("steps-title"), started ? "Something is missing" : "Getting started");
  setText(byId("steps-sub"), started ? "" : "A Sparrow cluster is a name server, a scheduler and workers, started in any order. This page finds them by itself.");
  byId("steps-sub").hidden = started;
  keyed(
    byId("steps-list"),
    started ? missing.filter((step) => step.key !== "jobs") : steps,
    (step) => step.key,
    () => h("li", {}, h("span", { class: "what" }), h("span", { class: "how" }, h("code", {}), h("span", { class: "where" }))),
    (node, step) => {
      setAttribute(node, "class", step.done ? "done" : "todo");
      setText(node.querySelector(".what"), step.done ? step.yes : step.no);
      node.querySelector(".how").hidden = step.done;
      setText(node.querySelector("code"), step.type);
      setText(node.querySelector(".where"), step.where);
    },
  );
  if (started && box.hidden === false && byId("steps-list").children.length === 0) box.hidden = true;
}

function splitAddress(address) {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, colon), address.slice(colon + 1)];
}

addEventListener("hashchange", navigated);
addEventListener("restyled", draw);
document.addEventListener("visibilitychange", () => {
  tellPoller();
  if (!document.hidden) draw();
});
listenToFilter(read);
listenToHeatKeys();
read();
tellPoller(true);
