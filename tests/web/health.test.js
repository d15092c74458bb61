import assert from "node:assert/strict";
import { test } from "node:test";
import { blankOf, healthOf } from "../../web/health.js";

const stats = (state, ...reasons) => ({ now: 0, cluster: { state, since: 0, reasons } });

test("only a server that answers and a cluster that is all there is live", () => {
  assert.deepEqual(healthOf(stats("ok"), null), { word: "Live", look: "ok", away: "", summary: "", reasons: [] });
  assert.equal(healthOf(null, null).word, "Connecting");
});

test("what is missing is said, with what follows from it", () => {
  const degraded = healthOf(stats("degraded", "Scheduler 1 is gone."), null);
  assert.deepEqual([degraded.word, degraded.look, degraded.away], ["Degraded", "degraded", ""]);
  assert.deepEqual(degraded.reasons, ["Scheduler 1 is gone."]);
  assert.match(degraded.summary, /^The cluster works, but not all of it, since \d\d:\d\d:\d\d\.$/);
  const down = healthOf(stats("down", "No scheduler answers."), null);
  assert.deepEqual([down.word, down.look], ["Down", "down"]);
  assert.match(down.summary, /^The cluster runs nothing, since /);
});

test("a server that does not answer hides what the cluster was: nobody knows what it is now", () => {
  const away = healthOf(stats("degraded", "Scheduler 1 is gone."), 1);
  assert.deepEqual([away.word, away.look, away.reasons], ["Away", "away", []]);
  assert.match(
    away.away,
    /^The server has not answered since \d\d:\d\d:\d\d\. What you see is the picture of \d\d:\d\d:\d\d; it comes back/,
  );
  assert.match(healthOf(null, 1).away, /\. The page comes back by itself\.$/);
});

test("a view without a picture says what it waits for", () => {
  assert.match(blankOf("Job 61a9", true).words, /server does not answer/);
  assert.deepEqual(blankOf("Job 61a9", false), { title: "Job 61a9", words: "Asking the server …" });
});
