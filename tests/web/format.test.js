import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, count, percent, plural, ratio, seconds, secondsTick, short, tick } from "../../web/format.js";

const table = (f, rows) => {
  for (const [given, expected] of rows) assert.equal(f(...[given].flat()), expected, `${f.name}(${given})`);
};

test("a number has three significant digits, and no more than it needs", () => {
  table(short, [
    [0, "0"],
    [0.1234, "0.12"],
    [9.994, "9.99"],
    [9.996, "10.0"],
    [99.94, "99.9"],
    [99.96, "100"],
    [12345, "12,345"],
    [-12.34, "-12.3"],
    [null, "–"],
    [undefined, "–"],
  ]);
});

test("a time has the unit that fits it, also at the borders", () => {
  table(seconds, [
    [0, "0 s"],
    [0.0000123, "12.3 µs"],
    [0.0009994, "999 µs"],
    [0.0009996, "1.00 ms"],
    [0.9994, "999 ms"],
    [0.9996, "1.00 s"],
    [119.4, "119 s"],
    [120, "2.00 min"],
    [null, "–"],
  ]);
});

test("ticks of an axis share the unit of its largest", () => {
  table(secondsTick, [
    [[0, 1], "0"],
    [[0.5, 2], "0.5 s"],
    [[0.05, 0.2], "50 ms"],
    [[60, 240], "1 min"],
    [[0.000002, 0.000004], "2 µs"],
  ]);
  table(tick, [
    [1234.5, "1,230"],
    [0.25, "0.25"],
  ]);
});

test("how long ago, in words that stay when it is long ago", () => {
  table(ago, [
    [0, "just now"],
    [1.6, "2 s ago"],
    [99, "99 s ago"],
    [100, "2 min ago"],
    [5399, "90 min ago"],
    [5400, "2 h ago"],
    [130000, "2 days ago"],
  ]);
});

test("counts, ratios, plurals", () => {
  assert.equal(count(1234567), "1,234,567");
  assert.equal(percent(0.814), "81\u00a0%");
  assert.equal(ratio(1.5), "1.50×");
  assert.equal(ratio(null), "–");
  assert.equal(plural(1, "task"), "1 task");
  assert.equal(plural(0, "task"), "0 tasks");
});
