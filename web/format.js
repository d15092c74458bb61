// How numbers and times are written.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => whole.format(value);

/** Three significant digits: 0.123, 1.23, 12.3, 123, 12,300 as 12,300. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 99.95 ? whole.format(value) : value.toFixed(size >= 9.995 ? 1 : 2);
}

/** A number apart from its unit: ["12.3", "ms"]. */
export function secondsParts(value) {
  if (value === null || value === undefined) return ["–", ""];
  if (value >= 119.5) return [short(value / 60), "min"];
  if (value >= 0.9995) return [short(value), "s"];
  if (value >= 0.0009995) return [short(value * 1e3), "ms"];
  return [value === 0 ? "0" : short(value * 1e6), value === 0 ? "s" : "µs"];
}

export const seconds = (value) => secondsParts(value).join(" ").trim();

/** For the ticks of an axis: no digits that say nothing. */
export const tick = (value) => new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value);

/** Likewise for times, all in the unit that fits the largest. */
export function secondsTick(value, largest) {
  const [scale, unit] =
    largest >= 119.5 ? [1 / 60, "min"] : largest >= 0.9995 ? [1, "s"] : largest >= 0.0009995 ? [1e3, "ms"] : [1e6, "µs"];
  return value === 0 ? "0" : `${tick(value * scale)} ${unit}`;
}

export const ratio = (value) => (value === null || value === undefined ? "–" : `${short(value)}×`);

export const percent = (value) => `${whole.format(100 * value)}\u00a0%`;

/** How long ago, in words that do not change every second when it is long ago. */
export function ago(value) {
  if (value < 1.5) return "just now";
  if (value < 99.5) return `${Math.round(value)} s ago`;
  if (value < 5400) return `${Math.round(value / 60)} min ago`;
  return value < 129600 ? `${Math.round(value / 3600)} h ago` : `${Math.round(value / 86400)} days ago`;
}

export const clock = (when) => new Date(when * 1000).toLocaleTimeString("en-GB");

export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
