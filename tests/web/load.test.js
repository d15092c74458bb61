import assert from "node:assert/strict";
import { test } from "node:test";
import { barLabels, heatLevel, shownWorkers, workerStateWords } from "../../web/load.js";

const up = (load, slots = 1) => ({ state: "up", load, slots, last_seen: 1000 });
const gone = (last_seen) => ({ state: "gone", load: 0, slots: 1, last_seen });

test("a worker that is gone leaves the chart after a minute; one that never answered is not in it", () => {
  const workers = { a: up(0), b: gone(941), c: gone(939), d: gone(null), e: { ...up(1), last_seen: 0 } };
  assert.deepEqual(
    shownWorkers({ workers, now: 1000 }).map(([name]) => name),
    ["a", "b", "e"],
  );
});

test("levels of the heat grid: by load over slots", () => {
  const levels = [0, 1, 3, 4, 5, 7, 8, 11, 12, 15, 16, 400].map((load) => heatLevel(up(load, 4)));
  assert.deepEqual(levels, [0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
  assert.equal(heatLevel(gone(1)), "gone");
});

test("labels leave out what names share where there is little room, and say who is gone", () => {
  const shown = [
    ["host1", up(0)],
    ["host2", gone(1)],
  ];
  assert.deepEqual(barLabels(shown, true), ["1", ["2", "gone"]]);
  assert.deepEqual(barLabels(shown, false), ["host1", ["host2", "gone"]]);
  assert.deepEqual(barLabels([["a.very.long.hostname", up(0)]], true), ["a.very.long.h…"]);
});

test("a worker is up, or says since when it is not", () => {
  assert.equal(workerStateWords(up(0), 1000), "up");
  assert.equal(workerStateWords(gone(990), 1000), "gone, last seen 10 s ago");
  assert.equal(workerStateWords(gone(null), 1000), "gone, never answered");
});
