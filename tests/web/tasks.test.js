import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byUrgency,
  byWorker,
  endOf,
  failures,
  serviceWords,
  spansOf,
  stateOnWorker,
  stateWords,
  waitWords,
} from "../../web/tasks.js";

const row = (state, worker, started_s = null, service_s = null, reason = null) => ({ state, worker, started_s, service_s, reason });
const DONE = row("done", "host1", 0.5, 2);
const RUNNING = row("running", "host1", 0.5);
const PLACED = row("placed", "host1");
const UNPLACED = row("unplaced", null);
const FAILED = row("failed", "host1", null, null, "its workers were lost");
const STARTED_AND_FAILED = row("failed", "host1", 0.5, null, "its workers were lost");

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

test("a task waits until it has started, and runs until it has ended or until now", () => {
  assert.deepEqual(spansOf(DONE, 9), { waited_s: 0.5, served_s: 2 });
  assert.deepEqual(spansOf(RUNNING, 9), { waited_s: 0.5, served_s: 8.5 });
  assert.deepEqual(spansOf(RUNNING, 0.4), { waited_s: 0.5, served_s: 0 });
});

test("a task that is only placed waits: it does not run", () => {
  assert.deepEqual(spansOf(PLACED, 9), { waited_s: 9, served_s: null });
  assert.deepEqual(spansOf(UNPLACED, 9), { waited_s: 9, served_s: null });
});

test("a task that failed does not run on", () => {
  assert.deepEqual(spansOf(FAILED, 9), { waited_s: 9, served_s: null });
  assert.deepEqual(spansOf(STARTED_AND_FAILED, 9), { waited_s: 0.5, served_s: null });
});

test("the scale of time holds all that is shown, and is never empty", () => {
  assert.equal(endOf([DONE], 1), 2.5);
  assert.equal(endOf([DONE, PLACED], 9), 9);
  assert.equal(endOf([], 0), 1e-6);
});

test("each state has its words", () => {
  assert.deepEqual(["unplaced", "placed", "running", "done", "failed"].map(stateWords), [
    "not placed",
    "queued",
    "running",
    "done",
    "failed",
  ]);
  assert.equal(stateWords("new one"), "new one");
});

test("what the bars say, by state", () => {
  const numbered = (task) => ({ ...task, number: 3 });
  assert.equal(waitWords(numbered(DONE), 0.5), "task 3: waited 500 ms");
  assert.equal(waitWords(numbered(PLACED), 9), "task 3: queued on host1, 9.00 s after the job was submitted");
  assert.equal(waitWords(numbered(UNPLACED), 9), "task 3: not placed yet, 9.00 s after the job was submitted");
  assert.equal(waitWords(numbered(FAILED), 9), "task 3: failed, its workers were lost");
  assert.equal(serviceWords(numbered(DONE), 2), "task 3: ran 2.00 s on host1");
  assert.equal(serviceWords(numbered(RUNNING), 2), "task 3: has run for 2.00 s on host1");
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
  assert.deepEqual(stateOnWorker(tasks[1]), { words: "queued", look: "placed" });
});
