// What the cluster does right now: figures, a bar a worker, or a heat grid when there are many.

import { chartOn, colour, fullName, grid, noBorder, noGrid, stripes } from "./charts.js";
import { h, keyed, legend, setAttribute, setText, table, tableBehind } from "./dom.js";
import { ago, count, plural, secondsParts, short } from "./format.js";
import { byId, IDS, workerAddress } from "./links.js";
import { barLabels, heatLevel, shownWorkers } from "./load.js";
import { niceTop } from "./ticks.js";

const MOST_BARS = 60; // workers; more are a heat grid

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
  const section = byId(IDS.figures);
  if (!section.firstElementChild) section.append(h("dl", {}));
  const list = section.firstElementChild;
  const t = stats.totals;
  const busy = t.slots ? Math.round((100 * t.running) / t.slots) : 0;
  figure(
    list,
    "workers",
    "Workers",
    count(t.workers),
    "",
    t.workers_gone ? `${count(t.workers_gone)} gone` : plural(t.slots, "slot"),
  );
  figure(
    list,
    "running",
    "Running",
    count(t.running),
    t.running === 1 ? "task" : "tasks",
    `${busy} % of ${plural(t.slots, "slot")}`,
  );
  figure(list, "queued", "Queued", count(t.queued), t.queued === 1 ? "task" : "tasks", plural(t.reservations, "reservation"));
  figure(list, "rate", "Throughput", short(t.tasks_per_s), "tasks/s", `${count(t.tasks_done)} done in all`);
  const p = t.response_s;
  const [p50, unit] = secondsParts(p.p50);
  const tail =
    p.p95 === null ? "of jobs, last 10 min" : `p95 ${secondsParts(p.p95).join(" ")} · p99 ${secondsParts(p.p99).join(" ")}`;
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
      onClick: (_event, found, chart) => {
        if (found.length) location.hash = workerAddress(chart.names[found[0].index]);
      },
      scales: {
        x: { stacked: true, grid: noGrid, border: { color: colour("line") }, ticks: { maxRotation: 60, autoSkipPadding: 6 } },
        y: { stacked: true, min: 0, grid: grid(), border: noBorder, ticks: { precision: 0, maxTicksLimit: 6, padding: 8 } },
      },
      plugins: {
        tooltip: {
          filter: (item) => item.raw > 0,
          callbacks: {
            title: fullName,
            label: (item) => (item.dataset.label === "gone" ? " gone" : ` ${count(item.raw)} ${item.dataset.label}`),
          },
        },
      },
    },
  };
}

export function drawNow(stats) {
  const all = Object.entries(stats.workers);
  const shown = shownWorkers(stats);
  const many = shown.length > MOST_BARS;
  byId(IDS.nowChart).hidden = many;
  byId(IDS.nowGrid).hidden = !many;
  const anyGone = shown.some(([, worker]) => worker.state === "gone");
  if (many) drawHeat(shown);
  else drawBars(shown);
  const entries = many
    ? [
        ["heat0", "idle"],
        ["heat2", "busy"],
        ["heat4", "twice its slots"],
        ["heat6", "4 times and more"],
      ].map(([swatch, label]) => ({ swatch, label }))
    : SERIES.map((series) => ({ swatch: `c-${series.colour}`, label: series.label }));
  legend(byId(IDS.nowLegend), anyGone ? [...entries, { swatch: "c-gone", label: "gone" }] : entries);
  const gone = all.filter(([, worker]) => worker.state === "gone" && worker.last_seen !== null);
  gone.sort((one, other) => other[1].last_seen - one[1].last_seen);
  keyed(
    byId(IDS.nowGone),
    gone.slice(0, 5),
    ([name]) => name,
    ([name]) => h("li", {}, h("a", { href: workerAddress(name) }, name), h("span", {})),
    (node, [, worker]) => setText(node.lastElementChild, ` is gone: last seen ${ago(stats.now - worker.last_seen)}`),
  );
  tableBehind(byId(IDS.nowData), () =>
    table(
      ["Worker", "State", "Running", "Queued tasks", "Reservations", "Slots"],
      shown.map(([name, w]) => [name, w.state, w.running, w.queued, w.reservations, w.slots]),
      "Load of each worker now",
    ),
  );
}

function drawBars(shown) {
  const canvas = byId(IDS.nowCanvas);
  const chart = chartOn(canvas, barConfig);
  const former = chart.names?.length;
  chart.names = shown.map(([name]) => name);
  chart.data.labels = barLabels(shown, shown.length > 15 || innerWidth < 600);
  const tallest = Math.max(0, ...shown.map(([, worker]) => worker.load));
  const top = niceTop(Math.max(tallest, 4));
  for (const [i, series] of SERIES.entries()) chart.data.datasets[i].data = shown.map(([, worker]) => worker[series.key]);
  chart.data.datasets[SERIES.length].data = shown.map(([, worker]) => (worker.state === "gone" ? top : 0));
  chart.options.scales.y.max = top;
  chart.update(former === shown.length ? undefined : "none"); // bars grow and shrink; they do not fly in
  const busy = shown.filter(([, worker]) => worker.load > 0).length;
  const gone = shown.filter(([, worker]) => worker.state === "gone").map(([name]) => name);
  const summary = `Bar chart of the load of ${plural(shown.length, "worker")}: ${busy} busy, the fullest has ${tallest}.`;
  setAttribute(canvas, "aria-label", gone.length ? `${summary} Gone: ${gone.join(", ")}.` : summary);
}

function drawHeat(shown) {
  const box = byId(IDS.nowGrid);
  box.className = shown.length <= 150 ? "heat few" : shown.length <= 400 ? "heat some" : "heat";
  keyed(
    box,
    shown,
    ([name]) => name,
    ([name]) => h("a", { href: workerAddress(name), tabindex: "-1" }),
    (node, [name, worker]) => {
      const level = heatLevel(worker);
      const label =
        worker.state === "gone" ? `${name}: gone` : `${name}: ${worker.running} running, ${worker.load - worker.running} waiting`;
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
  const box = byId(IDS.nowGrid);
  box.addEventListener("keydown", (event) => {
    const cells = [...box.children];
    const at = cells.indexOf(document.activeElement);
    if (at < 0) return;
    const row = Math.max(
      0,
      cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop),
    ); // cells in a row; 0 if there is but one
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
    const target = event.key === "Home" ? cells[0] : event.key === "End" ? cells.at(-1) : step && cells[at + step];
    if (!target) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  });
}
