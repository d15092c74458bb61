// The colours of methods: they stand out from a card, and differ for eyes that see red, green or blue poorly.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const STYLE = readFileSync(new URL("../../web/sparrow.css", import.meta.url), "utf8");
const SLOTS = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"];
const LEAST_CONTRAST = 4.5; // to the card: WCAG 2, AA for text
const LEAST_APART = 2.9; // in hundredths of OKLab, in every kind of sight; m1 and m4 are so near for green-blind eyes
const LEAST_LEVEL = 5; // hundredths of OKLab's lightness between two levels of the heat grid
const LEVELS = ["h0", "h1", "h2", "h3", "h4", "h5", "h6"];
const LEAST_APART_NEW = 9; // of m0 and m5 to m8, from each other and from the others

// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
const SIGHTS = {
  full: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

for (const [scheme, selector] of [
  ["light", ":root"],
  ["dark", '[data-bs-theme="dark"]'],
]) {
  const colours = coloursOf(selector);

  test(`${scheme}: each colour of a method stands out from a card`, () => {
    for (const slot of SLOTS) {
      const found = contrast(linear(colours[slot]), linear(colours.card));
      assert.ok(found >= LEAST_CONTRAST, `--${slot}: ${found.toFixed(2)}`);
    }
  });

  for (const [sight, matrix] of Object.entries(SIGHTS)) {
    test(`${scheme}, ${sight}: any two methods differ`, () => {
      const seen = Object.fromEntries(SLOTS.map((slot) => [slot, oklab(times(matrix, linear(colours[slot])))]));
      for (const [i, one] of SLOTS.entries()) {
        for (const other of SLOTS.slice(i + 1)) {
          const apart = 100 * Math.hypot(...seen[one].map((value, axis) => value - seen[other][axis]));
          const least = one === "m0" || other >= "m5" ? LEAST_APART_NEW : LEAST_APART;
          assert.ok(apart >= least, `--${one} and --${other}: ${apart.toFixed(1)}`);
        }
      }
    });
  }
}

for (const [scheme, selector, sign] of [
  ["light", ":root", -1],
  ["dark", '[data-bs-theme="dark"]', 1],
]) {
  for (const [sight, matrix] of Object.entries(SIGHTS)) {
    test(`${scheme}, ${sight}: the more load, the more a cell of the heat grid stands out from its card`, () => {
      const colours = coloursOf(selector);
      const [card, ...lightness] = ["card", ...LEVELS].map((name) => 100 * oklab(times(matrix, linear(colours[name])))[0]);
      assert.ok(sign * (lightness[0] - card) > LEAST_LEVEL / 2, "idle");
      for (const [i, level] of lightness.slice(1).entries()) {
        assert.ok(sign * (level - lightness[i]) >= LEAST_LEVEL, `h${i + 1}: ${lightness[i].toFixed(1)} to ${level.toFixed(1)}`);
      }
    });
  }
}

for (const [scheme, selector] of [
  ["light", ":root"],
  ["dark", '[data-bs-theme="dark"]'],
]) {
  test(`${scheme}: what is wrong can be read, on a card and on its notice`, () => {
    const colours = coloursOf(selector);
    for (const [text, ground] of [
      ["bad", "card"],
      ["bad", "bad-back"],
      ["warn", "card"],
      ["warn", "warn-back"],
      ["text", "bad-back"],
      ["text", "warn-back"],
    ]) {
      const found = contrast(linear(colours[text]), linear(colours[ground]));
      assert.ok(found >= LEAST_CONTRAST, `--${text} on --${ground}: ${found.toFixed(2)}`);
    }
  });
}

test("each slot has a chip of its colour", () => {
  for (const slot of SLOTS) assert.match(STYLE, new RegExp(`\\.chip\\.${slot} \\{ border-left-color: var\\(--${slot}\\); \\}`));
});

function coloursOf(selector) {
  const begin = STYLE.indexOf(`\n${selector} {`);
  const block = STYLE.slice(begin, STYLE.indexOf("}", begin));
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]));
}

function linear(hex) {
  const parts = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
  return parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
}

function contrast(one, other) {
  const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return light / dark;
}

const times = (matrix, rgb) => matrix.map((row) => Math.min(1, Math.max(0, row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2])));

function oklab([r, g, b]) {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}
