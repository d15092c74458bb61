// "Why here?": what the job's method asked the workers, what they answered, and what came of it.

import { h } from "./dom.js";
import { count, seconds } from "./format.js";
import { workerAddress } from "./links.js";
import { placements, samplesOf } from "./sampling.js";

const MOST_ROWS = 200;

export function why(job, registry) {
  const method = registry.of(job.method);
  const samples = samplesOf(job, method.samples);
  return h(
    "div",
    { class: "card-box" },
    h("h3", { class: "h2" }, "Why here?"),
    method.why ? h("p", { class: "sub" }, method.why) : null,
    samples === "reservations" ? reservations(job.asked) : sampled(job.decisions, samples),
  );
}

const workerLink = (name) => h("a", { href: workerAddress(name) }, name);

function reservations(asked) {
  if (!asked.length) return h("p", {}, "No reservation has reached the front yet.");
  const rows = asked
    .slice(0, MOST_ROWS)
    .map(({ reservation, worker, after_s, task }, i) =>
      h(
        "tr",
        {},
        h("td", { class: "num" }, count(i + 1)),
        h("td", { class: "num" }, seconds(after_s)),
        h("td", {}, workerLink(worker)),
        h("td", { class: "num" }, count(reservation)),
        h("td", {}, task === null ? h("span", { class: "quiet" }, "no-op: none was left") : `task ${task}`),
      ),
    );
  return whyTable(["Order", "After", "Worker", "Reservation", "Got"], rows, [0, 1, 3]);
}

function sampled(decisions, samples) {
  const placed = placements(decisions, samples, MOST_ROWS);
  if (!placed.length) return h("p", {}, "Nothing has been placed yet.");
  const rows = placed.map(({ task, worker, probes, left }) =>
    h(
      "tr",
      {},
      h("td", { class: "num" }, count(task)),
      h("td", {}, workerLink(worker)),
      h("td", { class: "probed" }, ...probed(probes, worker, left)),
    ),
  );
  return whyTable(["Task", "Went to", "Probed workers and the load each answered"], rows, [0]);
}

function probed(probes, taken, left) {
  if (!probes.length) return ["nobody"];
  const chips = probes.map(({ worker, load }) => {
    const mark = worker === taken ? h("span", { class: "visually-hidden" }, " (taken)") : null;
    return h("span", { class: mark ? "probe taken" : "probe" }, worker, " ", h("b", {}, load === null ? "?" : count(load)), mark);
  });
  return left ? [...chips, h("span", { class: "quiet" }, ` and ${count(left)} more`)] : chips;
}

function whyTable(head, rows, numeric) {
  const columns = head.map((name, i) => h("th", { scope: "col", class: numeric.includes(i) && "num" }, name));
  return h(
    "div",
    { class: "scroll", id: "why-scroll", tabindex: "0", role: "region", "aria-label": "Why here" },
    h("table", { class: "table table-sm why" }, h("thead", {}, h("tr", {}, ...columns)), h("tbody", {}, ...rows)),
  );
}
