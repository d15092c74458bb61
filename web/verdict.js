// Which method served its jobs better, in words, where that can be said: at like loads, and by more than chance. Pure.

import { percent, plural, ratio, seconds } from "./format.js";

const ALIKE = 0.05; // of offered load, that methods may differ, or
const ALIKE_SHARE = 0.1; // this part of the larger one
const QUANTILES = ["p50", "p95"];
const SHARES = { p50: "half", p95: percent(0.95) };
const PLACES = { p50: "median", p95: "95th percentile" };
const INVITATION = "Run the same jobs with two methods or more, and this says which served them better.";

/**
 * { lead, basis }: the verdict on `names` of `methods`, and what it is based on, from the `recent` of each. What is compared is response
 * over ideal; see `isBetter`. Unless two methods can be compared, the lead says what to do.
 */
export function verdict(methods, names) {
  const used = names.filter((name) => methods[name]);
  if (used.length < 2) return { lead: INVITATION, basis: "" };
  const recent = (name) => methods[name].recent;
  const alike = alikeLoads(used, recent);
  const told = (names) => listed(names.map((name) => `${name} (${whyNot(recent(name))})`));
  if (alike.length < 2) return { lead: `No two methods can be compared yet. ${INVITATION}`, basis: `${told(used)}.` };
  const others = used.filter((name) => !alike.includes(name));
  return { lead: ranked(alike, recent), basis: `${basis(alike, recent)}${others.length ? ` Not compared: ${told(others)}.` : ""}` };
}

// What can be compared

/** The largest part of the methods that can be compared and were offered like loads; of parts of one size, that with more jobs. */
export function alikeLoads(names, recent) {
  const load = (name) => recent(name).offered_load;
  const fit = names.filter((name) => load(name) !== null && enough(recent(name)));
  const near = (low, high) => high >= low && high - low <= Math.max(ALIKE, ALIKE_SHARE * high) + 1e-9;
  const parts = fit.map((least) => fit.filter((name) => near(load(least), load(name))));
  const jobs = (part) => part.reduce((sum, name) => sum + recent(name).jobs, 0);
  const [largest = []] = parts.sort((one, other) => other.length - one.length || jobs(other) - jobs(one));
  return largest;
}

const enough = ({ slowdown: { p50 } }) => p50.low !== null && p50.high !== null;

/** Why a method is not compared with others. */
function whyNot({ jobs, offered_load, ...figures }) {
  if (jobs === 0) return "no job of late";
  if (!enough(figures)) return `${plural(jobs, "job")}, too few`;
  return offered_load === null ? "offered load not known" : `offered a load of ${percent(offered_load)}`;
}

/** -1 if the first quantile is less by more than chance, 1 if it is more, 0 if chance explains the difference: a bound may be null. */
export function compared(one, other) {
  const below = ({ high }, { low }) => high !== null && low !== null && high < low;
  return below(one, other) ? -1 : below(other, one) ? 1 : 0;
}

/** Whether jobs ended nearer to ideal by more than chance at the median or at the 95th percentile, and at none of the two farther. */
export function isBetter(one, other) {
  const signs = QUANTILES.map((key) => compared(one.slowdown[key], other.slowdown[key]));
  return signs.includes(-1) && !signs.includes(1);
}

// In words

function ranked(names, recent) {
  const beats = (name, other) => isBetter(recent(name), recent(other));
  const best = names.filter((name) => !names.some((other) => beats(other, name)));
  const beaten = names.filter((name) => best.length && best.every((one) => beats(one, name)));
  const figures = (some, key) =>
    range(
      some.map((name) => recent(name).slowdown[key].value),
      ratio,
    );
  if (beaten.length === 0) {
    const all = `Half of their jobs ended within ${figures(names, "p50")} ideal, ${SHARES.p95} within ${figures(names, "p95")}.`;
    return `${listed(names)}: ${undecided(names, recent)}. ${all}`;
  }
  const last = beaten.reduce((one, other) => (median(recent(other)) > median(recent(one)) ? other : one));
  const lead =
    best.length === 1 ? `${best[0]} served its jobs best` : `${listed(best)} served their jobs best (${undecided(best, recent)})`;
  const found = QUANTILES.map((key) =>
    best.every((one) => compared(recent(one).slowdown[key], recent(last).slowdown[key]) === -1)
      ? `${SHARES[key]} ended within ${figures(best, key)} ideal, with ${last} within ${figures([last], key)}`
      : `at the ${PLACES[key]} chance may explain the difference`,
  );
  return [`${lead}: ${found.join("; ")}.`, ...lastTask(best, last, recent)].join(" ");
}

const median = ({ slowdown }) => slowdown.p50.value;

/** A job waits for its last task: said if that waited less with each of the best, by more than chance. */
function lastTask(best, last, recent) {
  const wait = (name) => recent(name).last_wait_s.p50;
  if (!best.every((name) => compared(wait(name), wait(last)) === -1)) return [];
  const waits = best.map((name) => wait(name).value);
  return [`A job waits for its last task, at the median ${range(waits, seconds)}, with ${last} ${seconds(wait(last).value)}.`];
}

/** What to say of methods of which none is better than the others. */
function undecided(names, recent) {
  for (const [i, one] of names.entries()) {
    for (const other of names.slice(i + 1)) {
      const [p50, p95] = QUANTILES.map((key) => compared(recent(one).slowdown[key], recent(other).slowdown[key]));
      if (p50 * p95 < 0) return `${p50 < 0 ? one : other} is better at the median, ${p50 < 0 ? other : one} at the 95th percentile`;
    }
  }
  return "chance may explain the differences between them";
}

function basis(names, recent) {
  const jobs = names.map((name) => recent(name).jobs);
  const alike = jobs.every((number) => number === jobs[0]);
  const numbers = alike
    ? `${plural(jobs[0], "job")} each`
    : listed(names.map((name) => `${plural(recent(name).jobs, "job")} with ${name}`));
  const loads = range(
    names.map((name) => recent(name).offered_load),
    percent,
  );
  return `Last ${Math.round(recent(names[0]).window_s / 60)} minutes; offered load ${loads}; ${numbers}.`;
}

/** The least and the largest in words, or one of them if they are the same in words. */
function range(values, words) {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(words);
  return least === most ? least : `${least} to ${most}`;
}

/** "A", "A and B", "A, B and C". */
const listed = (names) => (names.length < 2 ? (names[0] ?? "") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
