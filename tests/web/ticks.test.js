import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_SPAN_S, minutesAgo, niceSteps, niceTop, ratioTicks, timeSpan } from "../../web/ticks.js";

test("steps of a timeline are round, begin at 0, stay within its end, and are neither few nor many", () => {
  for (let end = 1e-6; end < 1e6; end *= 1.37) {
    const steps = niceSteps(end);
    assert.equal(steps[0], 0);
    assert.ok(steps.length >= 3 && steps.length <= 8, `${steps.length} steps up to ${end}`);
    assert.ok(steps.at(-1) <= end * (1 + 1e-9) && steps.at(-1) + steps[1] > end * (1 - 1e-9));
    const leading = steps[1] / 10 ** Math.floor(Math.log10(steps[1]) + 1e-9);
    assert.ok(
      [1, 2, 2.5, 5].some((digit) => Math.abs(leading - digit) < 1e-6),
      `step ${steps[1]}`,
    );
  }
  assert.deepEqual(niceSteps(7), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(niceSteps(7, 4), [0, 2, 4, 6]);
});

test("the top of an axis holds the tallest bar, and is the least that does", () => {
  const tops = [1, 4, 5, 6, 7, 9, 11, 16, 21, 31, 41, 150, 151, 3001].map(niceTop);
  assert.deepEqual(tops, [4, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 150, 200, 4000]);
});

test("ticks of ratios stay inside the axis and thin out where it is narrow or long", () => {
  assert.deepEqual(ratioTicks(10, 800), [1, 2, 3, 5, 10]);
  assert.deepEqual(ratioTicks(10 ** 0.4, 800), [1, 2]);
  assert.deepEqual(ratioTicks(28, 300), [1, 2, 3, 5, 10, 20]);
  assert.deepEqual(ratioTicks(32, 300), [1, 2, 10, 20]);
  assert.deepEqual(ratioTicks(32, 800), [1, 2, 3, 5, 10, 20, 30]);
  assert.deepEqual(ratioTicks(1000, 800), [1, 2, 10, 20, 100, 200, 1000]);
});

test("the span of time is the least that holds what there is", () => {
  assert.deepEqual(timeSpan(0), { min: -120, stepSize: 60 });
  assert.deepEqual(timeSpan(-122), { min: -120, stepSize: 60 });
  assert.deepEqual(timeSpan(-123), { min: -300, stepSize: 60 });
  assert.deepEqual(timeSpan(-400), { min: -600, stepSize: 120 });
  assert.deepEqual(timeSpan(-9999), { min: -LONGEST_SPAN_S, stepSize: 120 });
});

test("a tick of time is in minutes before now", () => {
  assert.deepEqual([0, -60, -120].map(minutesAgo), ["now", "−1 min", "−2 min"]);
});
