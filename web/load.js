// The workers now: which are shown, how full each is, and that in words. Pure.

import { ago } from "./format.js";
import { commonPrefix, shortened } from "./names.js";

const IN_CHART_S = 60; // a worker that is gone leaves the chart after this long

/** The workers of the chart, [name, worker] each: those that are up, and those that went a short while ago. */
export function shownWorkers({ workers, now }) {
  return Object.entries(workers).filter(([, worker]) => worker.state === "up" || now - (worker.last_seen ?? 0) < IN_CHART_S);
}

/** The level of a cell of the heat grid: "gone", 0 idle, 1 some slots taken, 2 all taken, up to 6 for four times the slots. */
export function heatLevel(worker) {
  if (worker.state === "gone") return "gone";
  if (!worker.load) return 0;
  const fill = worker.load / worker.slots;
  if (fill <= 1) return fill < 1 ? 1 : 2;
  return Math.min(6, 2 + Math.floor(fill));
}

/** What stands under the bars; `tight` leaves out what all names share. A worker that is gone has a second line. */
export function barLabels(shown, tight) {
  const prefix = tight ? commonPrefix(shown.map(([name]) => name)) : 0;
  return shown.map(([name, worker]) => {
    const label = prefix ? name.slice(prefix) : shortened(name, 14);
    return worker.state === "gone" ? [label, "gone"] : label;
  });
}

/** "up", or since when it is gone. `now` is the server's. */
export function workerStateWords(worker, now) {
  if (worker.state === "up") return "up";
  return worker.last_seen === null ? "gone, never answered" : `gone, last seen ${ago(now - worker.last_seen)}`;
}
