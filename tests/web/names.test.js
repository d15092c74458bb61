import assert from "node:assert/strict";
import { test } from "node:test";
import { commonPrefix, compareNames, inLines, shortened } from "../../web/names.js";

test("numbers in names count as numbers, and no worker comes last", () => {
  const names = [null, "host10", "host2", "b", "host1", null, "a"];
  assert.deepEqual(names.sort(compareNames), ["a", "b", "host1", "host2", "host10", null, null]);
});

test("what all names share is left out, but no digit of their numbers, and never a whole name", () => {
  assert.equal(commonPrefix(["host1", "host12", "host2"]), 4);
  assert.equal(commonPrefix(["host10", "host11"]), 4);
  assert.equal(commonPrefix(["host", "host1"]), 0);
  assert.equal(commonPrefix(["host1", "node1"]), 0);
  assert.equal(commonPrefix(["host1"]), 0);
  assert.equal(commonPrefix([]), 0);
});

test("a long name ends in an ellipsis", () => {
  assert.equal(shortened("abcdef", 6), "abcdef");
  assert.equal(shortened("abcdefg", 6), "abcde…");
});

test("a long name has two lines, parted where it has a joint", () => {
  assert.equal(inLines("ABCDEFGHIJKLMN", 14), "ABCDEFGHIJKLMN");
  assert.deepEqual(inLines("ABCDE+FGHI_JKLMNO", 14), ["ABCDE+", "FGHI_JKLMNO"]);
  assert.deepEqual(inLines("THE_ONE_WITH_MANY", 14), ["THE_ONE_", "WITH_MANY"]);
  assert.deepEqual(inLines("A_ABCDEFGHIJKLMNOPQ", 14), ["A_", "ABCDEFGHIJKLM…"]);
  assert.equal(inLines("ABCDEFGHIJKLMNOPQ", 14), "ABCDEFGHIJKLM…");
  assert.equal(inLines("ABCDEFGHIJKLMNOP_", 14), "ABCDEFGHIJKLM…");
});
