// The newest jobs, and one job opened: its tasks in time, and why they went where they went.

import { METHODS, methodClass } from "./charts.js";
import { h, keyed, setAttribute, setText, svg } from "./dom.js";
import { ago, clock, count, plural, ratio, seconds, secondsTick } from "./format.js";
import { workerLink } from "./now.js";

const SHORT_LIST = 8; // jobs on the overview
const MOST_ROWS = 400; // tasks in a timeline
const MOST_DECISIONS = 200; // rows of "why here?"

const byId = (id) => document.getElementById(id);

export const jobLink = (id) => `#/jobs/${encodeURIComponent(id)}`;

const stateClass = (state) => `state state-${state}`;

export function drawJobs(stats, filter, whole) {
  const fits = (job) => (!filter.method || job.method === filter.method) && (!filter.state || job.state === filter.state);
  const found = stats.jobs.filter((job) => !whole || fits(job));
  const shown = whole ? found : found.slice(0, SHORT_LIST);
  byId("jobs-filter").hidden = !whole;
  byId("jobs-more").parentElement.hidden = whole || found.length <= SHORT_LIST;
  const all = stats.totals.jobs;
  const some = whole && (filter.method || filter.state);
  setText(byId("jobs-sub"), all === 0 ? "No job yet" : some ? `${count(shown.length)} of the newest ${plural(stats.jobs.length, "job")}` : `The newest ${count(shown.length)} of ${count(all)}`);
  keyed(byId("jobs-table").tBodies[0], shown, (job) => job.id, jobRow, (row, job) => updateRow(row, job, stats.now));
}

function jobRow(job) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: jobLink(job.id), class: "mono" }, job.id.length > 16 ? `${job.id.slice(0, 15)}…` : job.id), h("span", { class: `chip narrow ${methodClass(job.method)}` }, job.method)),
    h("td", { class: "wide" }, h("span", { class: `chip ${methodClass(job.method)}` }, job.method)),
    h("td", { class: "wide" }, h("span", {})),
    h("td", { class: "progress-cell" }, h("progress", { max: job.tasks, "aria-label": `Tasks ended of job ${job.id}` }), h("span", {})),
    h("td", { class: "num" }),
    h("td", { class: "num" }),
    h("td", { class: "num wide" }),
    h("td", { class: "num wide" }),
  );
}

function updateRow(row, job, now) {
  const [, , state, progress, response, slowdown, retried, submitted] = row.children;
  setText(state.firstChild, job.state);
  setAttribute(state.firstChild, "class", stateClass(job.state));
  setAttribute(progress.firstChild, "value", job.ended);
  setAttribute(progress.firstChild, "class", `state-${job.state}`);
  setText(progress.lastChild, `${count(job.ended)}/${count(job.tasks)}${job.failed ? `, ${count(job.failed)} failed` : ""}`);
  setText(response, seconds(job.response_s));
  setText(slowdown, ratio(job.slowdown));
  setText(retried, count(job.retried));
  setText(submitted, ago(now - job.submitted));
}

/** The filter is part of the address, so that it can be shared. */
export function listenToFilter(read) {
  const method = byId("filter-method");
  method.append(...METHODS.map((name) => h("option", { value: name }, name)));
  byId("jobs-filter").addEventListener("change", () => {
    const query = new URLSearchParams();
    if (method.value) query.set("method", method.value);
    if (byId("filter-state").value) query.set("state", byId("filter-state").value);
    history.replaceState(null, "", `#/jobs${query.size ? `?${query}` : ""}`);
    read();
  });
}

export function showFilter(filter) {
  byId("filter-method").value = filter.method;
  byId("filter-state").value = filter.state;
}

// One job

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

export function drawJob(id, job) {
  const section = byId("job");
  const key = JSON.stringify(job && [job.state, job.ended, job.tasks.map((task) => [task[0], task[4], task[3]]), job.asked.length]);
  if (section.dataset.id === id && section.dataset.key === key && job?.state !== "running") return;
  const keep = section.dataset.id === id ? [...section.querySelectorAll("details")].map((details) => details.open) : [];
  section.dataset.id = id;
  section.dataset.key = key;
  if (!job) {
    section.replaceChildren(
      h("div", { class: "card-box" }, h("h2", {}, `No job ${id}`), h("p", {}, "The schedulers do not know it. They remember recent jobs only, and none from before they were started.")),
    );
    return;
  }
  const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
  section.replaceChildren(summary(job), timeline(job), why(job));
  section.querySelectorAll("details").forEach((details, i) => (details.open = keep[i] ?? details.open));
  if (focused) document.getElementById(focused)?.focus();
}

