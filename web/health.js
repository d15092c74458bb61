// How the cluster and the connection to the server are: one word for the corner, and what follows from it. Pure.

import { clock } from "./format.js";

const WORDS = { ok: "Live", degraded: "Degraded", down: "Down" };
const SUMMARIES = {
  degraded: "The cluster works, but not all of it",
  down: "The cluster runs nothing",
};

/**
 * { word, look, away, summary, reasons }: `look` is "connecting", "away", or the state of the cluster; `away` says that the server
 * does not answer, and what is shown meanwhile; `summary` and `reasons` what is wrong with the cluster. "" and [] if nothing is.
 * `stats` is the latest snapshot, if there was one; `awaySince` null while the server answers.
 */
export function healthOf(stats, awaySince) {
  if (awaySince !== null) return { word: "Away", look: "away", away: awayWords(stats, awaySince), summary: "", reasons: [] };
  if (!stats) return { word: "Connecting", look: "connecting", away: "", summary: "", reasons: [] };
  const { state, since, reasons } = stats.cluster;
  const summary = SUMMARIES[state] ? `${SUMMARIES[state]}, since ${clock(since)}.` : "";
  return { word: WORDS[state] ?? state, look: state, away: "", summary, reasons };
}

function awayWords(stats, awaySince) {
  const shown = stats ? `What you see is the picture of ${clock(stats.now)}; it` : "The page";
  return `The server has not answered since ${clock(awaySince)}. ${shown} comes back by itself.`;
}

/** What a view shows in place of a picture that it does not have yet: { title, words }. `name` is for example "Job 61a9". */
export function blankOf(name, away) {
  const title = name || "Sparrow";
  if (away)
    return { title, words: "It is not known here yet, and the server does not answer. It is shown as soon as the server is back." };
  return { title, words: "Asking the server …" };
}
