import assert from "node:assert/strict";
import { test } from "node:test";
import { binOf, perTask, ratioAt, sharedAxis, sharesOf, verdict } from "../../web/comparison.js";

const edge = (bin) => Number((10 ** (bin / 20)).toFixed(4)); // as the server rounds it
const method = (p50, histogram, { count = 10, wait = 0.1 } = {}) => ({
  slowdown: { p50, p95: 2 * p50, count, histogram },
  wait_s: { mean: wait },
  counts: { tasks: 4, probes: 8 },
});

test("a ratio and its place on the axis are each other's inverse; less than ideal is ideal", () => {
  assert.equal(binOf(1), 0);
  assert.equal(binOf(0.5), 0);
  assert.equal(binOf(10), 20);
  assert.ok(Math.abs(ratioAt(binOf(3.7)) - 3.7) < 1e-9);
});

test("the axis holds every bin of every method, and bars are wider when there are many", () => {
  assert.deepEqual(sharedAxis({}), { bins: 8, step: 1 });
  assert.deepEqual(sharedAxis({ A: method(1, [[edge(3), 1]]), B: method(1, [[edge(20), 1]]) }), { bins: 21, step: 1 });
  assert.deepEqual(sharedAxis({ A: method(1, [[edge(40), 1]]) }), { bins: 41, step: 2 });
});

test("shares add up to the whole, each in the bar that ends at its edge", () => {
  const rows = [
    [edge(1), 5],
    [edge(4), 3],
    [edge(8), 2],
  ];
  const points = sharesOf(method(1, rows), { bins: 8, step: 1 });
  assert.deepEqual(
    points.map((point) => point.y),
    [0.5, 0, 0, 0.3, 0, 0, 0, 0.2, 0],
  );
  assert.deepEqual(
    points.map((point) => point.x),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  const wide = sharesOf(method(1, rows), { bins: 9, step: 2 });
  assert.deepEqual(
    wide.map(({ x, y }) => [x, y]),
    [
      [0, 0.5],
      [2, 0.3],
      [4, 0],
      [6, 0.2],
      [8, 0],
      [10, 0],
    ],
  );
});

test("a method that was not used, or has ended no job, has no distribution", () => {
  assert.deepEqual(sharesOf(undefined, { bins: 8, step: 1 }), []);
  assert.deepEqual(sharesOf(method(null, [], { count: 0 }), { bins: 8, step: 1 }), []);
});

test("messages per task", () => {
  assert.equal(perTask(method(1, []), "probes"), 2);
  assert.equal(perTask(method(1, []), "no_ops"), 0);
  assert.equal(perTask({ counts: { tasks: 0, probes: 3 } }, "probes"), 0);
});

test("no verdict with one method, or with few jobs", () => {
  const few = "Run the same jobs with two methods or more, and this says which served them better, and why.";
  assert.equal(verdict({}, []), few);
  assert.equal(verdict({ A: method(1, []) }, ["A", "B"]), few);
  assert.equal(verdict({ A: method(1, []), B: method(2, [], { count: 4 }) }, ["A", "B"]), few);
});

test("the verdict names the best and the worst, and waiting as the cause only if the best waited less", () => {
  const names = ["A", "B", "C"];
  const methods = { A: method(3, [], { wait: 0.3 }), B: method(1.5, [], { wait: 0.1 }), C: method(2, []) };
  assert.equal(
    verdict(methods, names),
    "B is closest to ideal so far: half of its jobs ended within 1.50× ideal, with A within 3.00×. What differs is waiting: a task waited 100 ms on average, with A 300 ms. Only equal loads compare fairly.",
  );
  assert.doesNotMatch(verdict({ ...methods, B: method(1.5, [], { wait: 0.4 }) }, names), /waiting/);
});

test("methods within a twentieth of the best share the lead, in the order of the registry when equal", () => {
  const same = { A: method(2, []), B: method(2, []), C: method(2.05, []) };
  assert.equal(
    verdict(same, ["B", "A", "C"]),
    "B and A and C are closest to ideal so far: half of their jobs ended within 2.05× ideal.",
  );
  assert.match(verdict({ ...same, C: method(3, []) }, ["A", "B", "C"]), /^A and B are closest/);
});
