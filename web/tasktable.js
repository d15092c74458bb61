// One job's tasks as a table.

import { h } from "./dom.js";
import { seconds } from "./format.js";
import { workerAddress } from "./links.js";
import { lostWords, reasonWords, stateWords } from "./tasks.js";

const COLUMNS = [
  { head: "Worker", cell: ({ worker }) => (worker ? h("a", { href: workerAddress(worker) }, worker) : "–") },
  { head: "State", cell: (task) => (task.state === "failed" ? `failed: ${reasonWords(task)}` : stateWords(task.state)) },
  { head: "Wait", numeric: true, cell: ({ wait_s }) => seconds(wait_s) },
  { head: "Service", numeric: true, cell: ({ service_s }) => seconds(service_s) },
  { head: "Attempts", numeric: true, cell: ({ attempts }) => String(attempts) },
  { head: "Lost on", cell: (task) => lostWords(task) || "–" },
];

/** The first `most` of these tasks, which have their numbers. */
export function taskTable(tasks, most) {
  const shown = [...tasks].sort((one, other) => one.number - other.number).slice(0, most);
  const heads = COLUMNS.map(({ head, numeric }) => h("th", { scope: "col", class: numeric && "num" }, head));
  const rows = shown.map((task) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, String(task.number)),
      ...COLUMNS.map(({ numeric, cell }) => h("td", { class: numeric && "num" }, cell(task))),
    ),
  );
  return h(
    "table",
    { class: "table table-sm" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Task"), ...heads)),
    h("tbody", {}, ...rows),
  );
}
