// The trials as a table: sorted by a click on a heading, in pages, each row to be selected.

import { cut, fill, h, once_a_frame } from "./dom.js";
import { human, label, param } from "./format.js";
import { front, looked_up, on_change, parameter_names, select, state, value_names, visible } from "./state.js";

const ROWS = 50, FEW = 3;
const shown = { by: "front", is_down: false, page: 0, all: false };

export function trial_table() {
  const head = h("thead"), body = h("tbody"), foot = h("nav", { class: "pages", "aria-label": "Pages of the table" });
  const all = h("input", { type: "checkbox", checked: shown.all, onchange: () => { shown.all = all.checked; draw(); } });
  const table = h("table", { class: "trials" }, head, body);
  const box = h("div", {}, h("label", { class: "toggle" }, all, " all measured values"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials" }, table), foot);
  const draw = once_a_frame(() => {
    if (!table.isConnected) return;
    const rows = in_order(visible());
    const last = Math.max(Math.ceil(rows.length / ROWS) - 1, 0);
    shown.page = Math.min(shown.page, last);
    const columns = columns_of();
    // A heading that has the focus keeps it.
    const focused = document.activeElement?.dataset?.sort;
    fill(head, headings(columns, draw));
    if (focused) head.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
    fill(body, rows.slice(shown.page * ROWS, (shown.page + 1) * ROWS).map((row) => table_row(row, columns)));
    if (!rows.length) fill(body, h("tr", {}, h("td", { colspan: columns.length + 3 }, "No trial is left by the filter.")));
    fill(foot, pages(rows.length, last, draw));
  });
  box.end = on_change(() => draw());
  draw();
  return box;
}

function columns_of() {
  const goals = state.head.objectives.map((goal) => goal.name);
  const others = value_names().filter((name) => !goals.includes(name));
  const values = [...goals, ...(shown.all ? others : goals.length ? [] : others.slice(0, FEW))];
  return [...values.map((name) => ({ name, kind: "values" })), ...parameter_names().map((name) => ({ name, kind: "params" }))];
}

function in_order(rows) {
  const by = shown.by, sign = shown.is_down ? -1 : 1;
  if (by === null) return rows;
  const value = by === "trial" ? (row) => row.trial : by === "state" ? (row) => row.state
    : by === "front" ? (row) => (front().has(row.trial) ? 0 : 1) : (row) => row[by.kind]?.[by.name] ?? looked_up(row, by.name);
  return rows.map((row) => [row, value(row)]).sort(([a, x], [b, y]) => {
    // What is missing comes last, whichever way.
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || a.trial - b.trial;
    if (typeof x !== typeof y) return typeof x < typeof y ? -1 : 1;
    return (x < y ? -sign : x > y ? sign : 0) || a.trial - b.trial;
  }).map(([row]) => row);
}

function headings(columns, draw) {
  const cell = (key, words, sort) => {
    const is_by = same(shown.by, sort);
    const button = h("button", { type: "button", "data-sort": key, title: words.length > 28 ? cut(words, 200) : null, onclick: () => {
      shown.is_down = is_by ? !shown.is_down : starts_down(sort);
      shown.by = sort;
      shown.page = 0;
      draw();
    } }, cut(words, 28), h("span", { "aria-hidden": "true" }, is_by ? (shown.is_down ? " ▾" : " ▴") : ""));
    return h("th", { scope: "col", "aria-sort": is_by ? (shown.is_down ? "descending" : "ascending") : "none" }, button);
  };
  return h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "Select")), cell("trial", "trial", "trial"),
    cell("front", "front", "front"), cell("state", "state", "state"),
    columns.map((each) => cell(`${each.kind}.${each.name}`, each.kind === "values" ? label(each.name) : each.name, each)));
}

function starts_down(sort) {
  const goal = state.head.objectives.find((each) => each.name === sort.name);
  return goal ? goal.direction === "maximize" : false;
}

function same(one, other) {
  if (one === null || typeof one === "string" || typeof other === "string") return one === other;
  return one.kind === other.kind && one.name === other.name;
}

function table_row(row, columns) {
  const box = h("input", { type: "checkbox", checked: state.selected.has(row.trial), "aria-label": `Select trial ${row.trial}`,
    onchange: (event) => select(row.trial, event.target.checked) });
  const choice = state.head.chosen.get(row.trial);
  return h("tr", { class: front().has(row.trial) ? "member" : null },
    h("td", {}, box),
    h("td", { class: "number" }, h("a", { href: `#/trial/${row.trial}` }, row.trial)),
    h("td", {}, front().has(row.trial) ? h("span", { class: "badge front" }, "front") : "", choice ? h("span", { class: `badge ${choice.kind}` }, choice.kind) : ""),
    h("td", { class: `state ${row.state}`, title: row.why ? cut(row.why, 200) : null }, state_words(row)),
    columns.map(({ name, kind }) => {
      const value = row[kind][name];
      const text = kind === "values" ? human(name, value) : param(value);
      return h("td", { class: typeof value === "string" ? null : "number", title: text.length > 24 ? cut(text, 200) : null }, cut(text, 24));
    }));
}

function state_words(row) {
  return state.head.infeasible.has(row.trial) ? "outside a constraint" : row.state;
}

function pages(count, last, draw) {
  if (last === 0) return [h("p", { class: "muted" }, `${count.toLocaleString("en")} trials`)];
  const go = (words, page) => h("button", { type: "button", class: "small", disabled: page < 0 || page > last || page === shown.page, onclick: () => { shown.page = page; draw(); } }, words);
  return [go("First", 0), go("Previous", shown.page - 1), h("p", {}, `${(shown.page * ROWS + 1).toLocaleString("en")} to ${Math.min((shown.page + 1) * ROWS, count).toLocaleString("en")} of ${count.toLocaleString("en")}`),
    go("Next", shown.page + 1), go("Last", last)];
}
