// Why a task went where it went: which workers were asked for it, what they answered, which was taken. Pure.

import { compareNames } from "./names.js";

const MOST_PROBES = 24; // shown of one task

/** What a method asks workers for, as the registry says; of a method that is not in it, what the job shows. */
export function samplesOf(job, told) {
  if (told) return told;
  if (job.asked.length) return "reservations";
  return job.decisions.some(({ loads }) => Object.keys(loads).length) ? "per job" : "nothing";
}

/** `probed` in as many parts as there are tasks, in order, as even as they go. */
export function divided(probed, tasks) {
  const border = (i) => Math.floor((i * probed.length) / tasks);
  return Array.from({ length: tasks }, (_, i) => probed.slice(border(i), border(i + 1)));
}

/** The first `most` tasks of the decisions: { task, worker, probes, left }; see `probesOf`. */
export function placements(decisions, samples, most) {
  const rows = [];
  for (const { tasks, probed, loads, chosen } of decisions) {
    const own = samples === "per task" ? divided(probed, tasks.length) : null;
    const all = samples === "per job" ? byLoad(probed, loads) : [];
    for (const [i, task] of tasks.entries()) {
      if (rows.length === most) return rows;
      rows.push({ task, worker: chosen[i], ...probesOf(own ? byLoad(own[i], loads) : all, chosen[i]) });
    }
  }
  return rows;
}

/** Each worker once, the least loaded first; one that did not answer has the load null and comes last. */
function byLoad(probed, loads) {
  return [...new Set(probed)]
    .map((worker) => ({ worker, load: Object.hasOwn(loads, worker) ? loads[worker] : null }))
    .sort(
      (one, other) =>
        (one.load === null) - (other.load === null) || one.load - other.load || compareNames(one.worker, other.worker),
    );
}

/** What is shown of these probes: the least loaded and in any case the one that was taken; `left` is how many are not. */
function probesOf(asked, taken) {
  const probes = asked.filter(({ worker }, i) => i < MOST_PROBES || worker === taken);
  return { probes, left: asked.length - probes.length };
}
