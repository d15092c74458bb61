// What the cluster does right now: a bar a worker, or a heat grid when there are many.

import { chartOn, colour, fullName, grid, noBorder, noGrid, stripes } from "./charts.js";
import { h, keyed, legend, overlay, setAttribute, setText, table, tableBehind } from "./dom.js";
import { count } from "./format.js";
import { drawHeat } from "./heat.js";
import { byId, IDS, workerAddress } from "./links.js";
import { barLabels, HEAT_WORDS, loadSummary, missingWorkers, shownWorkers, stripedWords, workerStateWords } from "./load.js";
import { niceTop } from "./ticks.js";

const MOST_BARS = 60; // workers; more are a heat grid
const MOST_MISSING = 5; // told below the chart

const SERIES = [
  { key: "running", label: "running", colour: "run" },
  { key: "queued", label: "queued tasks", colour: "wait" },
  { key: "reservations", label: "reservations", colour: "reserve" },
];
const STRIPED = SERIES.length; // the series of the workers that are not up

export function drawNow(stats) {
  const shown = shownWorkers(stats);
  const many = shown.length > MOST_BARS;
  byId(IDS.nowChart).hidden = many;
  byId(IDS.nowGrid).hidden = !many;
  if (many) drawHeat(shown);
  else drawBars(shown);
  drawLegend(shown, many);
  drawMissing(stats);
  const idle = shown.length > 0 && shown.every(([, { state, load }]) => state === "up" && load === 0);
  overlay(byId(IDS.nowChart), idle ? "All workers are idle" : shown.length ? "" : "No worker is there");
  tableBehind(byId(IDS.nowData), () =>
    table(
      ["Worker", "State", "Running", "Queued tasks", "Reservations", "Slots"],
      shown.map(([name, w]) => [name, w.state, w.running, w.queued, w.reservations, w.slots]),
      "Load of each worker now",
    ),
  );
}

function drawLegend(shown, many) {
  const levels = HEAT_WORDS.map((label, level) => ({ swatch: `heat${level}`, label }));
  const entries = many ? levels : SERIES.map((series) => ({ swatch: `c-${series.colour}`, label: series.label }));
  const striped = stripedWords(shown);
  legend(byId(IDS.nowLegend), striped ? [...entries, { swatch: "c-gone", label: striped }] : entries);
}

function drawMissing(stats) {
  keyed(
    byId(IDS.nowGone),
    missingWorkers(stats).slice(0, MOST_MISSING),
    ([name]) => name,
    ([name]) => h("li", {}, h("a", { href: workerAddress(name) }, name), h("span", {})),
    (node, [, worker]) => setText(node.lastElementChild, ` is ${workerStateWords(worker, stats.now)}`),
  );
}

function drawBars(shown) {
  const canvas = byId(IDS.nowCanvas);
  const chart = chartOn(canvas, barConfig);
  chart.names = shown.map(([name]) => name);
  chart.data.labels = barLabels(shown, shown.length > 15 || innerWidth < 600);
  const top = niceTop(Math.max(4, ...shown.map(([, worker]) => worker.load)));
  for (const [i, series] of SERIES.entries()) chart.data.datasets[i].data = shown.map(([, worker]) => worker[series.key]);
  chart.data.datasets[STRIPED].data = shown.map(([, worker]) => (worker.state === "up" ? 0 : top));
  chart.states = shown.map(([, worker]) => worker.state);
  chart.options.scales.y.max = top;
  chart.update("none");
  setAttribute(canvas, "aria-label", `Bar chart of the load of ${loadSummary(shown)}`);
}

/** Nothing moves: a bar on its way from 3 to 5 would stand for a load that nobody had, and a stack for none at all. */
function barConfig() {
  const bar = { stack: "load", borderRadius: 2, categoryPercentage: 0.8, barPercentage: 0.95, maxBarThickness: 46 };
  return {
    type: "bar",
    data: {
      labels: [],
      datasets: [
        ...SERIES.map((series) => ({ ...bar, label: series.label, data: [], backgroundColor: colour(series.colour) })),
        { ...bar, label: "not up", data: [], backgroundColor: stripes("gone"), borderColor: colour("gone"), borderWidth: 1 },
      ],
    },
    options: {
      animation: false,
      interaction: { mode: "index", intersect: false },
      onHover: ({ native }, found) => {
        if (native) native.target.style.cursor = found.length ? "pointer" : "";
      },
      onClick: (_event, found, chart) => {
        if (found.length) location.hash = workerAddress(chart.names[found[0].index]);
      },
      scales: {
        x: { stacked: true, grid: noGrid, border: { color: colour("line") }, ticks: { maxRotation: 60, autoSkipPadding: 6 } },
        y: { stacked: true, min: 0, grid: grid(), border: noBorder, ticks: { precision: 0, maxTicksLimit: 6, padding: 8 } },
      },
      plugins: { tooltip: { filter: inTip, callbacks: { title: fullName, label: tipLabel } } },
    },
  };
}

/** What is 0 is left out of a tooltip, but for an idle worker: then it says so. */
const inTip = ({ raw, datasetIndex, dataIndex, chart }) => raw > 0 || (datasetIndex === 0 && isIdle(chart, dataIndex));

const isIdle = ({ data }, index) => data.datasets.every((set) => !set.data[index]);

function tipLabel({ chart, datasetIndex, dataIndex, raw, dataset }) {
  if (datasetIndex === STRIPED) return ` ${chart.states[dataIndex]}`;
  return raw > 0 ? ` ${count(raw)} ${dataset.label}` : " idle";
}
