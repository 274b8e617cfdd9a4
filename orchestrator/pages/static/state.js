// The sweep as this page knows it: what the server told, and what the visitor filters and selects.

import { know } from "./format.js";

export const state = {
  head: null, // all that is not a trial
  rows: new Map(), // by number, in order
  version: 0,
  served: "",
  where: { text: "", kept: null, front: null, error: "" },
  brushes: new Map(), // by name: {low, high} or {among: Set}
  selected: new Set(),
};

const listeners = new Set();

/** Be told of each change; gives a function that ends it. */
export function on_change(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function changed(what) {
  visible_cache = null;
  for (const listener of [...listeners]) listener(what);
}

export class Refused extends Error {}

/** Ask the server. An answer that is an error is a sentence to show. */
export async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  const is_json = (answer.headers.get("content-type") || "").startsWith("application/json");
  const body = is_json ? await answer.json() : { error: await answer.text() };
  if (!answer.ok) throw new Refused(body.error || `The server answered ${answer.status}.`);
  return body;
}

let asking = null, again = false;

/** Bring the page up to date; a second call while one is under way waits for one more. */
export function refresh() {
  if (asking) { again = true; return asking; }
  asking = (async () => {
    do {
      again = false;
      take(await ask(`/api/board?since=${state.version}&served=${encodeURIComponent(state.served)}`));
      if (state.where.text) await apply_where(state.where.text);
    } while (again);
  })().finally(() => { asking = null; });
  return asking;
}

function take(found) {
  const { columns, rows, ...head } = found;
  know(head.units);
  if (columns) state.rows = from_columns(columns);
  for (const row of rows || []) state.rows.set(row.trial, row);
  if (rows && rows.length) state.rows = new Map([...state.rows].sort((a, b) => a[0] - b[0]));
  for (const number of state.selected) if (!state.rows.has(number)) state.selected.delete(number);
  head.on_front = new Set(head.front);
  head.infeasible = new Set(head.infeasible);
  head.chosen = new Map(head.choices.map((choice) => [choice.trial, choice]));
  state.head = head;
  state.version = head.version;
  state.served = head.served;
  changed("sweep");
}

function from_columns(columns) {
  const rows = columns.trial.map((trial, at) => ({
    trial, state: columns.state[at], values: Object.create(null), params: Object.create(null), why: columns.why[trial],
  }));
  for (const kind of ["values", "params"]) {
    for (const name of Object.keys(columns[kind])) {
      const column = columns[kind][name];
      for (let at = 0; at < rows.length; at += 1) if (column[at] !== null) rows[at][kind][name] = column[at];
    }
  }
  return new Map(rows.map((row) => [row.trial, row]));
}

/** A name's value in a row: its parameter, else what was measured. */
export function looked_up(row, name) {
  const chosen = row.params[name];
  return chosen === undefined ? row.values[name] : chosen;
}

/** Filter by a condition as --where has it; the server reads it. */
export async function apply_where(text) {
  if (!text.trim()) {
    state.where = { text: "", kept: null, front: null, error: "" };
    changed("filter");
    return;
  }
  try {
    const found = await ask(`/api/where?condition=${encodeURIComponent(text)}`);
    state.where = { text, kept: new Set(found.trials), front: new Set(found.front), error: "" };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    state.where = { ...state.where, error: error.message };
  }
  changed("filter");
}

export function set_brush(name, brush) {
  if (brush) state.brushes.set(name, brush);
  else state.brushes.delete(name);
  changed("brush");
}

export function within(row) {
  if (state.where.kept && !state.where.kept.has(row.trial)) return false;
  for (const [name, brush] of state.brushes) {
    const value = looked_up(row, name);
    if (value === undefined || value === null) return false;
    if (brush.among ? !brush.among.has(value) : !(value >= brush.low && value <= brush.high)) return false;
  }
  return true;
}

let visible_cache = null;

/** The rows that the filter and the brushes leave. */
export function visible() {
  if (!visible_cache) visible_cache = [...state.rows.values()].filter(within);
  return visible_cache;
}

/** The trials on the front: of all, or of those that fulfill the condition. */
export function front() {
  return state.where.front || state.head.on_front;
}

export function select(trial, is_selected) {
  if (is_selected) state.selected.add(trial);
  else state.selected.delete(trial);
  changed("selection");
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The brushes as a condition for --where; a name that the grammar cannot write is left out. */
export function brushes_as_condition() {
  const parts = [];
  for (const [name, brush] of state.brushes) {
    if (!NAME.test(name)) continue;
    if (brush.among) {
      const texts = [...brush.among].map((value) => (typeof value === "string" ? quoted(value) : String(value)));
      if (texts.every((text) => text !== null)) parts.push(`${name} in [${texts.join(", ")}]`);
    } else parts.push(`${name} >= ${rounded(brush.low)} and ${name} <= ${rounded(brush.high)}`);
  }
  return parts.join(" and ");
}

function quoted(text) {
  if (!text.includes("'")) return `'${text}'`;
  return text.includes('"') ? null : `"${text}"`;
}

function rounded(number) {
  return String(Number(number.toPrecision(6)));
}

/** Names of what trials have: parameters in their order, then objectives. */
export function parameter_names() {
  const names = new Set();
  for (const row of state.rows.values()) for (const name of Object.keys(row.params)) names.add(name);
  return [...names];
}

export function value_names() {
  const goals = state.head.objectives.map((goal) => goal.name);
  return [...new Set([...goals, ...Object.keys(state.head.units)])];
}

export async function choose(trial, kind, note) {
  const body = JSON.stringify({ trial, kind, note });
  const answer = await ask("/api/choice", { method: "POST", headers: { "content-type": "application/json" }, body });
  await refresh();
  return answer.said;
}
