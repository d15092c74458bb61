// Methods are compared only at like loads, and only what chance does not explain is called better.

import assert from "node:assert/strict";
import { test } from "node:test";
import { alikeLoads, compared, isBetter, verdict } from "../../web/verdict.js";

const about = (value, share = 0.1) => ({ value, low: value * (1 - share), high: value * (1 + share) });
const method = (p50, p95, { jobs = 50, load = 0.8, wait = p50 / 10, share = 0.1 } = {}) => ({
  recent: {
    window_s: 600,
    jobs,
    failed_jobs: 0,
    offered_load: load,
    slowdown: { p50: about(p50, share), p95: about(p95, share) },
    last_wait_s: { p50: about(wait), p95: about(2 * wait) },
  },
});
const none = { value: null, low: null, high: null };
const unused = {
  recent: {
    ...method(1, 1).recent,
    jobs: 0,
    offered_load: null,
    slowdown: { p50: none, p95: none },
    last_wait_s: { p50: none, p95: none },
  },
};
const say = (methods) => verdict(methods, Object.keys(methods));

test("two quantiles differ if their intervals are apart", () => {
  assert.equal(compared(about(1), about(2)), -1);
  assert.equal(compared(about(2), about(1)), 1);
  assert.equal(compared(about(1), about(1.07)), 0); // 7 % that chance explains
  assert.equal(compared(about(1), { value: 2, low: null, high: null }), 0);
  assert.equal(compared(about(1), { value: 2, low: 1.5, high: null }), -1); // of few jobs one bound is known
  assert.equal(compared({ value: 1, low: 0.5, high: null }, about(2)), 0);
});

test("better is who is so at the median or at the 95th percentile, and is not worse at the other", () => {
  const recent = (p50, p95) => method(p50, p95).recent;
  assert.ok(isBetter(recent(1, 2), recent(2, 4)));
  assert.ok(isBetter(recent(1, 4), recent(2, 4)));
  assert.ok(isBetter(recent(2, 2), recent(2, 4)));
  assert.ok(!isBetter(recent(2, 4), recent(2.1, 4.1)));
  assert.ok(!isBetter(recent(1, 4), recent(2, 2)));
  assert.ok(!isBetter(recent(2, 2), recent(1, 4)));
});

test("who has less of one quantile by 7 % is not called better, when the others say the reverse", () => {
  const methods = { BATCH: method(2, 9), LATE: method(2.14, 6) };
  assert.match(say(methods).lead, /^LATE served its jobs best: /);
  const near = { BATCH: method(2, 6.2), LATE: method(2.14, 6) };
  assert.match(say(near).lead, /^BATCH and LATE: chance may explain the differences between them\./);
});

test("the best and the worst, and what a job waits for: its last task", () => {
  const { lead, basis } = say({ A: method(6, 60, { wait: 0.6 }), B: method(1.5, 4, { wait: 0.1 }), C: method(3, 8) });
  assert.equal(
    lead,
    "B served its jobs best: half ended within 1.50× ideal, with A within 6.00×; 95\u00a0% ended within 4.00× ideal, with A within 60.0×. " +
      "A job waits for its last task, at the median 100 ms, with A 600 ms.",
  );
  assert.equal(basis, "Last 10 minutes; offered load 80\u00a0%; 50 jobs each.");
});

test("the last task's wait is not named as the cause unless it differs by more than chance", () => {
  assert.doesNotMatch(say({ A: method(6, 60, { wait: 0.1 }), B: method(1.5, 4, { wait: 0.1 }) }).lead, /last task/);
  assert.doesNotMatch(say({ A: method(6, 60, { wait: 0.1 }), B: method(1.5, 4, { wait: 0.5 }) }).lead, /last task/);
});

test("where chance explains a difference no figures are set against each other", () => {
  const few = method(6, 9);
  few.recent.slowdown.p95 = { value: 9, low: 3, high: null };
  assert.match(
    say({ A: few, B: method(1.5, 4) }).lead,
    /^B served its jobs best: half ended within 1\.50× ideal, with A within 6\.00×; at the 95th percentile chance may explain the difference\./,
  );
});

