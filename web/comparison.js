// The methods compared: how far from ideal their jobs ended, in shares of the jobs and in words. Pure.

import { ratio, seconds } from "./format.js";

const BINS_PER_DECADE = 20; // as the server makes them
const ENOUGH_JOBS = 5; // of each of two methods, before one is called better
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

/** Which method of `names` is better so far, and why, in words; careful with few jobs. */
export function verdict(methods, names) {
  const told = names.filter((name) => jobsEnded(methods[name]) >= ENOUGH_JOBS);
  if (told.length < 2) return "Run the same jobs with two methods or more, and this says which served them better, and why.";
  const median = (name) => methods[name].slowdown.p50;
  const [best, ...others] = [...told].sort((one, other) => median(one) - median(other));
  const worst = others.at(-1);
  const near = others.filter((name) => median(name) < median(best) * 1.05);
  const lead = near.length ? `${[best, ...near].join(" and ")} are closest to ideal so far` : `${best} is closest to ideal so far`;
  if (near.includes(worst)) return `${lead}: half of their jobs ended within ${ratio(median(worst))} ideal.`;
  const wait = (name) => methods[name].wait_s.mean;
  const found = `half of its jobs ended within ${ratio(median(best))} ideal, with ${worst} within ${ratio(median(worst))}.`;
  const why = `What differs is waiting: a task waited ${seconds(wait(best))} on average, with ${worst} ${seconds(wait(worst))}.`;
  return `${lead}: ${found} ${wait(best) < wait(worst) ? `${why} ` : ""}Only equal loads compare fairly.`;
}
