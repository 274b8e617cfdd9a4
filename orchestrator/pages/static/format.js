// Numbers as people read them; as orchestrator/quantities.py writes them in the terminal.

const PREFIXES = ["", "k", "M", "G", "T"];
export const NOTHING = "–";
let units = Object.create(null);

/** Say which unit and which words each name has, as the server knows them. */
export function know(given) {
  units = Object.assign(Object.create(null), given);
}

/** Add names that are told with a trial. */
export function know_also(given) {
  Object.assign(units, given);
}

export function label(name) {
  return units[name] ? units[name][0] : name;
}

export function unit(name) {
  return units[name] ? units[name][1] : "";
}

export function human(name, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  if (typeof value !== "number") return param(value);
  switch (unit(name)) {
    case "bytes": return prefixed(value, "B");
    case "count": return prefixed(value, "").trim();
    case "fraction": return `${(100 * value).toFixed(1)} %`;
    case "s": return duration(value);
    case "ms": return `${digits(value, 3)} ms`;
    default: return digits(value, Number.isInteger(value) ? 5 : 4);
  }
}

export function param(value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : digits(value, 3);
}

export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return NOTHING;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole % 3600 / 60)).padStart(2, "0")} min`;
}

export function moment(text) {
  if (!text) return NOTHING;
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function prefixed(value, symbol) {
  let size = Math.abs(value), step = 0;
  while (size >= (step === 0 ? 1000 : 999.5) && step < PREFIXES.length - 1) { size /= 1000; step += 1; }
  const places = (step === 0 && Number.isInteger(size)) || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${value < 0 ? "-" : ""}${size.toFixed(places)} ${PREFIXES[step]}${symbol}`;
}

function digits(value, count) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 10 ** Math.max(count, 6)) return String(Number(value.toPrecision(count)));
  return Number(value.toPrecision(count)).toExponential().replace("e+", "e");
}
