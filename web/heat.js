// Many workers: a cell each, in the colour of its load.

import { h, keyed } from "./dom.js";
import { byId, IDS, workerAddress } from "./links.js";
import { heatLevel, loadWords } from "./load.js";

const LARGE_CELLS = 150; // up to so many workers, and then
const MIDDLE_CELLS = 400;

export function drawHeat(shown) {
  const box = byId(IDS.nowGrid);
  box.className = shown.length <= LARGE_CELLS ? "heat few" : shown.length <= MIDDLE_CELLS ? "heat some" : "heat";
  keyed(
    box,
    shown,
    ([name]) => name,
    ([name]) => h("a", { href: workerAddress(name), tabindex: "-1" }),
    (node, [name, worker]) => updateCell(node, heatLevel(worker), `${name}: ${loadWords(worker)}`),
  );
  if (!box.querySelector('[tabindex="0"]') && box.firstElementChild) box.firstElementChild.tabIndex = 0;
}

/** What a cell shows is kept beside it: a thousand are compared each second, and few differ. */
function updateCell(node, level, label) {
  if (node.heat !== level) {
    node.className = `heat${level}`;
    node.heat = level;
  }
  if (node.label !== label) {
    node.setAttribute("aria-label", label);
    node.title = label;
    node.label = label;
  }
}

/** Arrow keys move in the grid; only one of its cells is a stop of the Tab key. */
export function listenToHeatKeys() {
  const box = byId(IDS.nowGrid);
  box.addEventListener("keydown", (event) => {
    const cells = [...box.children];
    const at = cells.indexOf(document.activeElement);
    if (at < 0) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: inRow(cells), ArrowUp: -inRow(cells) }[event.key];
    const target = event.key === "Home" ? cells[0] : event.key === "End" ? cells.at(-1) : step && cells[at + step];
    if (!target) return;
    event.preventDefault();
    cells[at].tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  });
}

/** How many cells are in a row; 0 if there is but one row. */
const inRow = (cells) =>
  Math.max(
    0,
    cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop),
  );
