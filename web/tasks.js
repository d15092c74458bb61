// One job's tasks: their order, what became of each in time, and that in words. Pure.

import { seconds } from "./format.js";
import { compareNames } from "./names.js";

/** What the page calls a state. A task that is placed may have begun: only "running" is known to run. */
const STATE_WORDS = { unplaced: "not placed", placed: "queued or running" };

export const stateWords = (state) => STATE_WORDS[state] ?? state;

/** Where a task stands in a picture of its job: under its worker, or with those that have none. */
export const groupOf = ({ worker, state }) => worker ?? (state === "failed" ? "failed" : "not placed");

/** The rows of a job's `tasks` with their numbers, under their workers in the order in which they started; see `groupOf`. */
export function byWorker(tasks) {
  const start = (task) => task.started_s ?? Number.MAX_VALUE; // finite, so that the difference of two is a number
  const group = (one, other) => compareNames(one.worker, other.worker) || compareNames(groupOf(one), groupOf(other));
  return tasks
    .map((task, number) => ({ number, ...task }))
    .sort((one, other) => group(one, other) || start(one) - start(other) || one.number - other.number);
}

/**
 * What became of a task, in time: parts { kind, from, to, words }, one after the other, in seconds from the job's submission. A kind
 * is one of PARTS. `now_s` is the job's age, at its end or now: what goes on, goes on until then.
 */
export function partsOf(task, now_s) {
  const parts = [];
  let at = 0;
  for (const one of task.lost) {
    const begun = one.started_s ?? one.placed_s;
    parts.push(waiting(task, at, begun), lostAttempt(task, one, begun));
    at = one.lost_s;
  }
  parts.push(...present(task, at, Math.max(now_s, at)));
  return parts.filter(({ from, to, kind }) => kind !== "wait" || to > from);
}

/** The kinds of parts, and what a legend calls them. */
export const PARTS = {
  wait: "wait",
  held: "queued or running",
  open: "running",
  serve: "service",
  lost: "attempt lost with its worker",
};

const waiting = ({ number }, from, to) => ({ kind: "wait", from, to, words: `task ${number}: waited ${seconds(to - from)}` });

function lostAttempt({ number }, { attempt, worker, started_s, lost_s }, from) {
  const did = started_s === null ? "was there, queued or running, for" : "ran for";
  const words = `task ${number}, attempt ${attempt}: ${did} ${seconds(lost_s - from)} on ${worker}, and was lost with it`;
  return { kind: "lost", from, to: lost_s, words, worker };
}

/** The present attempt, which began to wait at `at`. */
function present(task, at, now_s) {
  const { number, worker, state, started_s, placed_s, service_s } = task;
  const open = (kind, from, words) => ({ kind, from, to: Math.max(from, now_s), words: `task ${number}: ${words}` });
  if (state === "failed") return [];
  if (state === "unplaced") return [open("wait", at, `not placed yet, ${seconds(now_s)} after the job was submitted`)];
  if (started_s === null) {
    const placed = placed_s ?? at;
    return [waiting(task, at, placed), open("held", placed, `queued or running on ${worker} for ${seconds(now_s - placed)}`)];
  }
  const wait = waiting(task, at, started_s);
  if (service_s === null)
    return [wait, open("open", started_s, `has run for ${seconds(Math.max(0, now_s - started_s))} on ${worker}`)];
  return [
    wait,
    { kind: "serve", from: started_s, to: started_s + service_s, words: `task ${number}: ran ${seconds(service_s)} on ${worker}` },
  ];
}

/** The end of a scale of time that holds all these parts; never 0. */
export const endOf = (parts, now_s) => parts.reduce((end, { to }) => Math.max(end, to), Math.max(now_s, 1e-6));

export const reasonWords = ({ reason }) => reason ?? "for no known reason";

/** Each lost attempt in words, such as "host3 after 2.50 s". */
export const lostWords = ({ lost }) => lost.map(({ worker, lost_s }) => `${worker} after ${seconds(lost_s)}`).join(", ");

/** Why tasks failed: { reason, tasks } each, the most frequent reason first. */
export function failures(tasks) {
  const counts = new Map();
  for (const task of tasks) {
    if (task.state === "failed") counts.set(task.reason, (counts.get(task.reason) ?? 0) + 1);
  }
  return [...counts].map(([reason, failed]) => ({ reason, tasks: failed })).sort((one, other) => other.tasks - one.tasks);
}

const URGENCY = { running: 0, placed: 1, unplaced: 2 }; // what has ended comes last

/** The tasks of a worker: what runs, what waits, what has ended; among those the newest first. */
export function byUrgency(tasks) {
  const rank = (task) => (task.lost_here ? 3 : (URGENCY[task.state] ?? 3));
  const when = (task) => task.submitted + (task.started_s ?? 0);
  return [...tasks].sort((one, other) => rank(one) - rank(other) || when(other) - when(one));
}

/** How a task of a worker is told: { words, look }; `look` is the state whose colour it has. */
export const stateOnWorker = (task) =>
  task.lost_here ? { words: "lost here", look: "failed" } : { words: stateWords(task.state), look: task.state };
