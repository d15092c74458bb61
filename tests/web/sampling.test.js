import assert from "node:assert/strict";
import { test } from "node:test";
import { divided, gotWords, inOrder, placements, pulledWords, reservationWords, samplesOf, toldWords } from "../../web/sampling.js";

const told = (rows) => rows.map(({ task, worker, probes }) => [task, worker, probes.map((probe) => probe.worker)]);

test("probes are divided in order, evenly, and none is lost or doubled", () => {
  assert.deepEqual(divided(["a", "b", "c", "d"], 2), [
    ["a", "b"],
    ["c", "d"],
  ]);
  for (const [probes, tasks] of [
    [7, 3],
    [2, 5],
    [0, 4],
    [10, 1],
    [9, 9],
  ]) {
    const probed = Array.from({ length: probes }, (_, i) => i);
    const parts = divided(probed, tasks);
    assert.equal(parts.length, tasks);
    assert.deepEqual(parts.flat(), probed);
    const sizes = parts.map((part) => part.length);
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${probes} probes, ${tasks} tasks: ${sizes}`);
  }
});

const decision = { tasks: [0, 1], probed: ["a", "b", "c", "d"], loads: { a: 3, b: 0, c: 1, d: 1 }, chosen: ["b", "c"] };

test("per task: each task has its own probes, the least loaded first", () => {
  assert.deepEqual(told(placements([decision], "per task", 9)), [
    [0, "b", ["b", "a"]],
    [1, "c", ["c", "d"]],
  ]);
});

test("per job: all tasks share the probes", () => {
  const all = ["b", "c", "d", "a"];
  assert.deepEqual(told(placements([decision], "per job", 9)), [
    [0, "b", all],
    [1, "c", all],
  ]);
});

test("per task: what was compared is the answer and this job's earlier tasks", () => {
  const counted = [
    [3, 0],
    [3, 1],
  ];
  const twice = { tasks: [0, 1], probed: ["a", "b", "a", "b"], loads: { a: 3, b: 0 }, chosen: ["b", "b"], counted };
  const [first, second] = placements([twice], "per task", 9);
  assert.deepEqual(first.probes, [
    { worker: "b", load: 0, own: 0 },
    { worker: "a", load: 3, own: 0 },
  ]);
  assert.deepEqual(second.probes[0], { worker: "b", load: 0, own: 1 });
  const silent = placements([{ ...twice, loads: { b: 0 }, counted: [[null, 0], null] }], "per task", 9);
  assert.deepEqual(silent[0].probes[1], { worker: "a", load: null, own: 0 });
  assert.deepEqual(silent[1].probes[0], { worker: "b", load: 0, own: 0 });
});

test("per job: with few workers each wave counts the tasks of the waves before", () => {
  const waves = { tasks: [0, 1, 2, 3], probed: ["a", "b"], loads: { a: 0, b: 1 }, chosen: ["a", "b", "a", "a"] };
  const own = placements([waves], "per job", 9).map(({ probes }) => probes.map((probe) => probe.own));
  assert.deepEqual(own, [
    [0, 0],
    [1, 0],
    [1, 1],
    [2, 1],
  ]);
});

test("nothing: nobody was asked, whatever the job has", () => {
  assert.deepEqual(told(placements([decision], "nothing", 9)), [
    [0, "b", []],
    [1, "c", []],
  ]);
});

test("a worker that did not answer has no load and comes last; one that was probed twice comes once", () => {
  const silent = { tasks: [0], probed: ["x", "host10", "host2", "host2"], loads: { host10: 0, host2: 0 }, chosen: ["host10"] };
  const [row] = placements([silent], "per job", 9);
  assert.deepEqual(row.probes, [
    { worker: "host2", load: 0, own: 0 },
    { worker: "host10", load: 0, own: 0 },
    { worker: "x", load: null, own: 0 },
  ]);
  assert.equal(row.left, 0);
});

test("of many probes the least loaded are shown, and always the one that was taken", () => {
  const probed = Array.from({ length: 40 }, (_, i) => `host${i}`);
  const loads = Object.fromEntries(probed.map((worker, i) => [worker, i]));
  const [near, far] = placements([{ tasks: [0, 1], probed, loads, chosen: ["host3", "host39"] }], "per job", 9);
  assert.deepEqual([near.probes.length, near.left], [24, 16]);
  assert.deepEqual([far.probes.length, far.left], [25, 15]);
  assert.equal(far.probes.at(-1).worker, "host39");
});

test("no more rows than asked for, over all decisions", () => {
  assert.deepEqual(
    placements([decision, { ...decision, tasks: [7, 8] }], "per job", 3).map((row) => row.task),
    [0, 1, 7],
  );
});

test("the registry says what a method samples; without it, what the job shows", () => {
  const job = { pulled: [], reservations: [], decisions: [decision] };
  assert.equal(samplesOf({ ...job, reservations: [{}] }, "per task"), "per task");
  assert.equal(samplesOf({ ...job, reservations: [{}] }, null), "reservations");
  assert.equal(samplesOf({ ...job, pulled: [{}], reservations: [{}] }, null), "idle workers");
  assert.equal(samplesOf(job, null), "per job");
  assert.equal(samplesOf({ pulled: [], reservations: [], decisions: [{ ...decision, loads: {} }] }, null), "nothing");
});

test("why an idle worker got a task, in words", () => {
  const row = { task: 3, worker: "host1", after_s: 0, idle_s: 0.25, told: 0, bounced: false };
  assert.equal(toldWords(row), "idle: said so 250 ms before");
  assert.equal(toldWords({ ...row, idle_s: 0, told: 2 }), "idle: had just said so, to 2 other schedulers too");
  assert.equal(
    toldWords({ ...row, told: 1, bounced: true }),
    "idle: said so 250 ms before, to 1 other scheduler too; sent back: busy by then",
  );
  assert.equal(pulledWords([row]), "1 task given to idle workers.");
  assert.equal(pulledWords([row, { ...row, bounced: true }]), "2 tasks given to idle workers, of which 1 came back.");
});

const reservation = (number, state, ended_s, task = null) => ({
  reservation: number,
  worker: "host1",
  made_s: 0,
  state,
  ended_s,
  task,
});
const RESERVATIONS = [
  reservation(4, "queued", null),
  reservation(1, "cancelled", 3),
  reservation(2, "assigned", 1, 7),
  reservation(3, "no-op", 2),
  reservation(5, "lost", 2),
  reservation(0, "queued", null),
];

test("all reservations are shown in the order in which they ended, those that have not at the end", () => {
  assert.deepEqual(
    inOrder(RESERVATIONS).map((one) => one.reservation),
    [2, 3, 5, 1, 0, 4],
  );
});

test("what became of the reservations, in words", () => {
  assert.equal(
    reservationWords(RESERVATIONS),
    "6 reservations: 1 got a task, 1 came when no task was left, 1 cancelled, 1 lost with their workers, 2 still queued.",
  );
  assert.deepEqual(RESERVATIONS.map(gotWords), [
    "still queued",
    "cancelled",
    "task 7",
    "no-op: none was left",
    "lost with its worker",
    "still queued",
  ]);
});
