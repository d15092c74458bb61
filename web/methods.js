// The four methods side by side: how far from ideal, where the time goes, what the sampling costs.

import { METHODS, chartOn, colour, grid, methodClass, noBorder, noGrid } from "./charts.js";
import { h, keyed, legend, setAttribute, setText, table, tableBehind } from "./dom.js";
import { count, plural, ratio, seconds, secondsTick, short, tick } from "./format.js";

const BINS_PER_DECADE = 20; // as the server makes them
const ENOUGH_JOBS = 5; // of each of two methods, before one is called better
const NICE = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000];

const byId = (id) => document.getElementById(id);
const bin = (x) => Math.log10(Math.max(x, 1)) * BINS_PER_DECADE;

/** Vertical lines at the median and at the 95th percentile. */
const marks = {
  id: "marks",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea: area, scales } = chart;
    for (const [value, dash] of [[chart.p50, []], [chart.p95, [3, 3]]]) {
      if (!value) continue;
      const x = scales.x.getPixelForValue(bin(value));
      ctx.save();
      ctx.strokeStyle = colour("text");
      ctx.lineWidth = 1.75;
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(x, area.top);
      ctx.lineTo(x, area.bottom);
      ctx.stroke();
      ctx.restore();
    }
  },
};

function distributionConfig(method) {
  return {
    type: "line",
    plugins: [marks],
    data: {
      datasets: [
        {
          data: [],
          stepped: true,
          fill: "origin",
          pointRadius: 0,
          borderWidth: 1.25,
          borderColor: colour(methodClass(method)),
          backgroundColor: `${colour(methodClass(method))}80`,
        },
      ],
    },
    options: {
      events: [],
      animation: false,
      layout: { padding: { right: 8, top: 2 } },
      scales: {
        x: {
          type: "linear",
          min: 0,
          grid: grid(),
          border: { color: colour("line") },
          afterBuildTicks: (axis) => (axis.ticks = niceTicks(axis.max, axis.chart.width).map((x) => ({ value: bin(x) }))),
          ticks: { callback: (value) => `${count(10 ** (value / BINS_PER_DECADE))}×`, maxRotation: 0, autoSkip: false, padding: 4 },
        },
        y: { display: false, min: 0 },
      },
      plugins: { tooltip: { enabled: false } },
    },
  };
}

function niceTicks(max, width) {
  const inside = NICE.filter((x) => bin(x) <= max + 0.01);
  const tight = (inside.length > 8 || width < 340) && max > 20;
  return tight ? inside.filter((x) => !/^[35]/.test(String(x)) || max < 30) : inside;
}

export function drawMethods(stats) {
  const { methods } = stats;
  const range = Math.max(8, ...Object.values(methods).flatMap((m) => m.slowdown.histogram.map(([edge]) => Math.round(bin(edge)) + 1)));
  const step = range > 24 ? 2 : 1; // wider bars when there is more to show
  const shares = Object.fromEntries(METHODS.map((method) => [method, sharesOf(methods[method], range, step)]));
  const top = Math.max(0.05, ...Object.values(shares).flat().map((point) => point.y)) * 1.05;
  keyed(byId("methods-rows"), METHODS, (method) => method, methodRow, (row, method) => {
    const known = methods[method];
    const jobs = known?.slowdown.count ?? 0;
    row.classList.toggle("empty", !jobs);
    setText(row.querySelector(".jobs"), jobs ? plural(jobs, "job") : known ? "no job has ended yet" : "not used yet");
    setText(row.querySelector(".p50"), jobs ? ratio(known.slowdown.p50) : "–");
    setText(row.querySelector(".p95"), jobs ? ratio(known.slowdown.p95) : "–");
    const canvas = row.querySelector("canvas");
    const chart = chartOn(canvas, () => distributionConfig(method));
    chart.p50 = jobs ? known.slowdown.p50 : 0;
    chart.p95 = jobs ? known.slowdown.p95 : 0;
    chart.data.datasets[0].data = shares[method];
    chart.options.scales.x.max = range;
    chart.options.scales.y.max = top;
    chart.update("none");
    const told = jobs ? `${plural(jobs, "job")}, median ${ratio(known.slowdown.p50)}, p95 ${ratio(known.slowdown.p95)} ideal` : "no jobs yet";
    setAttribute(canvas, "aria-label", `Distribution of response over ideal with ${method}: ${told}.`);
  });
  for (const part of document.querySelectorAll("#methods .pair, #methods-data")) part.hidden = !Object.keys(methods).length;
  legend(byId("methods-legend"), [{ swatch: "line-solid", label: "median" }, { swatch: "line-dashed", label: "p95" }]);
  setText(byId("methods-verdict"), verdict(methods));
  drawTimes(methods);
  drawMessages(methods);
  tableBehind(byId("methods-data"), () => methodsTable(methods));
}

function methodRow(method) {
  return h(
    "div",
    { class: "method-row" },
    h("div", { class: "name" }, h("a", { href: `#/jobs?method=${encodeURIComponent(method)}`, class: `chip ${methodClass(method)}` }, method), h("span", { class: "jobs" })),
    h("div", { class: "plot plot-row" }, h("canvas", { role: "img" })),
    h("dl", { class: "quantiles" }, h("div", {}, h("dt", {}, "median"), h("dd", { class: "p50" })), h("div", {}, h("dt", {}, "p95"), h("dd", { class: "p95" }))),
  );
}

