// The methods side by side: how far from ideal, where the time goes, what the sampling costs.

import { chartOn, colour, dropDetached, fullName, grid, noBorder, noGrid } from "./charts.js";
import { binOf, jobsEnded, perTask, ratioAt, sharedAxis, sharesOf } from "./comparison.js";
import { drawChip, h, keyed, legend, overlay, setAttribute, setText, table, tableBehind } from "./dom.js";
import { count, plural, ratio, seconds, secondsTick, short, tick } from "./format.js";
import { byId, IDS, jobsAddress } from "./links.js";
import { inLines } from "./names.js";
import { ratioTicks } from "./ticks.js";
import { verdict } from "./verdict.js";

const BAR_PX = 40; // of height for each method in a bar chart
const FEWEST_BARS = 4; // that a bar chart has room for

const TIMES = {
  title: "Mean time of a task",
  canvas: IDS.timesCanvas,
  legend: IDS.timesLegend,
  kinds: [
    { key: "wait_s", label: "wait", colour: "wait" },
    { key: "service_s", label: "service", colour: "run" },
  ],
  valueFor: (method, key) => method[key].mean ?? 0,
  text: seconds,
  onAxis: secondsTick,
};

const MESSAGES = {
  title: "Messages per task",
  canvas: IDS.messagesCanvas,
  legend: IDS.messagesLegend,
  kinds: [
    { key: "probes", label: "probes", colour: "k1" },
    { key: "reservations", label: "reservations", colour: "k2" },
    { key: "no_ops", label: "no-ops", colour: "k3" },
    { key: "cancellations", label: "cancellations", colour: "k4" },
    { key: "pulled", label: "offers", colour: "k5" },
    { key: "bounced", label: "bounces", colour: "k6" },
  ],
  valueFor: perTask,
  text: short,
  onAxis: tick,
};

export function drawMethods({ methods }, registry) {
  const { names } = registry;
  const used = names.filter((name) => methods[name]);
  const axis = sharedAxis(methods);
  const shares = Object.fromEntries(names.map((name) => [name, sharesOf(methods[name], axis)]));
  const heights = names.flatMap((name) => shares[name].map((point) => point.y));
  const top = Math.max(0.05, ...heights) * 1.05;
  keyed(
    byId(IDS.methodsRows),
    names,
    (name) => name,
    methodRow,
    (row, name) => {
      updateRow(row, name, methods[name], registry);
      updateDistribution(row.querySelector("canvas"), name, methods[name], registry, shares[name], axis.bins, top);
    },
  );
  dropDetached(); // of methods that are gone from the registry
  byId(IDS.methodsPair).hidden = byId(IDS.methodsData).hidden = used.length === 0;
  legend(byId(IDS.methodsLegend), [
    { swatch: "line-solid", label: "median" },
    { swatch: "line-dashed", label: "p95" },
  ]);
  const { lead, basis } = verdict(methods, names);
  setText(byId(IDS.methodsVerdict), lead);
  setText(byId(IDS.methodsBasis), basis);
  drawStacked(TIMES, used, methods);
  drawStacked(MESSAGES, used, methods);
  tableBehind(byId(IDS.methodsData), () => methodsTable(used, methods));
}

// A row for each: the distribution of response over ideal

function methodRow(name) {
  const quantile = (label, key) => h("div", {}, h("dt", {}, label), h("dd", { class: key }));
  return h(
    "div",
    { class: "method-row" },
    h(
      "div",
      { class: "name" },
      h("a", { href: jobsAddress({ method: name }) }),
      h("span", { class: "jobs" }),
      h("span", { class: "failed" }),
    ),
    h("div", { class: "plot plot-row" }, h("canvas", { role: "img" })),
    h("dl", { class: "quantiles" }, quantile("median", "p50"), quantile("p95", "p95")),
  );
}

function updateRow(row, name, method, registry) {
  const jobs = jobsEnded(method);
  row.classList.toggle("empty", !jobs);
  drawChip(row.querySelector("a"), registry, name);
  setText(row.querySelector(".jobs"), plural(jobs, "job"));
  const failed = method?.counts.failed_jobs ?? 0;
  setText(row.querySelector(".failed"), failed ? `${plural(failed, "job")} failed, not counted` : "");
  setText(row.querySelector(".p50"), jobs ? ratio(method.slowdown.p50) : "–");
  setText(row.querySelector(".p95"), jobs ? ratio(method.slowdown.p95) : "–");
}

