// One job's tasks in time: rows under their workers, each with its waits, its lost attempts and its service, to one scale.

import { h, svg } from "./dom.js";
import { count, plural, seconds, secondsTick } from "./format.js";
import { shortened } from "./names.js";
import { byWorker, endOf, groupOf, PARTS, partsOf, reasonWords } from "./tasks.js";
import { taskTable } from "./tasktable.js";
import { niceSteps } from "./ticks.js";

const MOST_ROWS = 400; // tasks shown
const ROOMY_ROWS = 60; // up to so many tasks, rows are tall
const NARROW = 560; // px; below, the names of the workers get less room, and there are fewer ticks
const TOP = 24; // px for the axis
const RIGHT = 16; // px behind the axis
const LETTER = 7; // px, at most on average

/** `width` is that of the picture, in px. */
export function timeline(job, width) {
  const tasks = byWorker(job.tasks);
  const rows = tasks.slice(0, MOST_ROWS).map((task) => ({ task, parts: partsOf(task, job.response_s) }));
  const sub =
    rows.length < job.num_tasks
      ? `${count(rows.length)} of ${count(job.num_tasks)} tasks, by worker`
      : "By worker; time since the job was submitted";
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, h("h3", { class: "h2" }, "Tasks in time"), legendOf(rows)),
    h("p", { class: "sub" }, sub),
    scroller("Timeline", "timeline-scroll", picture(job, rows, width)),
    h(
      "details",
      { class: "data" },
      h("summary", { id: "timeline-summary" }, "Tasks as a table"),
      scroller("Tasks as a table", false, taskTable(tasks, MOST_ROWS)),
    ),
  );
}

const scroller = (label, id, child) => h("div", { class: "scroll", id, tabindex: "0", role: "region", "aria-label": label }, child);

/** Every kind of part that is in the picture. */
function legendOf(rows) {
  const kinds = new Set(rows.flatMap(({ parts }) => parts.map(({ kind }) => kind)));
  const entry = ([kind, label]) => h("li", {}, h("span", { class: `swatch t-${kind}`, "aria-hidden": "true" }), label);
  return h(
    "ul",
    { class: "legend" },
    ...Object.entries(PARTS)
      .filter(([kind]) => kinds.has(kind))
      .map(entry),
  );
}

function picture(job, rows, width) {
  const narrow = width < NARROW;
  const left = narrow ? 78 : 132;
  const end = endOf(
    rows.flatMap(({ parts }) => parts),
    job.response_s,
  );
  const row = rows.length > ROOMY_ROWS ? 11 : 18;
  const height = TOP + rows.length * row + 10;
  const scale = (s) => left + (Math.min(s, end) / end) * (width - left - RIGHT);
  const label = `Timeline of ${plural(rows.length, "task")} over ${seconds(end)}; the same is in the table below.`;
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "timeline", role: "img", "aria-label": label },
    patterns(),
  );
  for (const t of niceSteps(end, narrow ? 4 : 7)) {
    drawing.append(
      svg("line", { x1: scale(t), x2: scale(t), y1: TOP - 4, y2: height - 6, class: "grid" }),
      text(scale(t), 13, secondsTick(t, end), "axis", t === 0 ? "start" : "middle"),
    );
  }
  let group = null;
  for (const [i, { task, parts }] of rows.entries()) {
    const y = TOP + i * row;
    if (groupOf(task) !== group) {
      if (i) drawing.append(svg("line", { x1: 0, x2: width, y1: y, y2: y, class: "rule" }));
      group = groupOf(task);
      drawing.append(
        text(left - 10, y + row / 2 + 4, shortened(group, narrow ? 10 : 16), group === "failed" ? "worker bad" : "worker", "end"),
      );
    }
    drawing.append(...parts.map((part) => bar(part, scale, y, row)), ...marksOf(task, parts, scale, y + row / 2 + 4));
  }
  return drawing;
}

/** Stripes, so that what is lost, and what may run or not, differ from the rest by more than their colours. */
function patterns() {
  const pattern = (kind, thick) => {
    const shape = {
      id: `stripes-${kind}`,
      class: `stripes-${kind}`,
      width: 6,
      height: 6,
      patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)",
    };
    return svg("pattern", shape, svg("rect", { width: 6, height: 6 }), svg("rect", { width: thick, height: 6, class: "stripe" }));
  };
  return svg("defs", {}, pattern("held", 1.5), pattern("lost", 3));
}

function bar({ kind, from, to, words }, scale, y, row) {
  const inset = row > 12 ? 3 : 1;
  const title = svg("title");
  title.textContent = words;
  const least = kind === "wait" ? 0 : 2; // px, so that what was short can be seen
  const shape = {
    x: scale(from),
    y: y + inset,
    width: Math.max(least, scale(to) - scale(from)),
    height: row - 2 * inset,
    rx: 2,
    class: kind,
  };
  return svg("rect", shape, title);
}

/** On each lost attempt the worker that was lost with it, if there is room; and why a task failed that no worker ever had. */
function marksOf(task, parts, scale, base) {
  if (task.state === "failed" && !parts.length) return [text(scale(0) + 6, base, `✕ ${reasonWords(task)}`, "lost-words", "start")];
  return parts
    .filter(({ kind }) => kind === "lost")
    .map(({ from, to, worker }) => {
      const words = `✕ ${worker}`;
      const fits = scale(to) - scale(from) > 16 + words.length * LETTER;
      return text(scale(to) - 6, base, fits ? words : "✕", "lost-words", "end");
    });
}

function text(x, y, words, name, anchor) {
  const node = svg("text", { x, y, class: name, "text-anchor": anchor });
  node.textContent = words;
  return node;
}
