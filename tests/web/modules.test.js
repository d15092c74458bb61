// The shape of the folder: arrows between modules point one way, what is pure stays pure, and the map names every file.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../web/", import.meta.url);
const PURE = [
  ...["comparison", "format", "health", "joblist", "links", "load", "names", "registry"],
  ...["sampling", "setup", "tasks", "ticks", "verdict"],
].map((name) => `${name}.js`);
const text = (name) => readFileSync(new URL(name, WEB), "utf8");
const names = readdirSync(WEB).filter((name) => name.endsWith(".js") && !name.endsWith(".min.js"));
const imports = new Map(
  names.map((name) => [name, [...text(name).matchAll(/(?:from|import) "\.\/([^"]+)"/g)].map((match) => match[1])]),
);

test("no module imports itself, by whatever way", () => {
  const reached = (name, way) => {
    assert.ok(!way.includes(name), [...way, name].join(" → "));
    for (const next of imports.get(name)) reached(next, [...way, name]);
  };
  for (const name of names) reached(name, []);
});

test("what is pure imports only what is pure, and can be imported without a browser", async () => {
  for (const name of PURE) {
    assert.deepEqual(
      imports.get(name).filter((one) => !PURE.includes(one)),
      [],
      name,
    );
    assert.ok(Object.keys(await import(new URL(name, WEB))).length > 0, name);
  }
});

test("what is pure does not reach for the browser", () => {
  for (const name of PURE.filter((one) => one !== "links.js")) {
    assert.doesNotMatch(text(name), /\b(document|window|location|matchMedia|innerWidth|Chart)\b[.(]/, name);
  }
});

test("the README names every module", () => {
  const readme = text("README.md");
  for (const name of names) assert.ok(readme.includes(`\`${name}\``), name);
});

test("no module is longer than a reader takes in at one sitting", () => {
  for (const name of names) assert.ok(text(name).split("\n").length <= 300, name);
});
