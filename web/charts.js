// Chart.js, set up once: colours from the style sheet, type sizes, no movement for those who want none.

import { timeSpan } from "./ticks.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Map(); // canvas -> { chart, make }
const movement = Chart.defaults.animation; // extended, never replaced: what moves needs the rest of it

/** The value of a colour of the style sheet now, light or dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Stripes, so that what is gone differs by more than its colour. */
export function stripes(name) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour(name);
  pen.lineWidth = 2;
  pen.beginPath();
  for (const start of [-8, 0, 8]) {
    pen.moveTo(start, 8);
    pen.lineTo(start + 8, 0);
  }
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}

function defaults() {
  const all = Chart.defaults;
  all.font.family = getComputedStyle(document.body).fontFamily;
  all.font.size = 12;
  all.color = colour("muted");
  all.borderColor = colour("line");
  all.animation = still.matches ? false : Object.assign(movement, { duration: 350, easing: "easeOutQuad" });
  all.maintainAspectRatio = false;
  all.plugins.legend.display = false;
  Object.assign(all.plugins.tooltip, {
    backgroundColor: colour("tip"),
    titleColor: colour("tip-text"),
    bodyColor: colour("tip-text"),
    padding: 9,
    cornerRadius: 6,
    boxPadding: 4,
    usePointStyle: true,
  });
}

/** The chart on a canvas; `make` returns its configuration and is asked again when the colours change. */
export function chartOn(canvas, make) {
  let entry = charts.get(canvas);
  if (!entry) {
    defaults();
    entry = { chart: new Chart(canvas, make()), make };
    charts.set(canvas, entry);
  }
  return entry.chart;
}

/** Forget the charts whose canvases have left the page. */
export function dropDetached() {
  for (const [canvas, { chart }] of charts) {
    if (!canvas.isConnected) {
      chart.destroy();
      charts.delete(canvas);
    }
  }
}

function remake() {
  for (const [canvas, entry] of charts) {
    const { data } = entry.chart;
    entry.chart.destroy();
    defaults();
    const fresh = entry.make();
    fresh.data.labels = data.labels;
    for (const [i, set] of fresh.data.datasets.entries()) set.data = data.datasets[i]?.data ?? set.data;
    entry.chart = new Chart(canvas, fresh);
  }
  dispatchEvent(new Event("restyled"));
}

dark.addEventListener("change", () => setTimeout(remake)); // after theme.js has set the colours
still.addEventListener("change", remake);

export const grid = () => ({ color: colour("line"), tickColor: "transparent", drawTicks: false });
export const noGrid = { display: false, drawTicks: false };
export const noBorder = { display: false };

/** The title of a tooltip: the name of the hovered bar, of which the axis may show a part. The chart has it in `names`. */
export const fullName = ([item]) => item?.chart.names[item.dataIndex] ?? "";

/** Show the span of time that holds what there is, whose oldest point is at `oldest` seconds. */
export function fitTime(axis, oldest) {
  const { min, stepSize } = timeSpan(oldest);
  axis.min = min;
  axis.ticks.stepSize = stepSize;
}