function updateDistribution(canvas, name, method, registry, shares, bins, top) {
  const jobs = jobsEnded(method);
  const chart = chartOn(canvas, distributionConfig);
  chart.p50 = jobs ? method.slowdown.p50 : 0;
  chart.p95 = jobs ? method.slowdown.p95 : 0;
  const [line] = chart.data.datasets;
  line.data = shares;
  line.borderColor = colour(registry.colourName(name)); // each time: the registry may have changed
  line.backgroundColor = `${line.borderColor}80`;
  const summary = registry.summary(name);
  overlay(canvas.parentElement, jobs ? "" : method ? "No job has ended yet" : `Not used yet${summary && `: ${summary}`}`);
  chart.options.scales.x.display = jobs > 0; // an axis without a line says nothing
  chart.options.scales.x.max = bins;
  chart.options.scales.y.max = top;
  chart.update("none");
  const told = jobs
    ? `${plural(jobs, "job")}, median ${ratio(method.slowdown.p50)}, p95 ${ratio(method.slowdown.p95)} ideal`
    : "no jobs yet";
  setAttribute(canvas, "aria-label", `Distribution of response over ideal with ${name}: ${told}.`);
}

/** Vertical lines at the median and at the 95th percentile. */
const marks = {
  id: "marks",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea: area, scales } = chart;
    for (const [value, dash] of [
      [chart.p50, []],
      [chart.p95, [3, 3]],
    ]) {
      if (!value) continue;
      const x = scales.x.getPixelForValue(binOf(value));
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

function distributionConfig() {
  return {
    type: "line",
    plugins: [marks],
    data: { datasets: [{ data: [], stepped: true, fill: "origin", pointRadius: 0, borderWidth: 1.25 }] },
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
          afterBuildTicks: (axis) => {
            axis.ticks = ratioTicks(ratioAt(axis.max), axis.chart.width).map((value) => ({ value: binOf(value) }));
          },
          ticks: { callback: (bin) => `${count(ratioAt(bin))}×`, maxRotation: 0, autoSkip: false, padding: 4 },
        },
        y: { display: false, min: 0 },
      },
      plugins: { tooltip: { enabled: false } },
    },
  };
}

// Stacked bars, one a method

function drawStacked({ title, canvas: id, legend: legendId, kinds, valueFor, text, onAxis }, used, methods) {
  const canvas = byId(id);
  canvas.parentElement.style.height = `${30 + BAR_PX * Math.max(used.length, FEWEST_BARS)}px`;
  const chart = chartOn(canvas, () => stackedConfig(kinds, text, onAxis));
  chart.names = used;
  chart.data.labels = used.map((name) => inLines(name, 14));
  for (const [i, { key }] of kinds.entries()) chart.data.datasets[i].data = used.map((name) => valueFor(methods[name], key));
  chart.update("none");
  legend(
    byId(legendId),
    kinds.map((kind) => ({ swatch: `c-${kind.colour}`, label: kind.label })),
  );
  const values = (name) => kinds.map(({ key, label }) => `${text(valueFor(methods[name], key))} ${label}`).join(", ");
  const told = used.map((name) => `${name}: ${values(name)}`);
  setAttribute(canvas, "aria-label", `${title}. ${told.join("; ") || "No jobs yet"}.`);
}

function stackedConfig(kinds, text, onAxis) {
  const bar = { stack: "all", barThickness: 18, borderRadius: 2 };
  const ticks = { maxTicksLimit: 5, padding: 4, maxRotation: 0, callback: (value, _at, all) => onAxis(value, all.at(-1).value) };
  return {
    type: "bar",
    data: {
      labels: [],
      datasets: kinds.map((kind) => ({ ...bar, label: kind.label, data: [], backgroundColor: colour(kind.colour) })),
    },
    options: {
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: {
        x: { stacked: true, min: 0, grid: grid(), border: noBorder, ticks },
        y: { stacked: true, grid: noGrid, border: { color: colour("line") }, ticks: { padding: 8, crossAlign: "far" } },
      },
      plugins: { tooltip: { callbacks: { title: fullName, label: (item) => ` ${text(item.raw)} ${item.dataset.label}` } } },
    },
  };
}

function methodsTable(used, methods) {
  const rows = used.map((name) => {
    const { slowdown, response_s, wait_s, last_wait_s, service_s, counts } = methods[name];
    const times = [response_s.p50, response_s.p95, last_wait_s.p50, last_wait_s.p95, wait_s.mean, wait_s.p95, service_s.mean];
    return [
      name,
      count(slowdown.count),
      ...[slowdown.p50, slowdown.p95, slowdown.p99].map(ratio),
      ...times.map(seconds),
      ...MESSAGES.kinds.map(({ key }) => short(perTask(methods[name], key))),
      count(counts.retried ?? 0),
      count(counts.failed ?? 0),
      count(counts.failed_jobs ?? 0),
    ];
  });
  const ratios = ["÷ ideal p50", "÷ ideal p95", "÷ ideal p99"];
  const times = ["Response p50", "Response p95", "Last wait p50", "Last wait p95", "Wait mean", "Wait p95", "Service mean"];
  const messages = MESSAGES.kinds.map((kind) => `${kind.label}/task`);
  const header = ["Method", "Jobs", ...ratios, ...times, ...messages, "Run again", "Failed tasks", "Failed jobs"];
  return table(header, rows, "The methods compared; jobs with a failed task are only in the last column");
}
