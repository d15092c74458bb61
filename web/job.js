// One job opened: in figures, its tasks in time, and why they went where they went.

import { drawChip, h, refused } from "./dom.js";
import { clock, count, plural, ratio, seconds } from "./format.js";
import { byId, IDS } from "./links.js";
import { failures } from "./tasks.js";
import { timeline } from "./timeline.js";
import { why } from "./why.js";

const MOST_REASONS = 5; // why tasks failed
const CARD_PADDING = 38; // px, of a card, left and right together with its border

/** `details` has the job as `value`, if it is known, and why it is not to be had now as `error`, or "". */
export function drawJob(id, { value: job, error }, registry) {
  const section = byId(IDS.job);
  const width = pictureWidth(section);
  const key = JSON.stringify([error, width, job && [shape(job), registry.of(job.method)]]);
  if (section.dataset.id === id && section.dataset.key === key && job?.state !== "running") return;
  const keep = section.dataset.id === id ? [...section.querySelectorAll("details")].map((details) => details.open) : [];
  section.dataset.id = id;
  section.dataset.key = key;
  if (!job) {
    section.replaceChildren(refused(`Job ${id}`, error));
    return;
  }
  const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
  section.replaceChildren(summary(job, error, registry), timeline(job, width), why(job, registry));
  for (const [i, details] of section.querySelectorAll("details").entries()) details.open = keep[i] ?? details.open;
  if (focused) section.querySelector(`[id="${focused}"]`)?.focus();
}

/** The width of the timeline: that of the section without the padding and border of a card. */
const pictureWidth = (section) => Math.max(240, section.clientWidth - CARD_PADDING);

/** What has to be drawn again when it differs: an ended job stays as it is, so it is not drawn every second. */
const shape = (job) => [
  job.state,
  job.ended,
  job.tasks.map((task) => [task.worker, task.state, task.attempts]),
  job.reservations.map((one) => one.state),
];

function summary(job, error, registry) {
  const state = h("span", { class: `state state-${job.state}` }, job.state);
  const head = h("h2", {}, "Job ", h("span", { class: "mono" }, job.id));
  const failed = job.state === "failed";
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, head, h("p", {}, drawChip(h("span"), registry, job.method), " ", state)),
    error ? h("p", { class: "reason" }, `${error} What you see is the last picture.`) : null,
    h(
      "dl",
      { class: "facts" },
      fact("Tasks ended", `${count(job.ended)} of ${count(job.num_tasks)}`),
      fact({ running: "Running for", failed: "Failed after" }[job.state] ?? "Response", seconds(job.response_s)),
      fact("Ideal", seconds(job.ideal_s)),
      fact("Response ÷ ideal", failed ? "none: it failed" : ratio(job.slowdown)),
      fact("Run again", plural(job.retried, "task")),
      fact("Failed", plural(job.failed, "task"), job.failed > 0),
      fact("Submitted", clock(job.submitted)),
      fact("Scheduler", job.scheduler.replace(/^sparrow\.scheduler\./, "")),
    ),
    ...reasons(job.tasks),
  );
}

function fact(name, value, bad = false) {
  return h("div", {}, h("dt", {}, name), h("dd", { class: bad && "bad" }, value));
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
