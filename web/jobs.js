// The list of the newest jobs, and its filter.

import { drawChip, h, keyed, setAttribute, setText } from "./dom.js";
import { ago, count, plural, ratio, seconds } from "./format.js";
import { byId, IDS, jobAddress } from "./links.js";
import { shortened } from "./names.js";

const SHORT_LIST = 8; // jobs on the overview

/** `whole`: all jobs that the filter leaves; otherwise the newest few, unfiltered. */
export function drawJobs(stats, registry, filter, whole) {
  const fits = (job) => (!filter.method || job.method === filter.method) && (!filter.state || job.state === filter.state);
  const found = whole ? stats.jobs.filter(fits) : stats.jobs;
  const shown = whole ? found : found.slice(0, SHORT_LIST);
  byId(IDS.jobsFilter).hidden = !whole;
  byId(IDS.jobsMore).parentElement.hidden = whole || found.length <= SHORT_LIST;
  setText(byId(IDS.jobsSub), listWords(stats, shown.length, whole && (filter.method || filter.state)));
  const body = byId(IDS.jobsTable).tBodies[0];
  keyed(
    body,
    shown,
    (job) => job.id,
    jobRow,
    (row, job) => updateRow(row, job, registry, stats.now),
  );
}

function listWords({ totals, jobs }, shown, filtered) {
  if (totals.jobs === 0) return "No job yet";
  if (filtered) return `${count(shown)} of the newest ${plural(jobs.length, "job")}`;
  return `The newest ${count(shown)} of ${count(totals.jobs)}`;
}

function jobRow(job) {
  const link = h("a", { href: jobAddress(job.id), class: "mono" }, shortened(job.id, 16));
  const progress = h("progress", { max: job.tasks, "aria-label": `Tasks ended of job ${job.id}` });
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, link, h("span")),
    h("td", { class: "wide" }, h("span")),
    h("td", { class: "wide" }, h("span")),
    h("td", { class: "progress-cell" }, progress, h("span")),
    h("td", { class: "num" }),
    h("td", { class: "num" }),
    h("td", { class: "num wide" }),
    h("td", { class: "num wide" }),
  );
}

function updateRow(row, job, registry, now) {
  const [name, method, state, progress, response, slowdown, retried, submitted] = row.children;
  drawChip(name.lastChild, registry, job.method, "narrow");
  drawChip(method.firstChild, registry, job.method);
  setText(state.firstChild, job.state);
  setAttribute(state.firstChild, "class", `state state-${job.state}`);
  setAttribute(progress.firstChild, "value", job.ended);
  setAttribute(progress.firstChild, "class", `state-${job.state}`);
  const failed = job.failed ? `, ${count(job.failed)} failed` : "";
  setText(progress.lastChild, `${count(job.ended)}/${count(job.tasks)}${failed}`);
  setText(response, seconds(job.response_s));
  setText(slowdown, ratio(job.slowdown));
  setText(retried, count(job.retried));
  setText(submitted, ago(now - job.submitted));
}

/** `chosen` is called with the filter { method, state } that somebody has set. */
export function listenToFilter(chosen) {
  byId(IDS.jobsFilter).addEventListener("change", () => {
    chosen({ method: byId(IDS.filterMethod).value, state: byId(IDS.filterState).value });
  });
}

/** The methods are those of the registry, as soon as it is there, and whichever the address names. */
export function showFilter(filter, registry) {
  const method = byId(IDS.filterMethod);
  const names = registry.names.includes(filter.method) ? registry.names : [...registry.names, filter.method].filter(Boolean);
  keyed(
    method,
    ["", ...names],
    (name) => name,
    (name) => h("option", { value: name }, name || "all"),
  );
  choose(method, filter.method);
  choose(byId(IDS.filterState), filter.state);
}

function choose(select, value) {
  if (select.value !== value) select.value = value;
}
