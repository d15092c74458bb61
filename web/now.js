// What the cluster does right now: figures, a bar a worker, or a heat grid when there are many.

import { chartOn, colour, grid, noBorder, noGrid, stripes } from "./charts.js";
import { h, keyed, legend, setAttribute, setText, table, tableBehind } from "./dom.js";
import { ago, count, plural, secondsParts, short } from "./format.js";

const MOST_BARS = 60;
const IN_CHART_S = 60; // a worker that is gone leaves the chart after this long
const HEAT_LEVELS = 6;

const byId = (id) => document.getElementById(id);

export const workerLink = (name) => `#/workers/${encodeURIComponent(name)}`;

function figure(list, key, name, value, unit, note) {
  let box = list.querySelector(`[data-figure="${key}"]`);
  if (!box) {
    box = h(
      "div",
      { class: "figure", "data-figure": key },
      h("dt", {}, name),
      h("dd", {}, h("span", { class: "value" }), h("span", { class: "unit" })),
      h("dd", { class: "note" }),
    );
    list.append(box);
  }
  setText(box.querySelector(".value"), value);
  setText(box.querySelector(".unit"), unit ? ` ${unit}` : "");
  setText(box.querySelector(".note"), note);
}

export function drawFigures(stats) {
  const section = byId("figures");
  if (!section.firstElementChild) section.append(h("dl", {}));
  const list = section.firstElementChild;
  const t = stats.totals;
  const busy = t.slots ? Math.round((100 * t.running) / t.slots) : 0;
  figure(list, "workers", "Workers", count(t.workers), "", t.workers_gone ? `${count(t.workers_gone)} gone` : plural(t.slots, "slot"));
  figure(list, "running", "Running", count(t.running), t.running === 1 ? "task" : "tasks", `${busy} % of ${plural(t.slots, "slot")}`);
  figure(list, "queued", "Queued", count(t.queued), t.queued === 1 ? "task" : "tasks", plural(t.reservations, "reservation"));
  figure(list, "rate", "Throughput", short(t.tasks_per_s), "tasks/s", `${count(t.tasks_done)} done in all`);
  const p = t.response_s;
  const [p50, unit] = secondsParts(p.p50);
  const tail = p.p95 === null ? "of jobs, last 10 min" : `p95 ${secondsParts(p.p95).join(" ")} · p99 ${secondsParts(p.p99).join(" ")}`;
  figure(list, "response", "Job response, p50", p50, unit, tail);
  figure(list, "jobs", "Open jobs", count(t.open_jobs), "", `of ${count(t.jobs)} in all`);
  figure(list, "retried", "Run again", count(t.retried), t.retried === 1 ? "task" : "tasks", "after a lost worker");
  figure(list, "failed", "Failed", count(t.failed), t.failed === 1 ? "task" : "tasks", "after 3 more tries");
  setAttribute(list.querySelector('[data-figure="failed"]'), "data-bad", t.failed > 0);
  setAttribute(list.querySelector('[data-figure="workers"]'), "data-bad", t.workers_gone > 0);
}

const SERIES = [
  { key: "running", label: "running", colour: "run" },
  { key: "queued", label: "queued tasks", colour: "wait" },
  { key: "reservations", label: "reservations", colour: "reserve" },
];

function barConfig() {
  const bar = { stack: "load", borderRadius: 2, categoryPercentage: 0.8, barPercentage: 0.95, maxBarThickness: 46 };
  return {
    type: "bar",
    data: {
      labels: [],
      datasets: [
        ...SERIES.map((series) => ({ ...bar, label: series.label, data: [], backgroundColor: colour(series.colour) })),
        { ...bar, label: "gone", data: [], backgroundColor: stripes("gone"), borderColor: colour("gone"), borderWidth: 1 },
      ],
    },
    options: {
      interaction: { mode: "index", intersect: false },
      onClick: (event, found, chart) => {
        if (found.length) location.hash = workerLink(chart.names[found[0].index]);
      },
      scales: {
        x: { stacked: true, grid: noGrid, border: { color: colour("line") }, ticks: { maxRotation: 60, autoSkipPadding: 6 } },
        y: { stacked: true, min: 0, grid: grid(), border: noBorder, ticks: { precision: 0, maxTicksLimit: 6, padding: 8 } },
      },
      plugins: {
        tooltip: {
          filter: (item) => item.raw > 0,
          callbacks: { label: (item) => (item.dataset.label === "gone" ? " gone" : ` ${count(item.raw)} ${item.dataset.label}`) },
        },
      },
    },
  };
}

/** The least of 4, 5, 6, 8, 10, 15, 20, 30, 40 ... that holds the tallest bar: an axis that fits and does not twitch. */
function niceTop(tallest) {
  for (let scale = 1; ; scale *= 10) {
    for (const step of [4, 5, 6, 8, 10, 15, 20, 30]) if (step * scale >= tallest) return step * scale;
  }
}

