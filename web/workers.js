// The list of workers.

import { h, keyed, setAttribute, setText } from "./dom.js";
import { count, plural } from "./format.js";
import { byId, IDS, workerAddress } from "./links.js";
import { notUpWords, workerStateWords } from "./load.js";

export function drawWorkers({ totals, workers, now }) {
  const others = notUpWords(totals);
  setText(
    byId(IDS.workersSub),
    `${plural(totals.workers, "worker")} up${others && `, ${others}`}; ${plural(totals.slots, "slot")}`,
  );
  keyed(
    byId(IDS.workersTable).tBodies[0],
    Object.entries(workers),
    ([name]) => name,
    ([name]) => workerRow(name),
    (row, [, worker]) => updateRow(row, worker, now),
  );
}

function workerRow(name) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: workerAddress(name) }, name)),
    h("td", {}, h("span", {})),
    ...[false, false, true, true, false].map((wide) => h("td", { class: wide ? "num wide" : "num" })),
  );
}

function updateRow(row, worker, now) {
  const up = worker.state === "up";
  const [, stateCell, ...cells] = row.children;
  setText(stateCell.firstChild, workerStateWords(worker, now));
  setAttribute(stateCell.firstChild, "class", `state state-${worker.state}`);
  const values = [worker.running, worker.queued, worker.reservations, worker.slots, worker.done];
  for (const [i, value] of values.entries()) setText(cells[i], up || i > 2 ? count(value) : "–");
}
