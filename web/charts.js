// Chart.js, set up once: colours from the style sheet, type sizes, no movement for those who want none.

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Map(); // canvas -> { chart, make }

export const METHODS = ["RANDOM", "CHOOSE_TWO", "BATCH", "BATCH+LATE_BINDING"];

/** The style-sheet class of a method's colour. */
export const methodClass = (method) => `m${METHODS.indexOf(method) + 1}`;

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
  all.animation = still.matches ? false : { duration: 350, easing: "easeOutQuad" };
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
    fresh.data.datasets.forEach((set, i) => (set.data = data.datasets[i]?.data ?? set.data));
    entry.chart = new Chart(canvas, fresh);
  }
  dispatchEvent(new Event("restyled"));
}

dark.addEventListener("change", () => setTimeout(remake)); // after theme.js has set the colours
still.addEventListener("change", remake);

export const grid = () => ({ color: colour("line"), tickColor: "transparent", drawTicks: false });
export const noGrid = { display: false, drawTicks: false };
export const noBorder = { display: false };