function summary(job) {
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, h("h2", {}, "Job ", h("span", { class: "mono" }, job.id)), h("p", {}, h("span", { class: `chip ${methodClass(job.method)}` }, job.method), " ", h("span", { class: stateClass(job.state) }, job.state))),
    h(
      "dl",
      { class: "facts" },
      fact("Tasks ended", `${count(job.ended)} of ${count(job.tasks.length)}`),
      fact(job.state === "running" ? "Running for" : "Response", seconds(job.response_s)),
      fact("Ideal", seconds(job.ideal_s)),
      fact("Response ÷ ideal", ratio(job.slowdown)),
      fact("Run again", plural(job.retried, "task")),
      fact("Failed", plural(job.failed, "task")),
      fact("Submitted", clock(job.submitted)),
      fact("Scheduler", job.scheduler.replace(/^sparrow\.scheduler\./, "")),
    ),
  );
}

/** Rows of tasks under their workers, each with its wait and its service, to one scale of time. */
function timeline(job) {
  const tasks = job.tasks.map(([worker, wait, service, attempts, state, lost, started], number) => ({ number, worker, wait, service, attempts, state, lost, started }));
  tasks.sort((one, other) => compareNames(one.worker, other.worker) || (one.started ?? Infinity) - (other.started ?? Infinity) || one.number - other.number);
  const shown = tasks.slice(0, MOST_ROWS);
  const end = Math.max(job.response_s ?? 0, ...shown.map((task) => (task.started ?? 0) + (task.service ?? 0)), 1e-6);
  const row = shown.length > 60 ? 11 : 18;
  const left = 132;
  const width = Math.max(640, byId("job").clientWidth - 40); // so that a unit is a pixel
  const top = 24;
  const scale = (s) => left + (Math.min(s, end) / end) * (width - left - 16);
  const height = top + shown.length * row + 10;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "timeline", role: "img", "aria-label": `Timeline of ${plural(shown.length, "task")} over ${seconds(end)}; the same is in the table below.` });
  for (const t of niceSteps(end)) {
    picture.append(svg("line", { x1: scale(t), x2: scale(t), y1: top - 4, y2: height - 6, class: "grid" }), text(scale(t), 13, secondsTick(t, end), "axis", t === 0 ? "start" : "middle"));
  }
  let former;
  shown.forEach((task, i) => {
    const y = top + i * row;
    if (task.worker !== former || i === 0) {
      if (i) picture.append(svg("line", { x1: 0, x2: width, y1: y, y2: y, class: "rule" }));
      picture.append(text(left - 10, y + row / 2 + 4, short16(task.worker ?? "not placed"), "worker", "end"));
      former = task.worker;
    }
    const started = task.started ?? job.response_s ?? end;
    picture.append(bar(scale(0), y, scale(started) - scale(0), row, "wait", `task ${task.number}: waited ${seconds(started)}`));
    if (task.started !== null) {
      const served = task.service ?? Math.max(0, (job.response_s ?? end) - task.started);
      const name = task.state === "done" ? "serve" : "serve open";
      picture.append(bar(scale(task.started), y, Math.max(2, scale(task.started + served) - scale(task.started)), row, name, `task ${task.number}: ${task.state === "done" ? "ran" : "runs since"} ${seconds(served)} on ${task.worker}`));
    }
    if (task.lost.length) picture.append(text(scale(started) - 6, y + row / 2 + 4, `✕ lost on ${task.lost.join(", ")}`, "lost", "end"));
    if (task.state === "failed") picture.append(text(scale(0) + 6, y + row / 2 + 4, "✕ failed", "lost", "start"));
  });
  const legendList = h("ul", { class: "legend" });
  for (const [swatch, label] of [["c-reserve", "wait"], ["c-run", "service"]]) legendList.append(h("li", {}, h("span", { class: `swatch ${swatch}`, "aria-hidden": "true" }), label));
  if (job.retried) legendList.append(h("li", {}, h("span", { class: "lost-mark", "aria-hidden": "true" }, "✕"), "an attempt was lost with its worker"));
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, h("h3", { class: "h2" }, "Tasks in time"), legendList),
    h("p", { class: "sub" }, shown.length < tasks.length ? `The first ${count(shown.length)} of ${count(tasks.length)} tasks, by worker` : "By worker; time since the job was submitted"),
    h("div", { class: "scroll", id: "timeline-scroll", tabindex: "0", role: "region", "aria-label": "Timeline" }, picture),
    h("details", { class: "data" }, h("summary", { id: "timeline-summary" }, "Tasks as a table"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks as a table" }, taskTable(tasks))),
  );
}

function taskTable(tasks) {
  const head = ["Task", "Worker", "State", "Wait", "Service", "Attempts", "Lost on"];
  return h(
    "table",
    { class: "table table-sm" },
    h("thead", {}, h("tr", {}, ...head.map((name, i) => h("th", { scope: "col", class: i > 2 && i < 6 ? "num" : false }, name)))),
    h(
      "tbody",
      {},
      ...[...tasks]
        .sort((one, other) => one.number - other.number)
        .slice(0, MOST_ROWS)
        .map((task) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, String(task.number)),
            h("td", {}, task.worker ? h("a", { href: workerLink(task.worker) }, task.worker) : "–"),
            h("td", {}, task.state),
            h("td", { class: "num" }, seconds(task.wait)),
            h("td", { class: "num" }, seconds(task.service)),
            h("td", { class: "num" }, String(task.attempts)),
            h("td", {}, task.lost.join(", ") || "–"),
          ),
        ),
    ),
  );
}

