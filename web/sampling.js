// Why a task went where it went: which workers were asked for it, what they answered, which was taken. Pure.

import { count, plural, seconds } from "./format.js";
import { compareNames } from "./names.js";

const MOST_PROBES = 24; // shown of one task

/** What a method asks workers for, as the registry says; of a method that is not in it, what the job shows. */
export function samplesOf(job, told) {
  if (told) return told;
  if (job.pulled.length) return "idle workers";
  if (job.reservations.length) return "reservations";
  return job.decisions.some(({ loads }) => Object.keys(loads).length) ? "per job" : "nothing";
}

/** `probed` in as many parts as there are tasks, in order, as even as they go. */
export function divided(probed, tasks) {
  const border = (i) => Math.floor((i * probed.length) / tasks);
  return Array.from({ length: tasks }, (_, i) => probed.slice(border(i), border(i + 1)));
}

/**
 * The first `most` tasks of the decisions: { task, worker, probes, left }; see `probesOf`. A probe is { worker, load, own }: what the
 * worker answered, null if nothing, and how many of this job's earlier tasks counted beside it.
 */
export function placements(decisions, samples, most) {
  const rows = [];
  for (const decision of decisions) {
    const probesFor = samples === "per task" ? perTask(decision) : samples === "per job" ? perJob(decision) : () => [];
    for (const [i, task] of decision.tasks.entries()) {
      if (rows.length === most) return rows;
      rows.push({ task, worker: decision.chosen[i], ...probesOf(probesFor(i), decision.chosen[i]) });
    }
  }
  return rows;
}

/** Each task has probes of its own, and `counted` says what was compared: loads with this job's earlier tasks. */
function perTask({ tasks, probed, loads, counted }) {
  const parts = divided(probed, tasks.length);
  return (i) =>
    byLoad(
      parts[i].map((worker, at) => {
        const load = loadOf(loads, worker);
        return { worker, load, own: load === null ? 0 : (counted?.[i]?.[at] ?? load) - load };
      }),
    );
}

/** All tasks share the probes. With few workers they go in waves: each takes the job's tasks of earlier waves for load. */
function perJob({ probed, loads, chosen }) {
  const answers = byLoad([...new Set(probed)].map((worker) => ({ worker, load: loadOf(loads, worker), own: 0 })));
  const placed = new Map(); // worker -> of this decision's tasks, those before the one that is asked for
  let next = 0;
  return (i) => {
    for (; next < i; next++) placed.set(chosen[next], (placed.get(chosen[next]) ?? 0) + 1);
    return answers.map((probe) => ({ ...probe, own: probe.load === null ? 0 : (placed.get(probe.worker) ?? 0) }));
  };
}

const loadOf = (loads, worker) => (Object.hasOwn(loads, worker) ? loads[worker] : null);

/** The least loaded first; those that did not answer come last. */
function byLoad(probes) {
  const total = ({ load, own }) => load + own;
  return probes.sort(
    (one, other) =>
      (one.load === null) - (other.load === null) || total(one) - total(other) || compareNames(one.worker, other.worker),
  );
}

/** What is shown of these probes: the least loaded and in any case the one that was taken; `left` is how many are not. */
function probesOf(asked, taken) {
  const probes = asked.filter(({ worker }, i) => i < MOST_PROBES || worker === taken);
  return { probes, left: asked.length - probes.length };
}

// Idle workers

/** What became of the tasks that went to idle workers, such as "11 tasks given to idle workers, of which 1 came back". */
export function pulledWords(all) {
  const back = all.filter(({ bounced }) => bounced).length;
  return `${plural(all.length, "task")} given to idle workers${back ? `, of which ${count(back)} came back` : ""}.`;
}

/** Why a task went to a worker: how long ago that had said that it was idle, to whom before, and whether it was busy after all. */
export function toldWords({ idle_s, told, bounced }) {
  const when = idle_s > 0 ? `idle: said so ${seconds(idle_s)} before` : "idle: had just said so";
  const others = told ? `, to ${plural(told, "other scheduler")} too` : "";
  return `${when}${others}${bounced ? "; sent back: busy by then" : ""}`;
}

// Reservations

const FATES = ["assigned", "no-op", "cancelled", "lost", "queued"]; // states of a reservation, in the order in which they are counted
const FATE_WORDS = {
  assigned: "got a task",
  "no-op": "came when no task was left",
  lost: "lost with their workers",
  queued: "still queued",
};

/** A job's reservations in the order in which they ended; those that have not come last. */
export function inOrder(reservations) {
  const when = ({ ended_s }) => ended_s ?? Number.MAX_VALUE;
  return [...reservations].sort((one, other) => when(one) - when(other) || one.reservation - other.reservation);
}

/** What became of them all, such as "20 reservations: 10 got a task, 10 cancelled". */
export function reservationWords(reservations) {
  const told = FATES.map((fate) => [fate, reservations.filter(({ state }) => state === fate).length]);
  const parts = told.filter(([, number]) => number).map(([fate, number]) => `${count(number)} ${FATE_WORDS[fate] ?? fate}`);
  return `${plural(reservations.length, "reservation")}: ${parts.join(", ")}.`;
}

/** What one reservation got. */
export function gotWords({ state, task }) {
  if (state === "assigned") return `task ${task}`;
  return { "no-op": "no-op: none was left", lost: "lost with its worker", queued: "still queued" }[state] ?? state;
}
