// Parallel coordinates: a line a trial, an axis a parameter or objective; drag along one to filter.

import { colour, cut, fitted, h, once_a_frame } from "./dom.js";
import { human, label, param } from "./format.js";
import { axis_of } from "./axes.js";
import { brushes_as_condition, front, looked_up, on_change, parameter_names, set_brush, state, visible } from "./state.js";

const TOP = 54, BOTTOM = 22, SIDE = 58, LEAST_GAP = 96, NEAR = 26;
// More lines are a solid area, and take a browser without a graphics card long.
const MOST_LINES = 3000;

export function parallel({ use_condition }) {
  const back = h("canvas", { class: "under", "aria-hidden": "true" });
  const fore = h("canvas", { class: "over", role: "img" });
  const wide = h("div", { class: "stack" }, back, fore);
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Brushed ranges" });
  const scroller = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parallel coordinates" }, wide);
  const box = h("div", { class: "figure" }, scroller, chips);
  let axes = [], drag = null, is_seen = false;

  const draw_back = once_a_frame(() => {
    if (!back.isConnected || !is_seen) return;
    axes = axes_of_sweep();
    wide.style.minWidth = `${2 * SIDE + LEAST_GAP * (axes.length - 1)}px`;
    const { pen, width, height } = fitted(back);
    place_axes(axes, width, height);
    pen.strokeStyle = colour("dot");
    pen.globalAlpha = state.rows.size > 2000 ? 0.05 : 0.13;
    pen.lineWidth = 1;
    for (const row of spread([...state.rows.values()])) trace(pen, axes, row);
    draw_fore();
  });
  const draw_fore = once_a_frame(() => {
    if (!fore.isConnected || !is_seen) return;
    const { pen, height } = fitted(fore);
    const rows = visible(), members = front(), many = rows.length > 2000;
    const is_filtered = rows.length < state.rows.size;
    pen.lineWidth = 1;
    pen.strokeStyle = colour("accent");
    pen.globalAlpha = many ? 0.06 : rows.length > 300 ? 0.16 : 0.4;
    if (is_filtered || !many) for (const row of spread(rows)) if (!members.has(row.trial)) trace(pen, axes, row);
    pen.globalAlpha = 0.85;
    pen.lineWidth = 1.6;
    pen.strokeStyle = colour("front");
    for (const row of rows) if (members.has(row.trial)) trace(pen, axes, row);
    pen.globalAlpha = 1;
    pen.lineWidth = 2.6;
    pen.strokeStyle = colour("picked");
    for (const row of rows) if (state.head.chosen.has(row.trial) || state.selected.has(row.trial)) trace(pen, axes, row);
    for (const axis of axes) paint_axis(pen, axis, height, drag);
    fore.setAttribute("aria-label", `${rows.length} trials as lines over ${axes.length} axes; ${rows.filter((row) => members.has(row.trial)).length} of them are on the front.`);
  });
  const show_chips = () => chips.replaceChildren(...chips_of(use_condition));

  const at = (event) => { const box = fore.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  fore.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    const axis = axes.find((each) => Math.abs(each.x - x) < NEAR);
    if (!axis || event.pointerType === "touch" && y < TOP - 30) return;
    drag = { axis, from: y, to: y };
    fore.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  fore.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    fore.classList.toggle("pointing", Boolean(drag || axes.some((each) => Math.abs(each.x - x) < NEAR)));
    if (!drag) return;
    drag.to = y;
    set_brush(drag.axis.name, brush_of(drag));
  });
  fore.addEventListener("pointerup", () => {
    if (drag && Math.abs(drag.to - drag.from) < 4) set_brush(drag.axis.name, null);
    drag = null;
    draw_fore();
  });
  fore.addEventListener("pointercancel", () => { drag = null; });

  box.end = on_change((what) => { if (what === "sweep") draw_back(); else draw_fore(); show_chips(); });
  // Thousands of lines take as long as everything else: they are drawn when somebody comes near them.
  const near = new IntersectionObserver((seen) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    is_seen = true;
    near.disconnect();
    draw_back();
  }, { rootMargin: "200px" });
  near.observe(scroller);
  new ResizeObserver(draw_back).observe(scroller);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_back);
  show_chips();
  draw_back();
  return box;
}

/** At most so many rows, spread evenly over all. */
function spread(rows) {
  const step = rows.length / MOST_LINES;
  return step <= 1 ? rows : Array.from({ length: MOST_LINES }, (_, at) => rows[Math.floor(at * step)]);
}

function axes_of_sweep() {
  const goals = state.head.objectives.map((goal) => goal.name);
  const names = [...parameter_names(), ...goals];
  const rows = [...state.rows.values()];
  return names.map((name) => ({ name, is_goal: goals.includes(name), axis: axis_of(name, rows.map((row) => looked_up(row, name)), { exact: true }) }));
}