test("several best share the lead, and it is said whether they differ", () => {
  const { lead } = say({ A: method(6, 60), B: method(1.5, 4), C: method(1.55, 4.1) });
  assert.match(
    lead,
    /^B and C served their jobs best \(chance may explain the differences between them\): half ended within 1.50× to 1.55× ideal/,
  );
  const torn = say({ A: method(6, 60), B: method(1.5, 9), C: method(2.5, 4) });
  assert.match(torn.lead, /^B and C served their jobs best \(B is better at the median, C at the 95th percentile\)/);
});

test("methods of unlike loads are not compared", () => {
  const { lead, basis } = say({ A: method(6, 60, { load: 0.8 }), B: method(1.5, 4, { load: 0.4 }) });
  assert.match(lead, /^No two methods can be compared yet\. Run the same jobs/);
  assert.equal(basis, "A (offered a load of 80\u00a0%) and B (offered a load of 40\u00a0%).");
});

test("of several loads the largest part of alike ones is compared, and the rest is named", () => {
  const methods = { A: method(6, 60, { load: 0.3 }), B: method(1.5, 4, { load: 0.8 }), C: method(3, 8, { load: 0.84 }), D: unused };
  const { lead, basis } = say(methods);
  assert.match(lead, /^B served its jobs best: .*with C within/);
  assert.equal(
    basis,
    "Last 10 minutes; offered load 80\u00a0% to 84\u00a0%; 50 jobs each. Not compared: A (offered a load of 30\u00a0%) and D (no job of late).",
  );
});

test("loads are alike within 5 % of the slots, or 10 % of the larger; never by a chain of neighbours", () => {
  const loads = (...all) => Object.fromEntries(all.map((load, i) => [`m${i}`, method(2, 4, { load })]));
  const alike = (methods) => alikeLoads(Object.keys(methods), (name) => methods[name].recent);
  assert.deepEqual(alike(loads(0.1, 0.15)), ["m0", "m1"]);
  assert.deepEqual(alike(loads(0.1, 0.16)).length, 1);
  assert.deepEqual(alike(loads(0.9, 0.99)), ["m0", "m1"]);
  assert.deepEqual(alike(loads(0.7, 0.75, 0.8)).length, 2);
  assert.deepEqual(alike(loads(0.8, null, 0.8)), ["m0", "m2"]);
  assert.deepEqual(alike({}), []);
});

test("of parts of one size, the one with more jobs", () => {
  const methods = {
    A: method(2, 4, { load: 0.2, jobs: 10 }),
    B: method(2, 4, { load: 0.2, jobs: 10 }),
    C: method(2, 4, { load: 0.8, jobs: 90 }),
    D: method(2, 4, { load: 0.8, jobs: 10 }),
  };
  assert.deepEqual(
    alikeLoads(Object.keys(methods), (name) => methods[name].recent),
    ["C", "D"],
  );
});

test("with one method, or few jobs, it says what to do", () => {
  assert.match(say({}).lead, /^Run the same jobs with two methods or more/);
  assert.match(say({ A: method(1, 2) }).lead, /^Run the same jobs/);
  const few = method(1, 2, { jobs: 4 });
  few.recent.slowdown.p50 = { value: 1, low: 0.5, high: null };
  const { lead, basis } = say({ A: method(1, 2), B: few });
  assert.match(lead, /^No two methods can be compared yet\./);
  assert.match(basis, /B \(4 jobs, too few\)/);
});

test("different numbers of jobs are told", () => {
  assert.equal(
    say({ A: method(1, 2, { jobs: 50 }), B: method(1, 2, { jobs: 1 }) }).basis,
    "Last 10 minutes; offered load 80\u00a0%; 50 jobs with A and 1 job with B.",
  );
});
