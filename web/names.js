// Names of workers and methods: their order, and how they fit where there is little room. Pure.

/** host2 before host10; null, for no worker yet, comes last. */
export const compareNames = (one, other) =>
  (one === null) - (other === null) || String(one).localeCompare(String(other), "en", { numeric: true });

export const shortened = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

/** How many characters all names share up to their numbers, so that host1 .. host40 can be 1 .. 40. */
export function commonPrefix(names) {
  const first = names[0] ?? "";
  let length = names.length > 1 ? first.length : 0;
  for (const name of names) {
    while (length && name.slice(0, length) !== first.slice(0, length)) length--;
  }
  while (length && /[0-9]/.test(first[length - 1])) length--;
  return names.every((name) => name.length > length) ? length : 0;
}

/** A long name as two lines, parted behind a +, else behind the - or _ that is nearest to its middle; others as they are. */
export function inLines(name, most) {
  if (name.length <= most) return name;
  const behind = (pattern) => [...name.matchAll(pattern)].map((found) => found.index + 1).filter((at) => at < name.length);
  const pluses = behind(/\+/g);
  const places = pluses.length ? pluses : behind(/[-_]/g);
  if (places.length === 0) return shortened(name, most);
  const off = (at) => Math.abs(at - name.length / 2);
  const at = places.reduce((best, place) => (off(place) < off(best) ? place : best));
  return [shortened(name.slice(0, at), most), shortened(name.slice(at), most)];
}