function place_axes(axes, width, height) {
  const gap = axes.length > 1 ? (width - 2 * SIDE) / (axes.length - 1) : 0;
  axes.forEach((each, at) => {
    each.x = SIDE + gap * at;
    each.gap = gap || LEAST_GAP;
    each.bottom = height - BOTTOM;
    each.y = (value) => { const place = each.axis.place(value); return place === null ? null : each.bottom - place * (each.bottom - TOP); };
    each.back = (y) => (each.bottom - y) / (each.bottom - TOP);
  });
}

function trace(pen, axes, row) {
  let is_down = false;
  pen.beginPath();
  for (const axis of axes) {
    const value = looked_up(row, axis.name), y = value === undefined ? null : axis.y(value);
    // A parameter that is not active in a trial has no place: the line is broken there.
    if (y === null) { is_down = false; continue; }
    if (is_down) pen.lineTo(axis.x, y);
    else pen.moveTo(axis.x, y);
    is_down = true;
  }
  pen.stroke();
}

function paint_axis(pen, each, height, drag) {
  const brush = state.brushes.get(each.name);
  pen.strokeStyle = colour("ink");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(each.x, TOP);
  pen.lineTo(each.x, each.bottom);
  pen.stroke();
  if (brush) {
    const [top, bottom] = brushed(each, brush);
    pen.fillStyle = colour("accent");
    pen.globalAlpha = 0.25;
    pen.fillRect(each.x - 8, top, 16, Math.max(bottom - top, 3));
    pen.globalAlpha = 1;
    pen.strokeStyle = colour("accent");
    pen.strokeRect(each.x - 8, top, 16, Math.max(bottom - top, 3));
  }
  let free = Infinity;
  for (const [value, text] of each.axis.ticks) {
    const y = each.y(value);
    if (y === null || y > free) continue;
    free = y - 14;
    pen.textAlign = "left";
    outlined(pen, text, each.x + 6, y + 4, "ink");
  }
  pen.textAlign = "center";
  pen.font = each.is_goal ? "600 12px system-ui, sans-serif" : "12px system-ui, sans-serif";
  const [first, second] = in_two(each.is_goal ? label(each.name) : each.name, Math.floor(each.gap / 7));
  outlined(pen, first, each.x, second ? 18 : 32, "ink");
  if (second) outlined(pen, second, each.x, 34, "ink");
  pen.font = "12px system-ui, sans-serif";
}

/** Text that stays readable on lines. */
function outlined(pen, text, x, y, ink) {
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = colour("panel");
  pen.strokeText(text, x, y);
  pen.fillStyle = colour(ink);
  pen.fillText(text, x, y);
}

/** A name on two lines, broken at a space or an underscore, else cut. */
function in_two(name, most) {
  if (name.length <= most) return [name, ""];
  const at = Math.max(name.lastIndexOf("_", most - 1), name.lastIndexOf(" ", most - 1));
  const end = at > 0 ? at + 1 : most;
  return [cut(name.slice(0, end), most), cut(name.slice(end, end + 4 * most), most)];
}

function brushed(each, brush) {
  if (!brush.among) return [each.y(Math.min(brush.high, each.axis.high)), each.y(Math.max(brush.low, each.axis.low))];
  const places = [...brush.among].map((value) => each.y(value)).filter((y) => y !== null);
  return [Math.min(...places) - 6, Math.max(...places) + 6];
}

function brush_of({ axis, from, to }) {
  const low = axis.back(Math.max(from, to)), high = axis.back(Math.min(from, to));
  if (!axis.axis.is_words) return { low: axis.axis.value(low), high: axis.axis.value(high) };
  const among = axis.axis.between(low, high);
  return among.length ? { among: new Set(among) } : null;
}

function chips_of(use_condition) {
  const found = [...state.brushes].map(([name, brush]) => {
    const range = brush.among ? [...brush.among].map((value) => cut(param(value), 20)).join(", ") : `${human(name, brush.low)} to ${human(name, brush.high)}`;
    return h("button", { type: "button", class: "chip", "aria-label": `Remove the range of ${cut(name, 40)}`, onclick: () => set_brush(name, null) },
      `${cut(label(name), 30)}: ${cut(range, 60)} `, h("span", { "aria-hidden": "true" }, "×"));
  });
  const left_out = visible().length > MOST_LINES ? ` Of ${visible().length.toLocaleString("en")} trials ${MOST_LINES.toLocaleString("en")}, the front and what was chosen are drawn.` : "";
  if (!found.length) return [h("p", { class: "muted" }, "Drag along an axis to show only the trials in that range; click it to show all again.", left_out)];
  const condition = brushes_as_condition();
  if (condition) found.push(h("button", { type: "button", class: "small", onclick: () => use_condition(condition) }, "As a condition"));
  if (left_out) found.push(h("p", { class: "muted" }, left_out));
  return found;
}
