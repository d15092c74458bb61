// The cluster in eight figures.

import { h, setAttribute, setText } from "./dom.js";
import { count, plural, secondsParts, short } from "./format.js";
import { byId, IDS } from "./links.js";
import { notUpWords } from "./load.js";

export function drawFigures({ totals }) {
  const section = byId(IDS.figures);
  if (!section.firstElementChild) section.append(h("dl", {}));
  for (const figure of [...loadFigures(totals), ...jobFigures(totals)]) draw(section.firstElementChild, figure);
}

/** A figure is { key, name, value, unit, note, bad }; `bad` is the part that is red, "value" or "note", if any is. */
function loadFigures(totals) {
  const { workers, slots, running, queued, reservations, tasks_per_s, tasks_done } = totals;
  const away = notUpWords(totals);
  const busy = slots ? Math.round((100 * running) / slots) : 0;
  return [
    { key: "workers", name: "Workers", value: count(workers), note: away || plural(slots, "slot"), bad: away && "note" },
    { key: "running", name: "Running", value: count(running), unit: tasks(running), note: `${busy} % of ${plural(slots, "slot")}` },
    { key: "queued", name: "Queued", value: count(queued), unit: tasks(queued), note: plural(reservations, "reservation") },
    { key: "rate", name: "Throughput", value: short(tasks_per_s), unit: "tasks/s", note: `${count(tasks_done)} done in all` },
  ];
}

function jobFigures({ response_s, open_jobs, jobs, retried, failed, jobs_failed }) {
  const [p50, unit] = secondsParts(response_s.p50);
  const tail = ["p95", "p99"].map((key) => `${key} ${secondsParts(response_s[key]).join(" ")}`).join(" · ");
  return [
    {
      key: "response",
      name: "Job response, p50",
      value: p50,
      unit,
      note: response_s.p95 === null ? "no job in the last 10 min" : tail,
    },
    { key: "jobs", name: "Open jobs", value: count(open_jobs), note: `${count(jobs)} submitted` },
    { key: "retried", name: "Run again", value: count(retried), unit: tasks(retried), note: "after a lost worker" },
    {
      key: "failed",
      name: "Failed",
      value: count(failed),
      unit: tasks(failed),
      note: failed ? `in ${plural(jobs_failed, "job")}` : "none so far",
      bad: failed > 0 && "value",
    },
  ];
}

const tasks = (value) => (value === 1 ? "task" : "tasks");

function draw(list, { key, name, value, unit, note, bad }) {
  let box = list.querySelector(`[data-figure="${key}"]`);
  if (!box) {
    box = h(
      "div",
      { class: "figure", "data-figure": key },
      h("dt", {}, name),
      h("dd", {}, h("span", { class: "value" }), h("span", { class: "unit" })),
      h("dd", { class: "note" }),
    );
    list.append(box);
  }
  setText(box.querySelector(".value"), value);
  setText(box.querySelector(".unit"), unit ? ` ${unit}` : "");
  setText(box.querySelector(".note"), note);
  setAttribute(box, "data-bad", bad || null);
}
