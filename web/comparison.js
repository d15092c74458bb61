// The methods compared: how far from ideal their jobs ended, in shares of the jobs, and what they sent. Pure.

const BINS_PER_DECADE = 20; // as the server makes them
const FEWEST_BINS = 8; // of the axis
const FINE_BINS = 24; // with more than so many, two share a bar

/** The place of a ratio on the axis, in bins; below 1 counts as 1. */
export const binOf = (value) => Math.log10(Math.max(value, 1)) * BINS_PER_DECADE;

export const ratioAt = (bin) => 10 ** (bin / BINS_PER_DECADE);

/** How many jobs of a method have ended; `method` is its entry of the snapshot's `methods`, if there is one. */
export const jobsEnded = (method) => method?.slowdown.count ?? 0;

/** The axis that all distributions share: { bins, step }; a bar is `step` bins wide. */
export function sharedAxis(methods) {
  const edges = Object.values(methods).flatMap((method) => method.slowdown.histogram.map(([edge]) => Math.round(binOf(edge)) + 1));
  const bins = Math.max(FEWEST_BINS, ...edges);
  return { bins, step: bins > FINE_BINS ? 2 : 1 };
}

/** A method's distribution as points of a stepped line { x in bins, y in shares of its jobs }; none while no job has ended. */
export function sharesOf(method, { bins, step }) {
  const jobs = jobsEnded(method);
  if (!jobs) return [];
  const bars = new Array(Math.ceil(bins / step)).fill(0);
  for (const [edge, jobsIn] of method.slowdown.histogram) {
    const bar = Math.floor((Math.round(binOf(edge)) - 1) / step);
    bars[Math.min(bars.length - 1, bar)] += jobsIn / jobs;
  }
  return [...bars.map((y, i) => ({ x: i * step, y })), { x: bars.length * step, y: 0 }];
}

/** How many messages of a kind the method sent for a task, on average. */
export const perTask = (method, kind) => (method.counts.tasks ? (method.counts[kind] ?? 0) / method.counts.tasks : 0);
