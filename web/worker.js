// One worker opened: in figures, its load over time, its tasks.

import { chartOn, colour, dropDetached, fitTime, grid, noBorder } from "./charts.js";
import { drawChip, h, keyed, overlay, refused, setAttribute, setText, table, tableBehind } from "./dom.js";
import { ago, count, seconds } from "./format.js";
import { byId, IDS, jobAddress, WORKERS_ADDRESS } from "./links.js";
import { workerStateWords } from "./load.js";
import { byUrgency, stateOnWorker } from "./tasks.js";
import { LONGEST_SPAN_S, minutesAgo } from "./ticks.js";

const MOST_TASKS = 40; // rows

/** `details` has the worker as `value`, if it is known, and why it is not to be had now as `error`, or "". */
export function drawWorker(name, { value: worker, error }, registry) {
  const section = byId(IDS.worker);
  if (!worker) {
    section.dataset.id = "";
    section.replaceChildren(refused(`Worker ${name}`, error, " ", h("a", { href: WORKERS_ADDRESS }, "All workers")));
    return;
  }
  if (section.dataset.id !== name) {
    section.dataset.id = name;
    section.replaceChildren(frame(name));
    dropDetached();
  }
  const part = (key) => section.querySelector(`[data-part="${key}"]`);
  setText(part("state"), workerStateWords(worker, worker.now));
  setAttribute(part("state"), "class", `state state-${worker.state}`);
  const reason = error ? `${error} What you see is the last picture.` : worker.reason;
  setText(part("reason"), reason);
  part("reason").hidden = !reason;
  const up = worker.state === "up";
  for (const key of ["running", "queued", "reservations"]) setText(part(key), up ? count(worker[key]) : "–");
  for (const key of ["slots", "done"]) setText(part(key), count(worker[key]));
  setText(part("address"), worker.address || "–");
  setText(part("seen"), worker.last_seen === null ? "never" : ago(worker.now - worker.last_seen));
  drawLoad(section.querySelector("canvas"), worker);
  drawTasks(part("tasks"), part("tasks-sub"), worker, registry);
}

function frame(name) {
  return h("div", {}, factsFrame(name), loadFrame(), tasksFrame());
}

function factsFrame(name) {
  const fact = (label, key) => h("div", {}, h("dt", {}, label), h("dd", { "data-part": key }));
  const title = h("h2", {}, "Worker ", h("span", { class: "mono" }, name));
  return h(
    "div",
    { class: "card-box" },
    h("div", { class: "head" }, title, h("p", {}, h("span", { "data-part": "state" }))),
    h("p", { class: "reason", "data-part": "reason", hidden: true }),
    h(
      "dl",
      { class: "facts" },
      fact("Running", "running"),
      fact("Queued tasks", "queued"),
      fact("Reservations", "reservations"),
      fact("Slots", "slots"),
      fact("Tasks done", "done"),
      fact("Address", "address"),
      fact("Last seen", "seen"),
    ),
  );
}

function loadFrame() {
  return h(
    "div",
    { class: "card-box" },
    h("h3", { class: "h2" }, "Load over time"),
    h("p", { class: "sub" }, "Tasks and reservations, queued and running"),
    h("div", { class: "plot plot-history" }, h("canvas", { role: "img" })),
    h("details", { class: "data" }, h("summary", {}, "Load as a table")),
  );
}

function tasksFrame() {
  const column = ([head, look]) => h("th", { scope: "col", class: look }, head);
  const heads = [["Job"], ["Task", "num wide"], ["Method", "wide"], ["State"], ["Wait", "num"], ["Service", "num"]].map(column);
  return h(
    "div",
    { class: "card-box" },
    h("h3", { class: "h2" }, "Tasks"),
    h("p", { class: "sub", "data-part": "tasks-sub" }),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks of this worker" },
      h("table", { class: "table" }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", { "data-part": "tasks" })),
    ),
  );
}

function drawTasks(body, sub, { tasks }, registry) {
  const some = "What it runs and queues, then what it has done, of the newest jobs";
  setText(sub, tasks.length ? some : "It had no task of the newest jobs.");
  keyed(
    body,
    byUrgency(tasks).slice(0, MOST_TASKS),
    (task) => `${task.job}/${task.task}`,
    taskRow,
    (row, task) => updateTask(row, task, registry),
  );
}

function taskRow(task) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: jobAddress(task.job), class: "mono" }, task.job), h("span")),
    h("td", { class: "num wide" }, count(task.task)),
    h("td", { class: "wide" }, h("span")),
    h("td", {}, h("span")),
    h("td", { class: "num" }),
    h("td", { class: "num" }),
  );
}

function updateTask(row, task, registry) {
  const [job, , method, state, wait, service] = row.children;
  const { words, look } = stateOnWorker(task);
  drawChip(job.lastChild, registry, task.method, "narrow");
  drawChip(method.firstChild, registry, task.method);
  setText(state.firstChild, words);
  setAttribute(state.firstChild, "class", `state state-${look}`);
  setText(wait, seconds(task.wait_s));
  setText(service, seconds(task.service_s));
}

function loadConfig() {
  const line = { data: [], stepped: true, fill: "origin", borderWidth: 1.75, pointRadius: 0 };
  const minutes = { stepSize: 60, maxRotation: 0, maxTicksLimit: 6, padding: 6, callback: minutesAgo };
  const loads = { precision: 0, maxTicksLimit: 5, padding: 6 };
  return {
    type: "line",
    data: { datasets: [{ ...line, borderColor: colour("run"), backgroundColor: `${colour("run")}33` }] },
    options: {
      animation: false,
      parsing: false,
      normalized: true,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: { type: "linear", min: -LONGEST_SPAN_S, max: 0, grid: grid(), border: noBorder, ticks: minutes },
        y: { min: 0, suggestedMax: 4, grid: grid(), border: noBorder, ticks: loads },
      },
      plugins: {
        tooltip: {
          callbacks: {
            title: (items) => (items.length ? `${seconds(-items[0].raw.x)} ago` : ""),
            label: (item) => ` load ${item.raw.y}`,
          },
        },
      },
    },
  };
}

function drawLoad(canvas, worker) {
  const chart = chartOn(canvas, loadConfig);
  const { t, load } = worker.history;
  chart.data.datasets[0].data = t.map((x, i) => ({ x, y: load[i] ?? NaN }));
  fitTime(chart.options.scales.x, t[0] ?? 0);
  chart.update("none");
  setAttribute(
    canvas,
    "aria-label",
    `Line chart of the worker's load over 10 minutes; now ${worker.state === "up" ? worker.load : worker.state}.`,
  );
  overlay(canvas.parentElement, t.length ? (load.some(Boolean) ? "" : "It was idle all the time") : "Nothing is known yet");
  const rows = t.map((x, i) => [seconds(-x), load[i] ?? "not known"]).reverse();
  tableBehind(canvas.closest(".card-box").querySelector("details"), () => table(["Ago", "Load"], rows, "Load, newest first"));
}