/** The distribution as points of a stepped line, in shares of the method's jobs. */
function sharesOf(method, range, step) {
  const jobs = method?.slowdown.count ?? 0;
  if (!jobs) return [];
  const bars = new Array(Math.ceil(range / step)).fill(0);
  for (const [edge, jobsIn] of method.slowdown.histogram) bars[Math.min(bars.length - 1, Math.floor((Math.round(bin(edge)) - 1) / step))] += jobsIn / jobs;
  return [...bars.map((y, i) => ({ x: i * step, y })), { x: bars.length * step, y: 0 }];
}

/** Which is better so far, and why, in words; careful with few jobs. */
function verdict(methods) {
  const told = METHODS.filter((method) => (methods[method]?.slowdown.count ?? 0) >= ENOUGH_JOBS);
  if (told.length < 2) return "Run the same jobs with two methods or more, and this says which served them better, and why.";
  const by = (method) => methods[method].slowdown.p50;
  const [best, ...others] = [...told].sort((one, other) => by(one) - by(other));
  const worst = others.at(-1);
  const near = others.filter((method) => by(method) < by(best) * 1.05);
  const lead = near.length ? `${[best, ...near].join(" and ")} are closest to ideal so far` : `${best} is closest to ideal so far`;
  if (near.includes(worst)) return `${lead}: half of their jobs ended within ${ratio(by(worst))} ideal.`;
  const wait = (method) => methods[method].wait_s.mean;
  const why = wait(best) < wait(worst) ? ` What differs is waiting: a task waited ${seconds(wait(best))} on average, with ${worst} ${seconds(wait(worst))}.` : "";
  return `${lead}: half of its jobs ended within ${ratio(by(best))} ideal, with ${worst} within ${ratio(by(worst))}.${why} Only equal loads compare fairly.`;
}

const TIMES = [
  { key: "wait_s", label: "wait", colour: "wait" },
  { key: "service_s", label: "service", colour: "run" },
];

const MESSAGES = [
  { key: "probes", label: "probes", colour: "k1" },
  { key: "reservations", label: "reservations", colour: "k2" },
  { key: "no_ops", label: "no-ops", colour: "k3" },
  { key: "cancellations", label: "cancellations", colour: "k4" },
];

function stackedConfig(kinds, text, onAxis) {
  return {
    type: "bar",
    data: {
      labels: [],
      datasets: kinds.map((kind) => ({ label: kind.label, data: [], backgroundColor: colour(kind.colour), stack: "all", barThickness: 18, borderRadius: 2 })),
    },
    options: {
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: {
        x: { stacked: true, min: 0, grid: grid(), border: noBorder, ticks: { maxTicksLimit: 5, padding: 4, maxRotation: 0, callback: (value, at, ticks) => onAxis(value, ticks.at(-1).value) } },
        y: { stacked: true, grid: noGrid, border: { color: colour("line") }, ticks: { padding: 8, crossAlign: "far" } },
      },
      plugins: { tooltip: { callbacks: { label: (item) => ` ${text(item.raw)} ${item.dataset.label}` } } },
    },
  };
}

function drawStacked(canvasId, legendId, kinds, methods, valueOf, text, onAxis, title) {
  const canvas = byId(canvasId);
  const chart = chartOn(canvas, () => stackedConfig(kinds, text, onAxis));
  const seen = METHODS.filter((method) => methods[method]);
  chart.data.labels = seen.map((method) => (method === "BATCH+LATE_BINDING" ? ["BATCH+", "LATE_BINDING"] : method));
  kinds.forEach((kind, i) => (chart.data.datasets[i].data = seen.map((method) => valueOf(methods[method], kind.key))));
  chart.update("none");
  legend(byId(legendId), kinds.map((kind) => ({ swatch: `c-${kind.colour}`, label: kind.label })));
  const told = seen.map((method) => `${method}: ${kinds.map((kind) => `${text(valueOf(methods[method], kind.key))} ${kind.label}`).join(", ")}`);
  setAttribute(canvas, "aria-label", `${title}. ${told.join("; ") || "No jobs yet"}.`);
}

function drawTimes(methods) {
  drawStacked("times-canvas", "times-legend", TIMES, methods, (method, key) => method[key].mean ?? 0, seconds, secondsTick, "Mean time of a task");
}

function drawMessages(methods) {
  drawStacked("messages-canvas", "messages-legend", MESSAGES, methods, perTask, short, tick, "Messages per task");
}

const perTask = (method, key) => (method.counts.tasks ? (method.counts[key] ?? 0) / method.counts.tasks : 0);

function methodsTable(methods) {
  const rows = METHODS.filter((method) => methods[method]).map((method) => {
    const m = methods[method];
    return [
      method, count(m.slowdown.count), ratio(m.slowdown.p50), ratio(m.slowdown.p95), ratio(m.slowdown.p99),
      seconds(m.response_s.p50), seconds(m.response_s.p95), seconds(m.wait_s.mean), seconds(m.wait_s.p95), seconds(m.service_s.mean),
      ...MESSAGES.map((kind) => short(perTask(m, kind.key))), count(m.counts.retried ?? 0), count(m.counts.failed ?? 0),
    ];
  });
  const header = ["Method", "Jobs", "÷ ideal p50", "p95", "p99", "Response p50", "p95", "Wait mean", "p95", "Service mean"];
  return table([...header, ...MESSAGES.map((kind) => `${kind.label}/task`), "Run again", "Failed"], rows, "The methods compared");
}
