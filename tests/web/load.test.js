import assert from "node:assert/strict";
import { test } from "node:test";
import {
  barLabels,
  HEAT_WORDS,
  heatLevel,
  loadSummary,
  loadWords,
  missingWorkers,
  notUpWords,
  shownWorkers,
  stripedWords,
  workerStateWords,
} from "../../web/load.js";

const up = (load, slots = 1) => ({ state: "up", load, running: Math.min(load, slots), slots, since: 0, last_seen: 1000 });
const not = (state, since, last_seen = since) => ({ state, load: 0, running: 0, slots: 1, since, last_seen });
const gone = (since, last_seen) => not("gone", since, last_seen);

test("a worker that is gone leaves the chart after a minute; one that never answered is not in it", () => {
  const workers = { a: up(0), b: gone(941), c: gone(939), d: gone(990, null), e: { ...up(1), last_seen: 0 } };
  assert.deepEqual(
    shownWorkers({ workers, now: 1000 }).map(([name]) => name),
    ["a", "b", "e"],
  );
});

test("one that is silent or cannot be read stays in the chart", () => {
  const workers = { a: not("silent", 5), b: not("unreadable", 5, null) };
  assert.equal(shownWorkers({ workers, now: 1000 }).length, 2);
});

test("who is missing is told, the latest first, but not who never was there", () => {
  const workers = { a: up(0), b: gone(5), c: not("silent", 7), d: gone(9, null), e: not("unreadable", 6) };
  assert.deepEqual(
    missingWorkers({ workers }).map(([name]) => name),
    ["c", "e", "b"],
  );
});

test("levels of the heat grid: by load over slots, each with its words", () => {
  const levels = [0, 1, 3, 4, 5, 7, 8, 11, 12, 15, 16, 400].map((load) => heatLevel(up(load, 4)));
  assert.deepEqual(levels, [0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
  assert.equal(HEAT_WORDS.length, Math.max(...levels) + 1);
  for (const state of ["gone", "silent", "unreadable"]) assert.equal(heatLevel(not(state, 1)), "off");
});

test("labels leave out what names share where there is little room, and say who is not up", () => {
  const shown = [
    ["host1", up(0)],
    ["host2", gone(1)],
    ["host3", not("silent", 1)],
  ];
  assert.deepEqual(barLabels(shown, true), ["1", ["2", "gone"], ["3", "silent"]]);
  assert.deepEqual(barLabels(shown, false), ["host1", ["host2", "gone"], ["host3", "silent"]]);
  assert.deepEqual(barLabels([["a.very.long.hostname", up(0)]], true), ["a.very.long.h…"]);
  assert.equal(stripedWords(shown), "gone or silent");
  assert.equal(stripedWords(shown.slice(0, 1)), "");
  assert.equal(loadSummary(shown), "3 workers: 0 busy, the fullest has 0. host2 is gone, host3 is silent.");
  assert.equal(loadSummary([["host1", up(3)]]), "1 worker: 1 busy, the fullest has 3.");
});

test("a worker in words: its load, its state, and when it was seen", () => {
  assert.equal(loadWords(up(3)), "1 running, 2 waiting");
  assert.equal(loadWords(gone(1)), "gone");
  assert.equal(workerStateWords(up(0), 1000), "up");
  assert.equal(workerStateWords(gone(995, 990), 1000), "gone, last seen 10 s ago");
  assert.equal(workerStateWords(gone(990, null), 1000), "gone, never answered");
  assert.equal(workerStateWords(not("silent", 990), 1000), "silent, last seen 10 s ago");
  assert.equal(workerStateWords(not("unreadable", 990), 1000), "unreadable");
});

test("how many are not up", () => {
  assert.equal(notUpWords({ workers: 3, workers_gone: 2, workers_silent: 0, workers_unreadable: 1 }), "2 gone, 1 unreadable");
  assert.equal(notUpWords({ workers: 3, workers_gone: 0, workers_silent: 0, workers_unreadable: 0 }), "");
});
