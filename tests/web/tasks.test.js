import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byUrgency,
  byWorker,
  endOf,
  failures,
  groupOf,
  lostWords,
  PARTS,
  partsOf,
  reasonWords,
  stateOnWorker,
  stateWords,
} from "../../web/tasks.js";

const row = (state, worker, started_s = null, service_s = null, reason = null, lost = []) => ({
  ...{ state, worker, started_s, service_s, reason, lost },
  placed_s: worker === null ? null : 0.1,
});
const lost = (attempt, worker, placed_s, started_s, lost_s) => ({ attempt, worker, placed_s, started_s, lost_s });
const DONE = row("done", "host1", 0.5, 2);
const RUNNING = row("running", "host1", 0.5);
const PLACED = row("placed", "host1");
const UNPLACED = row("unplaced", null);
const FAILED = row("failed", null, null, null, "its workers were lost", [
  lost(1, "host1", 0.1, 0.2, 1),
  lost(2, "host2", 3, null, 4),
]);
const told = (task, now_s) => partsOf({ number: 3, ...task }, now_s).map(({ kind, from, to }) => [kind, from, to]);

test("tasks stand under their workers, in the order in which they started, then by number", () => {
  const tasks = [
    row("placed", "host10"),
    row("unplaced", null),
    row("done", "host2", 2),
    row("done", "host2", 1),
    PLACED,
    row("placed", "host2"),
  ];
  const order = byWorker([...tasks, row("placed", "host2")]).map((task) => task.number);
  assert.deepEqual(order, [4, 3, 2, 5, 6, 0, 1]);
});

test("tasks without a worker come last, those that failed first of them", () => {
  const order = byWorker([UNPLACED, FAILED, DONE]).map((task) => groupOf(task));
  assert.deepEqual(order, ["host1", "failed", "not placed"]);
});

test("a task waits until it has started, and runs until it has ended or until now", () => {
  assert.deepEqual(told(DONE, 9), [
    ["wait", 0, 0.5],
    ["serve", 0.5, 2.5],
  ]);
  assert.deepEqual(told(RUNNING, 9), [
    ["wait", 0, 0.5],
    ["open", 0.5, 9],
  ]);
  assert.deepEqual(told(RUNNING, 0.4).at(-1), ["open", 0.5, 0.5]); // it began after the picture's end
});

test("a task that is only placed may run or not; one that is not placed waits", () => {
  assert.deepEqual(told(PLACED, 9), [
    ["wait", 0, 0.1],
    ["held", 0.1, 9],
  ]);
  assert.deepEqual(told(UNPLACED, 9), [["wait", 0, 9]]);
});

test("each lost attempt is a part of its own, and a task that failed ends with the last", () => {
  assert.deepEqual(told(FAILED, 9), [
    ["wait", 0, 0.2],
    ["lost", 0.2, 1],
    ["wait", 1, 3],
    ["lost", 3, 4],
  ]);
  const again = { ...DONE, started_s: 2, lost: [lost(1, "host9", 0, null, 1)] };
  assert.deepEqual(told(again, 9), [
    ["lost", 0, 1],
    ["wait", 1, 2],
    ["serve", 2, 4],
  ]);
  const waits = { ...UNPLACED, lost: [lost(1, "host9", 0, 0, 1)] };
  assert.deepEqual(told(waits, 9).at(-1), ["wait", 1, 9]);
});

test("parts follow one another, and each kind has its words in the legend", () => {
  for (const task of [DONE, RUNNING, PLACED, UNPLACED, FAILED]) {
    const parts = partsOf(task, 9);
    for (const [i, part] of parts.entries()) {
      assert.ok(part.from <= part.to);
      assert.equal(part.from, parts[i - 1]?.to ?? 0);
      assert.ok(PARTS[part.kind]);
    }
  }
});

test("the scale of time holds all that is shown, and is never empty", () => {
  const end = (tasks, now_s) =>
    endOf(
      tasks.flatMap((task) => partsOf(task, now_s)),
      now_s,
    );
  assert.equal(end([DONE], 1), 2.5);
  assert.equal(end([DONE, PLACED], 9), 9);
  assert.equal(end([FAILED], 1), 4);
  assert.equal(end([], 0), 1e-6);
});

test("each state has its words", () => {
  assert.deepEqual(["unplaced", "placed", "running", "done", "failed"].map(stateWords), [
    "not placed",
    "queued or running",
    "running",
    "done",
    "failed",
  ]);
  assert.equal(stateWords("new one"), "new one");
});

test("what the bars say", () => {
  const words = (task, now_s) => partsOf({ number: 3, ...task }, now_s).map((part) => part.words);
  assert.deepEqual(words(DONE, 9), ["task 3: waited 500 ms", "task 3: ran 2.00 s on host1"]);
  assert.equal(words(RUNNING, 2.5).at(-1), "task 3: has run for 2.00 s on host1");
  assert.equal(words(PLACED, 9.1).at(-1), "task 3: queued or running on host1 for 9.00 s");
  assert.equal(words(UNPLACED, 9).at(-1), "task 3: not placed yet, 9.00 s after the job was submitted");
  assert.deepEqual(words(FAILED, 9), [
    "task 3: waited 200 ms",
    "task 3, attempt 1: ran for 800 ms on host1, and was lost with it",
    "task 3: waited 2.00 s",
    "task 3, attempt 2: was there, queued or running, for 1.00 s on host2, and was lost with it",
  ]);
  assert.equal(lostWords(FAILED), "host1 after 1.00 s, host2 after 4.00 s");
  assert.equal(lostWords(DONE), "");
  assert.equal(reasonWords(FAILED), "its workers were lost");
  assert.equal(reasonWords(DONE), "for no known reason");
});

test("reasons of failed tasks, the most frequent first", () => {
  const other = { ...FAILED, reason: "refused" };
  assert.deepEqual(failures([DONE, other, FAILED, PLACED, FAILED]), [
    { reason: "its workers were lost", tasks: 2 },
    { reason: "refused", tasks: 1 },
  ]);
  assert.deepEqual(failures([DONE]), []);
});

test("a worker's tasks: what runs, what waits, what has ended or was lost, the newest first", () => {
  const of = (task, submitted, state, started_s, lost_here = false) => ({ task, submitted, state, started_s, lost_here });
  const tasks = [
    of(0, 10, "done", 1),
    of(1, 20, "placed", null),
    of(2, 10, "running", 2),
    of(3, 10, "done", 5),
    of(4, 30, "running", 1, true),
    of(5, 30, "placed", null),
    of(6, 10, "running", 4),
  ];
  assert.deepEqual(
    byUrgency(tasks).map(({ task }) => task),
    [6, 2, 5, 1, 4, 3, 0],
  );
  assert.deepEqual(stateOnWorker(tasks[4]), { words: "lost here", look: "failed" });
  assert.deepEqual(stateOnWorker(tasks[1]), { words: "queued or running", look: "placed" });
});
