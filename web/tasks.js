// One job's tasks: their order, how long each has waited and run, and that in words. Pure.

import { seconds } from "./format.js";
import { compareNames } from "./names.js";

/** What the page calls a state. A task that is placed is queued as far as anyone knows: only "running" is known to run. */
const STATE_WORDS = { unplaced: "not placed", placed: "queued", running: "running", done: "done", failed: "failed" };

export const stateWords = (state) => STATE_WORDS[state] ?? state;

/** The rows of a job's `tasks` with their numbers, under their workers in the order in which they started. */
export function byWorker(tasks) {
  const start = (task) => task.started_s ?? Number.MAX_VALUE; // finite, so that the difference of two is a number
  return tasks
    .map((task, number) => ({ number, ...task }))
    .sort((one, other) => compareNames(one.worker, other.worker) || start(one) - start(other) || one.number - other.number);
}

/**
 * How long a task waited, and how long it ran, or null if it did not, in seconds. `now_s` is the job's age, at its end or now: what
 * has not started has waited so long, what runs has run until then.
 */
export function spansOf(task, now_s) {
  if (task.started_s === null) return { waited_s: now_s, served_s: null };
  const running_s = task.state === "running" ? Math.max(0, now_s - task.started_s) : null;
  return { waited_s: task.started_s, served_s: task.service_s ?? running_s };
}

/** The end of a scale of time that holds all these tasks; never 0. */
export function endOf(tasks, now_s) {
  const ends = tasks.map((task) => {
    const { waited_s, served_s } = spansOf(task, now_s);
    return waited_s + (served_s ?? 0);
  });
  return Math.max(now_s, 1e-6, ...ends);
}

export function waitWords(task, waited_s) {
  const time = seconds(waited_s);
  if (task.started_s !== null) return `task ${task.number}: waited ${time}`;
  if (task.state === "placed") return `task ${task.number}: queued on ${task.worker}, ${time} after the job was submitted`;
  if (task.state === "failed") return `task ${task.number}: failed, ${task.reason ?? "for no known reason"}`;
  return `task ${task.number}: not placed yet, ${time} after the job was submitted`;
}

export const serviceWords = (task, served_s) =>
  `task ${task.number}: ${task.state === "running" ? "has run for" : "ran"} ${seconds(served_s)} on ${task.worker}`;

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
