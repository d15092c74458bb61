// A worker that asks the server, away from the page: one request at a time, the next when the server has something new.
// The page says what it looks at ({ path }) and whether anybody sees it ({ hidden }). It gets { stats, path, details } or { away };
// `details` is { value } or { error }, a sentence, or null when they were not asked for this time.

import { STATS_PATH } from "./links.js";

const HIDDEN_S = 15; // between two polls of a page that nobody sees
const AWAY_S = 1; // between two tries while the server does not answer
const TIMEOUT_S = 5; // for one answer
const REFUSED = [404, 503]; // statuses of details that come with a sentence: not known, not to be had now

let path = null;
let hidden = false;
let timer = 0;
let busy = false;
let again = false;
let pause = { path: null, until: 0 }; // of details that are not to be had now

async function get(url, accepted = []) {
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), TIMEOUT_S * 1000);
  try {
    const answer = await fetch(url, { signal: abort.signal, cache: "no-cache" });
    if (!answer.ok && !accepted.includes(answer.status)) throw new Error(`status ${answer.status}`);
    return { ok: answer.ok, value: await answer.json(), header: (name) => Number(answer.headers.get(name)) };
  } finally {
    clearTimeout(late);
  }
}

async function getDetails(url) {
  if (!url || (url === pause.path && performance.now() < pause.until)) return null;
  const { ok, value, header } = await get(url, REFUSED);
  if (ok) return { value };
  pause = { path: url, until: performance.now() + header("Retry-After") * 1000 };
  return { error: value.error };
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
    const [stats, details] = await Promise.all([get(STATS_PATH), getDetails(asked)]);
    postMessage({ stats: stats.value, path: asked, details });
    wait = hidden ? HIDDEN_S : Math.min(Math.max(stats.header("X-Next-Sample") + 0.03, 0.2), 5);
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
