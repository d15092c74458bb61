// One job's tasks in time: rows under their workers, each with its wait and its service, to one scale; and the same as a table.

import { h, svg } from "./dom.js";
import { count, plural, seconds, secondsTick } from "./format.js";
import { workerAddress } from "./links.js";
import { shortened } from "./names.js";
import { byWorker, endOf, serviceWords, spansOf, stateWords, waitWords } from "./tasks.js";
import { niceSteps } from "./ticks.js";

const MOST_ROWS = 400; // tasks shown
const ROOMY_ROWS = 60; // up to so many tasks, rows are tall
const LEFT = 132; // px for the names of the workers
const TOP = 24; // px for the axis

/** `width` is that of the section, in px. */
export function timeline(job, width) {
  const tasks = byWorker(job.tasks);
  const shown = tasks.slice(0, MOST_ROWS);
  const sub =
    shown.length < job.num_tasks
      ? `${count(shown.length)} of ${count(job.num_tasks)} tasks, by worker`
      : "By worker; time since the job was submitted";
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, h("h3", { class: "h2" }, "Tasks in time"), legendOf(job)),
    h("p", { class: "sub" }, sub),
    scroller("Timeline", "timeline-scroll", picture(job, shown, Math.max(640, width - 40))),
    h(
      "details",
      { class: "data" },
      h("summary", { id: "timeline-summary" }, "Tasks as a table"),
      scroller("Tasks as a table", false, taskTable(tasks)),
    ),
  );
}

const scroller = (label, id, child) => h("div", { class: "scroll", id, tabindex: "0", role: "region", "aria-label": label }, child);

function legendOf(job) {
  const entry = (swatch, label) => h("li", {}, h("span", { class: `swatch ${swatch}`, "aria-hidden": "true" }), label);
  const list = h("ul", { class: "legend" }, entry("c-reserve", "wait"), entry("c-run", "service"));
  if (job.retried) {
    list.append(h("li", {}, h("span", { class: "lost-mark", "aria-hidden": "true" }, "✕"), "an attempt was lost with its worker"));
  }
  return list;
}

function picture(job, shown, width) {
  const end = endOf(shown, job.response_s);
  const row = shown.length > ROOMY_ROWS ? 11 : 18;
  const height = TOP + shown.length * row + 10;
  const scale = (s) => LEFT + (Math.min(s, end) / end) * (width - LEFT - 16);
  const label = `Timeline of ${plural(shown.length, "task")} over ${seconds(end)}; the same is in the table below.`;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "timeline", role: "img", "aria-label": label });
  for (const t of niceSteps(end)) {
    drawing.append(
      svg("line", { x1: scale(t), x2: scale(t), y1: TOP - 4, y2: height - 6, class: "grid" }),
      text(scale(t), 13, secondsTick(t, end), "axis", t === 0 ? "start" : "middle"),
    );
  }
  for (const [i, task] of shown.entries()) {
    const y = TOP + i * row;
    if (i === 0 || task.worker !== shown[i - 1].worker) {
      if (i) drawing.append(svg("line", { x1: 0, x2: width, y1: y, y2: y, class: "rule" }));
      drawing.append(text(LEFT - 10, y + row / 2 + 4, shortened(task.worker ?? "not placed", 16), "worker", "end"));
    }
    drawing.append(...marksOf(task, spansOf(task, job.response_s), scale, y, row));
  }
  return drawing;
}

/** What a task has in its row: its wait, its service if it has begun, and what went wrong. */
function marksOf(task, { waited_s, served_s }, scale, y, row) {
  const begun = scale(waited_s);
  const marks = [bar(scale(0), begun, y, row, "wait", waitWords(task, waited_s))];
  if (served_s !== null) {
    const name = task.state === "running" ? "serve open" : "serve";
    marks.push(bar(begun, Math.max(begun + 2, scale(waited_s + served_s)), y, row, name, serviceWords(task, served_s)));
  }
  const base = y + row / 2 + 4;
  if (task.state === "failed")
    marks.push(text(scale(0) + 6, base, `✕ failed: ${task.reason ?? "for no known reason"}`, "lost", "start"));
  else if (task.lost_on.length) marks.push(text(begun - 6, base, `✕ lost on ${task.lost_on.join(", ")}`, "lost", "end"));
  return marks;
}

function text(x, y, words, name, anchor) {
  const node = svg("text", { x, y, class: name, "text-anchor": anchor });
  node.textContent = words;
  return node;
}

function bar(from, to, y, row, name, words) {
  const inset = row > 12 ? 3 : 1;
  const title = svg("title");
  title.textContent = words;
  const shape = { x: from, y: y + inset, width: Math.max(0, to - from), height: row - 2 * inset, rx: 2, class: name };
  return svg("rect", shape, title);
}

const COLUMNS = [
  { head: "Task" },
  { head: "Worker", cell: ({ worker }) => (worker ? h("a", { href: workerAddress(worker) }, worker) : "–") },
  { head: "State", cell: ({ state, reason }) => (reason ? `${stateWords(state)}: ${reason}` : stateWords(state)) },
  { head: "Wait", numeric: true, cell: ({ wait_s }) => seconds(wait_s) },
  { head: "Service", numeric: true, cell: ({ service_s }) => seconds(service_s) },
  { head: "Attempts", numeric: true, cell: ({ attempts }) => String(attempts) },
  { head: "Lost on", cell: ({ lost_on }) => lost_on.join(", ") || "–" },
];

function taskTable(tasks) {
  const [, ...others] = COLUMNS;
  const shown = [...tasks].sort((one, other) => one.number - other.number).slice(0, MOST_ROWS);
  const head = COLUMNS.map(({ head, numeric }) => h("th", { scope: "col", class: numeric && "num" }, head));
  const rows = shown.map((task) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, String(task.number)),
      ...others.map(({ numeric, cell }) => h("td", { class: numeric && "num" }, cell(task))),
    ),
  );
  return h("table", { class: "table table-sm" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}
