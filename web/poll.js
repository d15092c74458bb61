// A worker that asks the server, away from the page: one request at a time, the next when the server has something new.
// The page says what it looks at ({ path }) and whether anybody sees it ({ hidden }); it gets { stats, details } or { away }.

import { STATS_PATH } from "./links.js";

const HIDDEN_S = 15; // between two polls of a page that nobody sees
const AWAY_S = 1; // between two tries while the server does not answer
const TIMEOUT_S = 5; // for one answer

let path = null;
let hidden = false;
let timer = 0;
let busy = false;
let again = false;

async function get(url) {
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), TIMEOUT_S * 1000);
  try {
    const answer = await fetch(url, { signal: abort.signal, cache: "no-cache" });
    if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
    return { found: answer.ok, value: await answer.json(), wait: Number(answer.headers.get("X-Next-Sample")) };
  } finally {
    clearTimeout(late);
  }
}

async function poll() {
  if (busy) {
    again = true;
    return;
  }
  clearTimeout(timer);
  busy = true;
  again = false;
  let wait = AWAY_S;
  try {
    const asked = path;
    const [stats, details] = await Promise.all([get(STATS_PATH), asked ? get(asked) : null]);
    postMessage({ stats: stats.value, path: asked, details: details && (details.found ? details.value : null) });
    wait = hidden ? HIDDEN_S : Math.min(Math.max(stats.wait + 0.03, 0.2), 5);
  } catch (error) {
    postMessage({ away: true, reason: String(error.message || error) });
  }
  busy = false;
  timer = setTimeout(poll, again ? 0 : wait * 1000);
}

addEventListener("message", ({ data }) => {
  path = data.path;
  const woken = hidden && !data.hidden;
  hidden = data.hidden;
  if (data.now || woken) poll();
});
