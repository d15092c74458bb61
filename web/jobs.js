// The list of the newest jobs, and its filter.

import { drawChip, h, keyed, setAttribute, setText } from "./dom.js";
import { ago, count, ratio, seconds } from "./format.js";
import { listOf } from "./joblist.js";
import { byId, IDS, jobAddress } from "./links.js";
import { shortened } from "./names.js";

/** `whole`: all jobs that the filter leaves; otherwise the newest few, unfiltered. */
export function drawJobs(stats, registry, filter, whole) {
  const { shown, words, empty, more } = listOf(stats, filter, whole);
  byId(IDS.jobsFilter).hidden = !whole;
  byId(IDS.jobsMore).parentElement.hidden = whole || !more;
  setText(byId(IDS.jobsSub), words);
  byId(IDS.jobsScroll).hidden = empty !== "";
  byId(IDS.jobsEmpty).hidden = empty === "";
  setText(byId(IDS.jobsEmptyWords), empty);
  byId(IDS.jobsClear).hidden = !whole || !(filter.method || filter.state);
  keyed(
    byId(IDS.jobsTable).tBodies[0],
    shown,
    (job) => job.id,
    jobRow,
    (row, job) => updateRow(row, job, registry, stats.now),
  );
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
    h("td", { class: "progress-cell" }, progress, h("span"), h("span", { class: "bad" })),
    h("td", { class: "num" }),
    h("td", { class: "num" }),
    h("td", { class: "num wider" }),
    h("td", { class: "num wider" }),
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
  setText(progress.children[1], `${count(job.ended)}/${count(job.tasks)}`);
  setText(progress.children[2], job.failed ? `${count(job.failed)} failed` : "");
  setText(response, seconds(job.response_s));
  setAttribute(response, "class", job.state === "done" ? "num" : "num quiet"); // so far, or none to compare
  setText(slowdown, job.state === "failed" ? "none" : ratio(job.slowdown));
  setAttribute(slowdown, "title", job.state === "failed" ? "A job with a failed task has no response to compare" : null);
  setText(retried, count(job.retried));
  setText(submitted, ago(now - job.submitted));
}

/** `chosen` is called with the filter { method, state } that somebody has set. */
export function listenToFilter(chosen) {
  byId(IDS.jobsFilter).addEventListener("change", () => {
    chosen({ method: byId(IDS.filterMethod).value, state: byId(IDS.filterState).value });
  });
  byId(IDS.jobsClear).addEventListener("click", () => {
    chosen({ method: "", state: "" });
    byId(IDS.filterMethod).focus(); // the button has gone
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
