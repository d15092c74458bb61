// The methods come from the server: their order, colours and texts, and what is shown of one that is not registered.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Registry, registryOf } from "../../web/registry.js";

const entry = (name, colour, more = {}) => ({
  name,
  summary: "does it",
  section: "",
  colour,
  samples: "nothing",
  why: "So.",
  ...more,
});

test("the order of the registry rules; what was used besides comes after it, once", () => {
  const registry = new Registry([entry("ZULU", 1), entry("ALPHA", 2)], ["OLD", "ALPHA", "ELDER", "OLD"]);
  assert.deepEqual(registry.names, ["ZULU", "ALPHA", "ELDER", "OLD"]);
  assert.deepEqual(registry.registered, ["ZULU", "ALPHA"]);
});

test("a snapshot's registry has what was used in methods and in jobs", () => {
  const stats = { registry: [entry("B", 1)], methods: { A: {}, B: {} }, jobs: [{ method: "C" }, { method: "A" }] };
  assert.deepEqual(registryOf(stats).names, ["B", "A", "C"]);
  assert.deepEqual(registryOf(null).names, []);
});

test("each of the eight slots has its colour; everything else is neutral", () => {
  const colours = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 2.5, "3", null, undefined];
  const registry = new Registry(
    colours.map((colour, i) => entry(`M${i}`, colour)),
    [],
  );
  const named = colours.map((_, i) => registry.colourName(`M${i}`));
  assert.deepEqual(named, ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m0", "m0", "m0", "m0", "m0", "m0"]);
  assert.equal(registry.colourName("NOBODY"), "m0");
});

test("a method that is not registered has its name, and nothing is made up about it", () => {
  const registry = new Registry([entry("A", 1)], ["OLD"]);
  assert.deepEqual(registry.of("OLD"), { name: "OLD", summary: "", section: "", colour: 0, samples: null, why: "" });
  assert.equal(registry.summary("OLD"), "");
});

test("the summary names the section of the paper, if there is one", () => {
  const registry = new Registry(
    [entry("A", 1, { section: "3.1" }), entry("B", 2), entry("C", 3, { summary: "", section: "3" })],
    [],
  );
  assert.equal(registry.summary("A"), "does it (section 3.1 of the paper)");
  assert.equal(registry.summary("B"), "does it");
  assert.equal(registry.summary("C"), "");
});

test("no file of the page names a method, but for the example in main.js", () => {
  const web = new URL("../../web/", import.meta.url);
  const names = readdirSync(web).filter((name) => /\.(js|html|css)$/.test(name) && !/\.min\./.test(name));
  const naming = names.filter((name) => /RANDOM|CHOOSE_TWO|BATCH|LATE_BINDING/i.test(readFileSync(new URL(name, web), "utf8")));
  assert.deepEqual(naming, ["main.js"]);
  const main = readFileSync(new URL("main.js", web), "utf8");
  assert.equal(main.match(/RANDOM|CHOOSE_TWO|BATCH\b/gi).length, 1);
});
