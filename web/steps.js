// "Getting started": what is missing, and what to type.

import { h, keyed, setAttribute, setText } from "./dom.js";
import { byId, IDS } from "./links.js";
import { setupOf } from "./setup.js";

/** `quiet`: somebody looks at one job or worker, where what is missing elsewhere would be in the way. */
export function drawSteps(stats, method, quiet) {
  const { started, steps } = setupOf(stats, method);
  byId(IDS.steps).hidden = started && (quiet || steps.length === 0);
  byId(IDS.stepsSub).hidden = started;
  setText(byId(IDS.stepsTitle), started ? "Something is missing" : "Getting started");
  keyed(byId(IDS.stepsList), steps, (step) => step.key, stepItem, updateStep);
}

function stepItem() {
  return h("li", {}, h("span", { class: "what" }), h("span", { class: "how" }, h("code", {}), h("span", { class: "where" })));
}

function updateStep(node, step) {
  setAttribute(node, "class", step.done ? "done" : "todo");
  setText(node.querySelector(".what"), step.done ? step.yes : step.no);
  node.querySelector(".how").hidden = step.done;
  setText(node.querySelector("code"), step.type);
  setText(node.querySelector(".where"), step.where);
}
