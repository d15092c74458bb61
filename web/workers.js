// The list of workers, and one worker opened.

import { chartOn, colour, dropDetached, grid, methodClass, noBorder } from "./charts.js";
import { h, keyed, setAttribute, setText, table, tableBehind } from "./dom.js";
import { ago, count, plural, seconds } from "./format.js";
import { fitTime, minutes } from "./history.js";
import { jobLink } from "./jobs.js";
import { workerLink } from "./now.js";

const MOST_TASKS = 40; // rows

const byId = (id) => document.getElementById(id);

const stateText = (worker, now) =>
  worker.state === "up" ? "up" : worker.last_seen === null ? "gone, never answered" : `gone, last seen ${ago(now - worker.last_seen)}`;

export function drawWorkers(stats) {
  const { totals } = stats;
  const gone = totals.workers_gone ? `, ${count(totals.workers_gone)} gone` : "";
  setText(byId("workers-sub"), `${plural(totals.workers, "worker")} up${gone}; ${plural(totals.slots, "slot")}`);
  keyed(
    byId("workers-table").tBodies[0],
    Object.entries(stats.workers),
    ([name]) => name,
    ([name]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("a", { href: workerLink(name) }, name)),
        h("td", {}, h("span", {})),
        ...[false, false, true, true, false].map((wide) => h("td", { class: wide ? "num wide" : "num" })),
      ),
    (row, [, worker]) => {
      const state = row.children[1].firstChild;
      setText(state, stateText(worker, stats.now));
      setAttribute(state, "class", `state state-${worker.state}`);
      const up = worker.state === "up";
      const values = [worker.running, worker.queued, worker.reservations, worker.slots, worker.done];
      values.forEach((value, i) => setText(row.children[i + 2], up || i > 2 ? count(value) : "–"));
    },
  );
}

export function drawWorker(name, worker) {
  const section = byId("worker");
  if (!worker) {
    section.dataset.id = "";
    section.replaceChildren(
      h("div", { class: "card-box" }, h("h2", {}, `No worker ${name}`), h("p", {}, "Nobody of that name is in the name server. ", h("a", { href: "#/workers" }, "All workers"))),
    );
    return;
  }
  if (section.dataset.id !== name) {
    section.dataset.id = name;
    section.replaceChildren(frame(name));
    dropDetached();
  }
  const part = (key) => section.querySelector(`[data-part="${key}"]`);
  setText(part("state"), stateText(worker, worker.now));
  setAttribute(part("state"), "class", `state state-${worker.state}`);
  setText(part("reason"), worker.reason);
  part("reason").hidden = !worker.reason;
  const up = worker.state === "up";
  const facts = { running: worker.running, queued: worker.queued, reservations: worker.reservations, slots: worker.slots, done: worker.done };
  for (const [key, value] of Object.entries(facts)) setText(part(key), up || key === "done" || key === "slots" ? count(value) : "–");
  setText(part("address"), worker.address || "–");
  setText(part("seen"), worker.last_seen === null ? "never" : ago(worker.now - worker.last_seen));
  drawLoad(section.querySelector("canvas"), worker);
  drawTasks(part("tasks"), part("tasks-sub"), worker);
}

