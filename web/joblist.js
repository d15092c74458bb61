// Which jobs are listed, and what is said of the list, also when it is empty. Pure.

import { count, plural } from "./format.js";

const SHORT_LIST = 8; // jobs on the overview

/**
 * { shown, words, empty, more }: the jobs to show, a line above them, what to say if there are none ("" if there are), and whether there
 * are more elsewhere. `whole`: all that the filter { method, state } leaves; otherwise the newest few, unfiltered.
 */
export function listOf({ jobs, totals }, filter, whole) {
  const filtered = whole && Boolean(filter.method || filter.state);
  const found = filtered ? jobs.filter((job) => fits(job, filter)) : jobs;
  const shown = whole ? found : found.slice(0, SHORT_LIST);
  const words = filtered
    ? `${count(shown.length)} of the newest ${plural(jobs.length, "job")}`
    : newestWords(shown.length, totals.jobs);
  return {
    shown,
    words: shown.length ? words : "",
    empty: shown.length ? "" : emptyWords(jobs, totals, filter),
    more: shown.length < found.length,
  };
}

const fits = (job, { method, state }) => (!method || job.method === method) && (!state || job.state === state);

const newestWords = (shown, all) => `The newest ${count(shown)} of ${count(all)}`;

function emptyWords(jobs, totals, { method, state }) {
  if (totals.jobs === 0) return "There was no job yet. As soon as somebody submits one, it is listed here.";
  if (jobs.length === 0) return "The schedulers remember no job any more. As soon as somebody submits another, it is listed here.";
  const what = [method && `of method ${method}`, state && `in state ${state}`].filter(Boolean).join(" and ");
  return `None of the newest ${plural(jobs.length, "job")} is ${what}.`;
}
