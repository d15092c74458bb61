// Addresses, paths and ids: built and parsed in one module, and the same as in index.html.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { detailsPath, IDS, jobAddress, jobsAddress, routeOf, VIEWS, WORKERS_ADDRESS, workerAddress } from "../../web/links.js";

const WEB = new URL("../../web/", import.meta.url);
const text = (name) => readFileSync(new URL(name, WEB), "utf8");
const page = text("index.html");
const NOTHING = { method: "", state: "" };
const AWKWARD = ["host1", "a/b", "50%", "a?b#c&d=e", "Übung 1", "..", "+", "%41"];

test("an address leads to what it was built for", () => {
  for (const id of AWKWARD) {
    assert.deepEqual(routeOf(jobAddress(id)), { view: "job", entry: "jobs", id, filter: NOTHING });
    assert.deepEqual(routeOf(workerAddress(id)), { view: "worker", entry: "workers", id, filter: NOTHING });
  }
  for (const method of ["", ...AWKWARD]) {
    for (const state of ["", "done"]) {
      const route = routeOf(jobsAddress({ method, state }));
      assert.deepEqual(route, { view: "jobs", entry: "jobs", id: "", filter: { method, state } });
    }
  }
  assert.equal(routeOf(WORKERS_ADDRESS).view, "workers");
});

test("addresses look as they always have: people have shared them", () => {
  assert.equal(jobsAddress(), "#/jobs");
  assert.equal(jobsAddress({ method: "A+B", state: "done" }), "#/jobs?method=A%2BB&state=done");
  assert.equal(jobAddress("61a9"), "#/jobs/61a9");
  assert.equal(workerAddress("host1"), "#/workers/host1");
});

test("an address that nobody built is the overview, or the list", () => {
  for (const hash of [
    "",
    "#",
    "#/",
    "#/nothing",
    "#/%E0%A4%A",
    "#/constructor",
    "#/job",
    "#/worker",
    "#/overview",
    "#/toString/1",
  ]) {
    assert.deepEqual(routeOf(hash), { view: "overview", entry: "overview", id: "", filter: NOTHING }, hash);
  }
  assert.equal(routeOf("#/jobs/").view, "jobs");
  assert.equal(routeOf("#/history/5").view, "history");
  assert.deepEqual(routeOf("#/jobs/%E0%A4%A").id, "%E0%A4%A");
});

test("details are asked for where the server has them", () => {
  assert.equal(detailsPath(routeOf("#/jobs/a%2Fb")), "/sparrow/jobs/a%2Fb");
  assert.equal(detailsPath(routeOf("#/workers/host1")), "/sparrow/workers/host1");
  for (const view of VIEWS) assert.equal(detailsPath(routeOf(`#/${view}`)), null);
});

test("each id that JavaScript looks up is in index.html, once", () => {
  const found = [...page.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
  for (const id of Object.values(IDS)) assert.equal(found.filter((one) => one === id).length, 1, id);
});

test("each id of index.html is looked up, or named in index.html itself", () => {
  const known = new Set(Object.values(IDS));
  for (const [, id] of page.matchAll(/\sid="([^"]+)"/g)) {
    assert.ok(known.has(id) || page.includes(`labelledby="${id}"`), id);
  }
});

test("each entry of IDS is used, and none is made up", () => {
  const sources = modules().map(text).join("\n");
  const used = new Set([...sources.matchAll(/\bIDS\.(\w+)/g)].map((match) => match[1]));
  assert.deepEqual([...used].sort(), Object.keys(IDS).sort());
});

test("the navigation names the views, and its links lead there", () => {
  const entries = [...page.matchAll(/<a href="([^"]+)" data-view="([^"]+)"/g)];
  assert.deepEqual(
    entries.map(([, , view]) => view),
    VIEWS,
  );
  for (const [, href, view] of entries) assert.equal(routeOf(href).entry, view);
});

test("no other module builds an address, a path, or looks up an id", () => {
  for (const name of modules().filter((one) => one !== "links.js")) {
    const code = text(name).replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
    for (const pattern of [/["'`]#\//, /\/sparrow\//, /getElementById/, /querySelector(All)?\(\s*["'`]#/]) {
      assert.doesNotMatch(code, pattern, name);
    }
  }
});

function modules() {
  return readdirSync(WEB).filter((name) => name.endsWith(".js") && !name.endsWith(".min.js"));
}
