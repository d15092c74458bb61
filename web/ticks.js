// Axes: how far they reach and where their ticks are. Pure.

const SPANS_S = [120, 300, 600]; // of time shown: the least that holds what there is
export const LONGEST_SPAN_S = SPANS_S.at(-1);

const RATIOS = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000];

/** 0 and at most `most` round steps that reach as far as `end`, which is above 0. */
export function niceSteps(end, most = 7) {
  const raw = end / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** The least of 4, 5, 6, 8, 10, 15, 20, 30, 40 ... that holds the tallest bar: an axis that fits and does not twitch. */
export function niceTop(tallest) {
  for (let scale = 1; ; scale *= 10) {
    for (const step of [4, 5, 6, 8, 10, 15, 20, 30]) if (step * scale >= tallest) return step * scale;
  }
}

/** Ticks of a logarithmic axis of ratios from 1 to `most`; fewer on a narrow one, of `width` pixels. */
export function ratioTicks(most, width) {
  const inside = RATIOS.filter((ratio) => ratio <= most * 1.001);
  const tight = (inside.length > 8 || width < 340) && most >= 30;
  return tight ? inside.filter((ratio) => !/^[35]/.test(String(ratio))) : inside;
}

/** The span of time to show when the oldest point is at `oldest` seconds (0 is now, before is negative): { min, stepSize }. */
export function timeSpan(oldest) {
  const min = -(SPANS_S.find((span) => span >= -oldest - 2) ?? LONGEST_SPAN_S);
  return { min, stepSize: min < -300 ? 120 : 60 };
}

/** A tick of an axis of time, in seconds before now. */
export const minutesAgo = (value) => (value === 0 ? "now" : `−${-value / 60} min`);