const compareNames = (one, other) => (one === null) - (other === null) || String(one).localeCompare(String(other), "en", { numeric: true });

const short16 = (name) => (name.length > 16 ? `${name.slice(0, 15)}…` : name);

function text(x, y, words, name, anchor) {
  const node = svg("text", { x, y, class: name, "text-anchor": anchor });
  node.textContent = words;
  return node;
}

function bar(x, y, width, row, name, title) {
  const inset = row > 12 ? 3 : 1;
  const tip = svg("title");
  tip.textContent = title;
  return svg("rect", { x, y: y + inset, width: Math.max(0, width), height: row - 2 * inset, rx: 2, class: name }, tip);
}

/** 0 and up to eight round steps. */
function niceSteps(end) {
  const raw = end / 7;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => i * step);
}

// Why here?

function why(job) {
  const late = job.asked.length > 0 || job.method === "BATCH+LATE_BINDING";
  return h(
    "div",
    { class: "card-box" },
    h("h3", { class: "h2" }, "Why here?"),
    late ? lateBinding(job) : sampled(job),
  );
}

function lateBinding(job) {
  const box = h("div", {}, h("p", { class: "sub" }, "Reservations in the order in which they reached the front of a queue. The first to come got the tasks, so no estimate of a queue was needed."));
  const rows = job.asked.slice(0, MOST_DECISIONS).map(([number, worker, offset, task], i) =>
    h(
      "tr",
      {},
      h("td", { class: "num" }, count(i + 1)),
      h("td", { class: "num" }, seconds(offset)),
      h("td", {}, h("a", { href: workerLink(worker) }, worker)),
      h("td", { class: "num" }, count(number)),
      h("td", {}, task === null ? h("span", { class: "quiet" }, "no-op: none was left") : `task ${task}`),
    ),
  );
  box.append(
    rows.length
      ? whyTable(["Order", "After", "Worker", "Reservation", "Got"], rows, [0, 1, 3])
      : h("p", {}, "No reservation has reached the front yet."),
  );
  return box;
}

const RULES = {
  RANDOM: "RANDOM asks nobody: each task went to a worker drawn at random, whatever its load.",
  CHOOSE_TWO: "Each task probed two workers and went to the less loaded, ties at random; tasks of this job placed before it count as load.",
  BATCH: "All tasks probed together; each went to one of the least loaded, ties at random. With few workers it goes in waves.",
};

function sampled(job) {
  const box = h("div", {}, h("p", { class: "sub" }, RULES[job.method] ?? ""));
  const rows = [];
  for (const { tasks, probed, loads, chosen } of job.decisions) {
    const pairs = job.method === "CHOOSE_TWO" && probed.length > tasks.length ? probed.length / tasks.length : 0;
    const perTask = (i) => (pairs ? probed.slice(i * pairs, (i + 1) * pairs) : probed);
    tasks.forEach((task, i) => {
      if (rows.length >= MOST_DECISIONS) return;
      const asked = Object.keys(loads).length ? [...new Set(perTask(i))].sort((a, b) => (loads[a] ?? 1e9) - (loads[b] ?? 1e9) || compareNames(a, b)) : [];
      rows.push(h("tr", {}, h("td", { class: "num" }, count(task)), h("td", {}, h("a", { href: workerLink(chosen[i]) }, chosen[i])), h("td", { class: "probed" }, ...probes(asked, loads, chosen[i]))));
    });
  }
  box.append(rows.length ? whyTable(["Task", "Went to", "Probed workers and the load each answered"], rows, [0]) : h("p", {}, "Nothing has been placed yet."));
  return box;
}

function probes(asked, loads, taken) {
  if (!asked.length) return ["nobody"];
  const shown = asked.slice(0, 24);
  if (!shown.includes(taken) && asked.includes(taken)) shown.push(taken);
  const chips = shown.map((worker) =>
    h("span", { class: worker === taken ? "probe taken" : "probe" }, worker, " ", h("b", {}, loads[worker] === undefined ? "?" : count(loads[worker])), worker === taken ? h("span", { class: "visually-hidden" }, " (taken)") : null),
  );
  return shown.length < asked.length ? [...chips, h("span", { class: "quiet" }, ` and ${count(asked.length - shown.length)} more`)] : chips;
}

function whyTable(head, rows, numeric) {
  return h(
    "div",
    { class: "scroll", id: "why-scroll", tabindex: "0", role: "region", "aria-label": "Why here" },
    h("table", { class: "table table-sm why" }, h("thead", {}, h("tr", {}, ...head.map((name, i) => h("th", { scope: "col", class: numeric.includes(i) ? "num" : false }, name)))), h("tbody", {}, ...rows)),
  );
}
