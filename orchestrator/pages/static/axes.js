// Scales: from a value to a place on an axis and back; linear, logarithmic, or one step a word.

import { human, param, unit } from "./format.js";
import { cut } from "./dom.js";

/**
 * The axis of a name over some values: {place(value) in [0, 1], value(place), ticks, is_words}.
 * With `exact`, values that are few are the ticks themselves.
 */
export function axis_of(name, values, { exact = false } = {}) {
  const known = values.filter((value) => value !== undefined && value !== null);
  if (known.length && known.every((value) => typeof value === "number")) return numbers(name, known, exact);
  return words(known);
}

function numbers(name, known, exact) {
  let low = Infinity, high = -Infinity;
  for (const value of known) { if (value < low) low = value; if (value > high) high = value; }
  // A share of images is not read by its powers of ten.
  const is_log = unit(name) !== "fraction" && low > 0 && high / low >= 50;
  const few = exact ? distinct(known) : null;
  if (low === high) { low -= Math.abs(low) * 0.05 || 1; high += Math.abs(high) * 0.05 || 1; }
  const to = is_log ? Math.log : (x) => x, from = is_log ? Math.exp : (x) => x;
  const first = to(low), span = to(high) - first;
  return {
    is_words: false,
    low,
    high,
    place: (value) => (typeof value === "number" ? (to(value) - first) / span : null),
    value: (place) => from(first + Math.min(Math.max(place, 0), 1) * span),
    ticks: (few || (is_log ? log_ticks(low, high) : even_ticks(low, high))).map((value) => [value, human(name, value)]),
  };
}

/** The values themselves, in order, if they are few; else null. */
function distinct(known) {
  const found = new Set();
  for (const value of known) {
    found.add(value);
    if (found.size > 8) return null;
  }
  return found.size > 1 ? [...found].sort((a, b) => a - b) : null;
}

function words(known) {
  const order = [...new Set(known)].sort((a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a < typeof b ? -1 : 1));
  const places = new Map(order.map((value, at) => [value, order.length > 1 ? at / (order.length - 1) : 0.5]));
  const step = Math.max(Math.ceil(order.length / 12), 1);
  return {
    is_words: true,
    order,
    place: (value) => (places.has(value) ? places.get(value) : null),
    between: (low, high) => order.filter((value) => places.get(value) >= low - 1e-9 && places.get(value) <= high + 1e-9),
    ticks: order.filter((_, at) => at % step === 0).map((value) => [value, cut(param(value), 14)]),
  };
}

function even_ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((each) => each >= rough) || 10 * size;
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

function log_ticks(low, high) {
  const found = [], wide = Math.log10(high / low) > 2.2;
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const factor of wide ? [1] : [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found;
}
