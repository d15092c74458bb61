// The workers now: which are shown, how full each is, and that in words. Pure.

import { ago, count, plural } from "./format.js";
import { commonPrefix, shortened } from "./names.js";

const GONE_IN_CHART_S = 60; // a worker that is gone leaves the chart after this long
const NOT_UP = ["gone", "silent", "unreadable"]; // states, beside "up"

/** The workers of the chart, [name, worker] each: all but those that went a while ago. */
export function shownWorkers({ workers, now }) {
  const shown = ({ state, since, last_seen }) => state !== "gone" || (last_seen !== null && now - since < GONE_IN_CHART_S);
  return Object.entries(workers).filter(([, worker]) => shown(worker));
}

/** The workers that are not up but once were, [name, worker] each, the latest first. */
export function missingWorkers({ workers }) {
  const missing = Object.entries(workers).filter(([, { state, last_seen }]) => state !== "up" && last_seen !== null);
  return missing.sort(([, one], [, other]) => other.since - one.since);
}

/** What each level of the heat grid says, least load first; see `heatLevel`. */
export const HEAT_WORDS = [
  "idle",
  "some slots busy",
  "all slots busy",
  "more than its slots",
  "2 times",
  "3 times",
  "4 times and more",
];

/** The level of a cell of the heat grid: an index of HEAT_WORDS, by load over slots, or "off" for a worker that is not up. */
export function heatLevel({ state, load, slots }) {
  if (state !== "up") return "off";
  if (!load) return 0;
  const fill = load / slots;
  if (fill <= 1) return fill < 1 ? 1 : 2;
  return Math.min(HEAT_WORDS.length - 1, 2 + Math.floor(fill));
}

/** What stands under the bars; `tight` leaves out what all names share. A worker that is not up has a second line. */
export function barLabels(shown, tight) {
  const prefix = tight ? commonPrefix(shown.map(([name]) => name)) : 0;
  return shown.map(([name, { state }]) => {
    const label = prefix ? name.slice(prefix) : shortened(name, 14);
    return state === "up" ? label : [label, state];
  });
}

/** The states in which workers of these are, but for "up": what the stripes of a chart mean. Empty if all are up. */
export function stripedWords(shown) {
  const states = new Set(shown.map(([, { state }]) => state));
  return NOT_UP.filter((state) => states.has(state)).join(" or ");
}

/** The load of a worker in words, such as "1 running, 2 waiting". */
export function loadWords({ state, load, running }) {
  return state === "up" ? `${count(running)} running, ${count(load - running)} waiting` : state;
}

/** What the chart shows as a whole, in a sentence or two. */
export function loadSummary(shown) {
  const up = shown.filter(([, { state }]) => state === "up");
  const busy = up.filter(([, { load }]) => load > 0).length;
  const fullest = Math.max(0, ...up.map(([, { load }]) => load));
  const others = shown.filter(([, { state }]) => state !== "up").map(([name, { state }]) => `${name} is ${state}`);
  const summary = `${plural(shown.length, "worker")}: ${count(busy)} busy, the fullest has ${count(fullest)}.`;
  return others.length ? `${summary} ${others.join(", ")}.` : summary;
}

/** How many workers are not up, such as "2 gone, 1 silent"; empty when all are. */
export function notUpWords(totals) {
  const numbers = NOT_UP.map((state) => [state, totals[`workers_${state}`]]);
  return numbers
    .filter(([, number]) => number)
    .map(([state, number]) => `${count(number)} ${state}`)
    .join(", ");
}

/** "up", or what else, and since when nothing was heard of it. `now` is the server's. */
export function workerStateWords({ state, last_seen }, now) {
  if (state === "up" || state === "unreadable") return state;
  return `${state}, ${last_seen === null ? "never answered" : `last seen ${ago(now - last_seen)}`}`;
}
