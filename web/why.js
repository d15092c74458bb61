// "Why here?": what the job's method asked the workers, what they answered, and what came of it.

import { h } from "./dom.js";
import { count, seconds } from "./format.js";
import { workerAddress } from "./links.js";
import { gotWords, inOrder, placements, pulledWords, reservationWords, samplesOf, toldWords } from "./sampling.js";

const MOST_ROWS = 200;

export function why(job, registry) {
  const method = registry.of(job.method);
  const samples = samplesOf(job, method.samples);
  return h(
    "div",
    { class: "card-box" },
    h("h3", { class: "h2" }, "Why here?"),
    method.why ? h("p", { class: "sub" }, method.why) : null,
    ...rowsOf(job, samples),
  );
}

function rowsOf(job, samples) {
  if (samples === "idle workers") {
    return [...pulled(job.pulled), ...(job.reservations.length ? reservations(job.reservations) : [])];
  }
  return samples === "reservations" ? reservations(job.reservations) : sampled(job.decisions, samples);
}

const workerLink = (name) => h("a", { href: workerAddress(name) }, name);

function reservations(all) {
  if (!all.length) return [h("p", {}, "No reservation has been made yet.")];
  const rows = inOrder(all)
    .slice(0, MOST_ROWS)
    .map((one) =>
      h(
        "tr",
        {},
        h("td", { class: "num" }, one.ended_s === null ? "–" : seconds(one.ended_s)),
        h("td", {}, workerLink(one.worker)),
        h("td", { class: "num wide" }, count(one.reservation)),
        h("td", { class: one.state === "assigned" ? false : "quiet" }, gotWords(one)),
      ),
    );
  const heads = ["After", "Worker", { name: "Reservation", wide: true }, "Got"];
  return [h("p", { class: "quiet" }, reservationWords(all), cutWords(all.length)), whyTable(heads, rows, [0, 2])];
}

function pulled(all) {
  if (!all.length) return [h("p", {}, "No idle worker has got a task of this job yet.")];
  const rows = all
    .slice(0, MOST_ROWS)
    .map((one) =>
      h(
        "tr",
        {},
        h("td", { class: "num" }, seconds(one.after_s)),
        h("td", { class: "num" }, count(one.task)),
        h("td", {}, workerLink(one.worker)),
        h("td", { class: one.bounced ? "quiet" : false }, toldWords(one)),
      ),
    );
  const words = h("p", { class: "quiet" }, pulledWords(all), cutWords(all.length));
  return [words, whyTable(["After", "Task", "Went to", "Because"], rows, [0, 1])];
}

/** Says so when not all rows are shown. */
const cutWords = (all) => (all > MOST_ROWS ? ` The first ${count(MOST_ROWS)} are shown.` : "");

function sampled(decisions, samples) {
  const placed = placements(decisions, samples, MOST_ROWS);
  if (!placed.length) return [h("p", {}, "Nothing has been placed yet.")];
  const rows = placed.map(({ task, worker, probes, left }) =>
    h(
      "tr",
      {},
      h("td", { class: "num" }, count(task)),
      h("td", {}, workerLink(worker)),
      h("td", { class: "probed" }, ...probed(probes, worker, left)),
    ),
  );
  const all = decisions.reduce((sum, { tasks }) => sum + tasks.length, 0);
  const own = placed.some(({ probes }) => probes.some((probe) => probe.own));
  const heads = [
    "Task",
    "Went to",
    `Probed workers and the load each answered${own ? ", + tasks of this job placed there before" : ""}`,
  ];
  return [cutWords(all) && h("p", { class: "quiet" }, cutWords(all).trim()), whyTable(heads, rows, [0])].filter(Boolean);
}

function probed(probes, taken, left) {
  if (!probes.length) return ["nobody"];
  const chips = probes.map(({ worker, load, own }) => {
    const mark = worker === taken ? h("span", { class: "visually-hidden" }, " (taken)") : null;
    const loads = [h("b", {}, load === null ? "?" : count(load)), own ? h("b", { class: "own" }, `+${count(own)}`) : null];
    return h("span", { class: mark ? "probe taken" : "probe" }, worker, " ", ...loads, mark);
  });
  return left ? [...chips, h("span", { class: "quiet" }, ` and ${count(left)} more`)] : chips;
}

/** A head is a name, or { name, wide } for a column that a phone has no room for. */
function whyTable(heads, rows, numeric) {
  const columns = heads.map((head, i) =>
    h(
      "th",
      { scope: "col", class: [numeric.includes(i) && "num", head.wide && "wide"].filter(Boolean).join(" ") || false },
      head.name ?? head,
    ),
  );
  return h(
    "div",
    { class: "scroll", id: "why-scroll", tabindex: "0", role: "region", "aria-label": "Why here" },
    h("table", { class: "table table-sm why" }, h("thead", {}, h("tr", {}, ...columns)), h("tbody", {}, ...rows)),
  );
}
