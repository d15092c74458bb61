// The last ten minutes, as the server remembers them: load, throughput, response.

import { chartOn, colour, fitTime, grid, noBorder } from "./charts.js";
import { h, keyed, legend, overlay, setAttribute, setText, table, tableBehind } from "./dom.js";
import { seconds, secondsTick, short, tick } from "./format.js";
import { byId, IDS } from "./links.js";
import { LONGEST_SPAN_S, minutesAgo } from "./ticks.js";

const CHARTS = [
  {
    id: "load",
    title: "Tasks",
    lines: [
      { key: "running", label: "running", colour: "run" },
      { key: "queued", label: "queued", colour: "wait" },
    ],
    stacked: true,
    text: tick,
    least: 4,
    empty: "No task ran or waited",
  },
  {
    id: "rate",
    title: "Throughput, tasks/s",
    lines: [{ key: "tasks_per_s", label: "tasks/s", colour: "run" }],
    text: short,
    least: 1,
    empty: "No task ended",
  },
  {
    id: "p95",
    title: "Job response, p95 over 30 s",
    lines: [{ key: "response_p95_s", label: "p95", colour: "tail" }],
    text: seconds,
    least: 0.1,
    empty: "No job ended",
  },
];

function config(chart) {
  return {
    type: "line",
    data: {
      datasets: chart.lines.map((line, i) => ({
        label: line.label,
        data: [],
        borderColor: colour(line.colour),
        backgroundColor: `${colour(line.colour)}${chart.stacked ? "66" : "2e"}`,
        borderWidth: 1.75,
        fill: chart.stacked && i > 0 ? "-1" : "origin",
        pointRadius: 0,
        pointHitRadius: 8,
        pointHoverRadius: 3,
        spanGaps: false,
        tension: 0,
      })),
    },
    options: {
      animation: false,
      normalized: true,
      parsing: false,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: {
          type: "linear",
          min: -LONGEST_SPAN_S,
          max: 0,
          grid: grid(),
          border: noBorder,
          ticks: { stepSize: 60, padding: 6, callback: minutesAgo, maxRotation: 0, maxTicksLimit: 6 },
        },
        y: {
          stacked: Boolean(chart.stacked),
          min: 0,
          suggestedMax: chart.least,
          grid: grid(),
          border: noBorder,
          afterFit: (axis) => (axis.width = 58),
          ticks: {
            maxTicksLimit: 4,
            padding: 6,
            callback: (value, _at, ticks) => (chart.text === seconds ? secondsTick(value, ticks.at(-1).value) : tick(value)),
          },
        },
      },
      plugins: {
        tooltip: {
          callbacks: {
            title: (items) => (items.length ? `${seconds(-items[0].raw.x)} ago` : ""),
            label: (item) => ` ${chart.text(item.raw.y)} ${item.dataset.label}`,
          },
        },
      },
    },
  };
}

export function drawHistory({ history }) {
  keyed(
    byId(IDS.historyCharts),
    CHARTS,
    (chart) => chart.id,
    chartBox,
    (node, chart) => updateChart(node, chart, history),
  );
  tableBehind(byId(IDS.historyData), () =>
    table(
      ["Ago", "Running", "Queued", "Tasks/s", "p95", "Workers"],
      history.t
        .map((t, i) => [
          seconds(-t),
          history.running[i],
          history.queued[i],
          short(history.tasks_per_s[i]),
          seconds(history.response_p95_s[i]),
          history.workers[i],
        ])
        .reverse(),
      "The last 10 minutes, newest first",
    ),
  );
}

function chartBox(chart) {
  return h(
    "div",
    { class: "history-chart", id: `history-${chart.id}` },
    h("div", { class: "head" }, h("h3", {}, chart.title), h("ul", { class: "legend" }), h("p", { class: "latest" })),
    h("div", { class: "plot plot-history" }, h("canvas", { role: "img" })),
  );
}

function updateChart(node, chart, history) {
  const several = chart.lines.length > 1;
  if (several) {
    legend(
      node.querySelector(".legend"),
      chart.lines.map((line) => ({ swatch: `c-${line.colour}`, label: line.label })),
    );
  }
  const canvas = node.querySelector("canvas");
  const plot = chartOn(canvas, () => config(chart));
  for (const [i, line] of chart.lines.entries()) {
    plot.data.datasets[i].data = history.t.map((t, at) => ({ x: t, y: history[line.key][at] ?? NaN }));
  }
  fitTime(plot.options.scales.x, history.t[0] ?? 0);
  plot.update("none");
  const something = chart.lines.some((line) => history[line.key].some(Boolean));
  overlay(canvas.parentElement, something ? "" : chart.empty);
  const latest = chart.lines.map((line) => history[line.key].at(-1) ?? null);
  const words = latest.map(
    (value, i) => (value === null ? "none" : chart.text(value)) + (several ? ` ${chart.lines[i].label}` : ""),
  );
  setText(node.querySelector(".latest"), several ? "" : latest[0] === null ? "no job ended" : words[0]);
  setAttribute(canvas, "aria-label", `Line chart: ${chart.title}, last 10 minutes. Now: ${words.join(", ")}.`);
}
