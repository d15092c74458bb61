// One job opened: in figures, its tasks in time, and why they went where they went.

import { drawChip, h } from "./dom.js";
import { clock, count, plural, ratio, seconds } from "./format.js";
import { byId, IDS } from "./links.js";
import { failures } from "./tasks.js";
import { timeline } from "./timeline.js";
import { why } from "./why.js";

const MOST_REASONS = 5; // why tasks failed

/** `job` is null when no scheduler knows it. */
export function drawJob(id, job, registry) {
  const section = byId(IDS.job);
  const key = JSON.stringify(job && [shape(job), registry.of(job.method)]);
  if (section.dataset.id === id && section.dataset.key === key && job?.state !== "running") return;
  const keep = section.dataset.id === id ? [...section.querySelectorAll("details")].map((details) => details.open) : [];
  section.dataset.id = id;
  section.dataset.key = key;
  if (!job) {
    section.replaceChildren(unknown(id));
    return;
  }
  const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
  section.replaceChildren(summary(job, registry), timeline(job, section.clientWidth), why(job, registry));
  for (const [i, details] of section.querySelectorAll("details").entries()) details.open = keep[i] ?? details.open;
  if (focused) section.querySelector(`[id="${focused}"]`)?.focus();
}

/** What has to be drawn again when it differs: an ended job stays as it is, so it is not drawn every second. */
const shape = (job) => [job.state, job.ended, job.tasks.map((task) => [task.worker, task.state, task.attempts]), job.asked.length];

function unknown(id) {
  const words = "The schedulers do not know it. They remember recent jobs only, and none from before they were started.";
  return h("div", { class: "card-box" }, h("h2", {}, `No job ${id}`), h("p", {}, words));
}

function summary(job, registry) {
  const state = h("span", { class: `state state-${job.state}` }, job.state);
  const head = h("h2", {}, "Job ", h("span", { class: "mono" }, job.id));
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, head, h("p", {}, drawChip(h("span"), registry, job.method), " ", state)),
    h(
      "dl",
      { class: "facts" },
      fact("Tasks ended", `${count(job.ended)} of ${count(job.num_tasks)}`),
      fact(job.state === "running" ? "Running for" : "Response", seconds(job.response_s)),
      fact("Ideal", seconds(job.ideal_s)),
      fact("Response ÷ ideal", ratio(job.slowdown)),
      fact("Run again", plural(job.retried, "task")),
      fact("Failed", plural(job.failed, "task")),
      fact("Submitted", clock(job.submitted)),
      fact("Scheduler", job.scheduler.replace(/^sparrow\.scheduler\./, "")),
    ),
    ...reasons(job.tasks),
  );
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function reasons(tasks) {
  const found = failures(tasks);
  const told = found
    .slice(0, MOST_REASONS)
    .map(({ reason, tasks: failed }) => `${plural(failed, "task")} failed: ${reason ?? "for no known reason"}`);
  if (found.length > MOST_REASONS)
    told.push(`and ${plural(found.length - MOST_REASONS, "other reason")}; the table of tasks has them`);
  return told.map((words) => h("p", { class: "reason" }, words));
}