export function drawNow(stats) {
  const all = Object.entries(stats.workers);
  const shown = all.filter(([, worker]) => worker.state === "up" || stats.now - (worker.last_seen ?? 0) < IN_CHART_S);
  const many = shown.length > MOST_BARS;
  byId("now-chart").hidden = many;
  byId("now-grid").hidden = !many;
  const anyGone = shown.some(([, worker]) => worker.state === "gone");
  if (many) drawHeat(shown);
  else drawBars(shown);
  const entries = many
    ? [["heat0", "idle"], ["heat2", "busy"], ["heat4", "twice its slots"], ["heat6", "4 times and more"]].map(([swatch, label]) => ({ swatch, label }))
    : SERIES.map((series) => ({ swatch: `c-${series.colour}`, label: series.label }));
  legend(byId("now-legend"), anyGone ? [...entries, { swatch: "c-gone", label: "gone" }] : entries);
  const gone = all.filter(([, worker]) => worker.state === "gone" && worker.last_seen !== null);
  gone.sort((one, other) => other[1].last_seen - one[1].last_seen);
  keyed(
    byId("now-gone"),
    gone.slice(0, 5),
    ([name]) => name,
    ([name]) => h("li", {}, h("a", { href: workerLink(name) }, name), h("span", {})),
    (node, [, worker]) => setText(node.lastElementChild, ` is gone: last seen ${ago(stats.now - worker.last_seen)}`),
  );
  tableBehind(byId("now-data"), () =>
    table(
      ["Worker", "State", "Running", "Queued tasks", "Reservations", "Slots"],
      shown.map(([name, w]) => [name, w.state, w.running, w.queued, w.reservations, w.slots]),
      "Load of each worker now",
    ),
  );
}

function drawBars(shown) {
  const canvas = byId("now-canvas");
  const chart = chartOn(canvas, barConfig);
  const former = chart.names?.length;
  chart.names = shown.map(([name]) => name);
  const short = chart.names.length > 15 || innerWidth < 600;
  const prefix = short ? commonPrefix(chart.names) : 0;
  chart.data.labels = shown.map(([name, worker]) => {
    const label = name.length > 14 && !prefix ? `${name.slice(0, 13)}…` : name.slice(prefix);
    return worker.state === "gone" ? [label, "gone"] : label;
  });
  const tallest = Math.max(0, ...shown.map(([, worker]) => worker.load));
  const top = niceTop(Math.max(tallest, 4));
  SERIES.forEach((series, i) => (chart.data.datasets[i].data = shown.map(([, worker]) => worker[series.key])));
  chart.data.datasets[SERIES.length].data = shown.map(([, worker]) => (worker.state === "gone" ? top : 0));
  chart.options.scales.y.max = top;
  chart.update(former === shown.length ? undefined : "none"); // bars grow and shrink; they do not fly in
  const busy = shown.filter(([, worker]) => worker.load > 0).length;
  const gone = shown.filter(([, worker]) => worker.state === "gone").map(([name]) => name);
  const summary = `Bar chart of the load of ${plural(shown.length, "worker")}: ${busy} busy, the fullest has ${tallest}.`;
  setAttribute(canvas, "aria-label", gone.length ? `${summary} Gone: ${gone.join(", ")}.` : summary);
}

/** How many characters all names share up to their numbers, so that host1 .. host40 can be 1 .. 40. */
function commonPrefix(names) {
  const first = names[0] ?? "";
  let length = names.length > 1 ? first.length : 0;
  for (const name of names) {
    while (length && name.slice(0, length) !== first.slice(0, length)) length--;
  }
  while (length && /[0-9]/.test(first[length - 1])) length--;
  return names.every((name) => name.length > length) ? length : 0;
}

function heatLevel(worker) {
  if (worker.state === "gone") return "gone";
  if (!worker.load) return 0;
  const fill = worker.load / worker.slots;
  if (fill < 1) return 1;
  return Math.min(HEAT_LEVELS, fill <= 1 ? 2 : fill < 2 ? 3 : fill < 3 ? 4 : fill < 4 ? 5 : 6);
}

function drawHeat(shown) {
  const box = byId("now-grid");
  box.className = shown.length <= 150 ? "heat few" : shown.length <= 400 ? "heat some" : "heat";
  keyed(
    box,
    shown,
    ([name]) => name,
    ([name]) => h("a", { href: workerLink(name), tabindex: "-1" }),
    (node, [name, worker]) => {
      const level = heatLevel(worker);
      const label = worker.state === "gone" ? `${name}: gone` : `${name}: ${worker.running} running, ${worker.load - worker.running} waiting`;
      if (node.heat !== level) {
        node.className = `heat${level}`;
        node.heat = level;
      }
      if (node.label !== label) {
        node.setAttribute("aria-label", label);
        node.title = label;
        node.label = label;
      }
    },
  );
  if (!box.querySelector('[tabindex="0"]') && box.firstElementChild) box.firstElementChild.tabIndex = 0;
}

/** Arrow keys move in the grid; only one of its cells is a stop of the Tab key. */
export function listenToHeatKeys() {
  const box = byId("now-grid");
  box.addEventListener("keydown", (event) => {
    const cells = [...box.children];
    const at = cells.indexOf(document.activeElement);
    if (at < 0) return;
    const row = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row > 0 ? row : 0, ArrowUp: row > 0 ? -row : 0 }[event.key];
    const target = event.key === "Home" ? cells[0] : event.key === "End" ? cells.at(-1) : step && cells[at + step];
    if (!target) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  });
}
