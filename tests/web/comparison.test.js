import assert from "node:assert/strict";
import { test } from "node:test";
import { binOf, perTask, ratioAt, sharedAxis, sharesOf } from "../../web/comparison.js";

const edge = (bin) => Number((10 ** (bin / 20)).toFixed(4)); // as the server rounds it
const method = (p50, histogram, { count = 10 } = {}) => ({
  slowdown: { p50, p95: 2 * p50, count, histogram },
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
