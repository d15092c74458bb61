import assert from "node:assert/strict";
import { test } from "node:test";
import { listOf } from "../../web/joblist.js";

const NO_FILTER = { method: "", state: "" };
const jobs = Array.from({ length: 20 }, (_, i) => ({ id: i, method: i % 2 ? "A" : "B", state: i ? "done" : "running" }));
const stats = { jobs, totals: { jobs: 1_234 } };

test("the overview has the newest few, whatever the filter is", () => {
  const { shown, words, empty, more } = listOf(stats, { method: "A", state: "failed" }, false);
  assert.deepEqual([shown.length, words, empty, more], [8, "The newest 8 of 1,234", "", true]);
});

test("the list has all that the filter leaves", () => {
  assert.deepEqual(listOf(stats, NO_FILTER, true).words, "The newest 20 of 1,234");
  const { shown, words, more } = listOf(stats, { method: "A", state: "done" }, true);
  assert.deepEqual([shown.length, words, more], [10, "10 of the newest 20 jobs", false]);
});

test("an empty list says why it is empty", () => {
  const empty = (some, totals, filter, whole = true) => {
    const list = listOf({ jobs: some, totals: { jobs: totals } }, filter, whole);
    assert.equal(list.words, "");
    return list.empty;
  };
  assert.match(empty([], 0, NO_FILTER), /^There was no job yet\./);
  assert.match(empty([], 9, NO_FILTER, false), /^The schedulers remember no job any more\./);
  assert.equal(empty(jobs, 20, { method: "A", state: "failed" }), "None of the newest 20 jobs is of method A and in state failed.");
  assert.equal(empty(jobs, 20, { method: "", state: "failed" }), "None of the newest 20 jobs is in state failed.");
  assert.equal(empty(jobs.slice(0, 1), 1, { method: "C", state: "" }), "None of the newest 1 job is of method C.");
});
