import assert from "node:assert/strict";
import { test } from "node:test";
import { setupOf } from "../../web/setup.js";

const stats = ({ address = "127.0.0.1:9090", up = true, error = "", schedulers = {}, ...totals } = {}) => ({
  nameserver: { address, up, error },
  schedulers,
  totals: { workers: 0, workers_gone: 0, jobs: 0, ...totals },
});
const commands = (one) => setupOf(one, "METHOD").steps.map((step) => step.type);
const open = (one) => setupOf(one, "METHOD").steps.map((step) => [step.key, step.done]);

test("until there was a job, all steps are told, done or not", () => {
  const { started, steps } = setupOf(stats({ schedulers: { one: { state: "up" }, two: { state: "gone" } }, workers: 2 }), "METHOD");
  assert.equal(started, false);
  assert.deepEqual(
    steps.map((step) => [step.key, step.done, step.done ? step.yes : step.no]),
    [
      ["nameserver", true, "Name server at 127.0.0.1:9090"],
      ["scheduler", true, "1 scheduler"],
      ["workers", true, "2 workers"],
      ["jobs", false, "No job yet"],
    ],
  );
});

test("afterwards only what is missing", () => {
  assert.deepEqual(open(stats({ jobs: 3, workers: 2, schedulers: { one: { state: "gone" } } })), [["scheduler", false]]);
  assert.deepEqual(open(stats({ jobs: 3, workers: 2, schedulers: { one: { state: "up" } } })), []);
  assert.deepEqual(open(stats({ workers_gone: 1, schedulers: { one: { state: "up" } } })), [["workers", false]]);
});

test("what to type names the name server only where it has to be named", () => {
  assert.deepEqual(commands(stats()), [
    "python3 src/NameServer.py",
    "python3 src/Scheduler.py",
    "python3 src/Worker.py",
    "python3 src/SparrowClient.py METHOD 10 10 1",
  ]);
  assert.deepEqual(commands(stats({ address: "lab:9091" })), [
    "python3 src/NameServer.py --host lab --port 9091",
    "python3 src/Scheduler.py --nameserver lab:9091",
    "python3 src/Worker.py --nameserver lab:9091",
    "python3 src/SparrowClient.py METHOD 10 10 1 --nameserver lab:9091",
  ]);
  assert.equal(commands(stats({ address: "[::1]:9090" }))[0], "python3 src/NameServer.py --host [::1]");
});

test("what is wrong with the name server is told, unless it is only missing", () => {
  const told = (error) => setupOf(stats({ up: false, error }), "METHOD").steps[0].no;
  assert.equal(told(""), "No name server at 127.0.0.1:9090");
  assert.equal(told("no name server answers"), "No name server at 127.0.0.1:9090");
  assert.equal(told("wrong key"), "wrong key");
});
