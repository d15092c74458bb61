// The corner that says "Live" or what else, and the notices below it.

import { h, setAttribute, setText } from "./dom.js";
import { byId, IDS } from "./links.js";

/** `health` is from `healthOf`. */
export function drawConnection({ word, look, away, summary, reasons }) {
  setText(byId(IDS.live), word);
  setAttribute(byId(IDS.live), "data-state", look);
  setText(byId(IDS.away), away);
  byId(IDS.away).hidden = !away;
  document.body.classList.toggle("stale", away !== "");
  drawNotice(look, summary, reasons);
}

/** It is written anew only when it differs, because screen readers read it aloud then. */
function drawNotice(look, summary, reasons) {
  const notice = byId(IDS.notice);
  const key = JSON.stringify([look, summary, reasons]);
  if (notice.dataset.key === key) return;
  notice.dataset.key = key;
  notice.className = `notice notice-${look}`;
  notice.hidden = !summary;
  const list = reasons.length ? h("ul", {}, ...reasons.map((reason) => h("li", {}, reason))) : null;
  notice.replaceChildren(...[h("strong", {}, summary), list].filter(Boolean));
}