function frame(name) {
  const fact = (label, key) => h("div", {}, h("dt", {}, label), h("dd", { "data-part": key }));
  return h(
    "div",
    {},
    h(
      "div",
      { class: "card-box" },
      h("div", { class: "head" }, h("h2", {}, "Worker ", h("span", { class: "mono" }, name)), h("p", {}, h("span", { "data-part": "state" }))),
      h("p", { class: "reason", "data-part": "reason", hidden: true }),
      h("dl", { class: "facts" }, fact("Running", "running"), fact("Queued tasks", "queued"), fact("Reservations", "reservations"), fact("Slots", "slots"), fact("Tasks done", "done"), fact("Address", "address"), fact("Last seen", "seen")),
    ),
    h(
      "div",
      { class: "card-box" },
      h("h3", { class: "h2" }, "Load over time"),
      h("p", { class: "sub" }, "Tasks and reservations, queued and running"),
      h("div", { class: "plot plot-history" }, h("canvas", { role: "img" })),
      h("details", { class: "data" }, h("summary", {}, "Load as a table")),
    ),
    h(
      "div",
      { class: "card-box" },
      h("h3", { class: "h2" }, "Tasks"),
      h("p", { class: "sub", "data-part": "tasks-sub" }),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tasks of this worker" },
        h(
          "table",
          { class: "table" },
          h("thead", {}, h("tr", {}, ...["Job", "Task", "Method", "State", "Wait", "Service"].map((head, i) => h("th", { scope: "col", class: [1, 4, 5].includes(i) ? "num" : false }, head)))),
          h("tbody", { "data-part": "tasks" }),
        ),
      ),
    ),
  );
}

function drawTasks(body, sub, worker) {
  const rank = { running: 0, placed: 0, unplaced: 1 };
  const tasks = [...worker.tasks].sort(
    (one, other) => (rank[one.state] ?? 2) - (rank[other.state] ?? 2) || other.submitted + (other.started_s ?? 1e9) - (one.submitted + (one.started_s ?? 1e9)),
  );
  setText(sub, tasks.length ? `What it runs and queues, then what it has done, of the newest jobs` : "It had no task of the newest jobs.");
  keyed(
    body,
    tasks.slice(0, MOST_TASKS),
    (task) => `${task.job}/${task.task}`,
    (task) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("a", { href: jobLink(task.job), class: "mono" }, task.job)),
        h("td", { class: "num" }, count(task.task)),
        h("td", {}, h("span", { class: `chip ${methodClass(task.method)}` }, task.method)),
        h("td", {}, h("span", {})),
        h("td", { class: "num" }),
        h("td", { class: "num" }),
      ),
    (row, task) => {
      const state = task.lost_here ? "lost here" : task.state === "done" ? "done" : task.state === "failed" ? "failed" : "running or queued";
      setText(row.children[3].firstChild, state);
      setAttribute(row.children[3].firstChild, "class", `state state-${task.lost_here ? "failed" : task.state === "done" ? "done" : "running"}`);
      setText(row.children[4], seconds(task.wait_s));
      setText(row.children[5], seconds(task.service_s));
    },
  );
}

function drawLoad(canvas, worker) {
  const chart = chartOn(canvas, () => ({
    type: "line",
    data: { datasets: [{ data: [], stepped: true, borderColor: colour("run"), backgroundColor: `${colour("run")}33`, fill: "origin", borderWidth: 1.75, pointRadius: 0 }] },
    options: {
      animation: false,
      parsing: false,
      normalized: true,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: { type: "linear", min: -600, max: 0, grid: grid(), border: noBorder, ticks: { stepSize: 60, maxRotation: 0, maxTicksLimit: 6, padding: 6, callback: minutes } },
        y: { min: 0, suggestedMax: 4, grid: grid(), border: noBorder, ticks: { precision: 0, maxTicksLimit: 5, padding: 6 } },
      },
      plugins: { tooltip: { callbacks: { title: (items) => `${seconds(-items[0].raw.x)} ago`, label: (item) => ` load ${item.raw.y}` } } },
    },
  }));
  const { t, load } = worker.history;
  chart.data.datasets[0].data = t.map((x, i) => ({ x, y: load[i] ?? NaN }));
  fitTime(chart.options.scales.x, t[0] ?? 0);
  chart.update("none");
  setAttribute(canvas, "aria-label", `Line chart of the worker's load over 10 minutes; now ${worker.load}.`);
  tableBehind(canvas.closest(".card-box").querySelector("details"), () =>
    table(["Ago", "Load"], t.map((x, i) => [seconds(-x), load[i] ?? "gone"]).reverse(), "Load, newest first"),
  );
}
