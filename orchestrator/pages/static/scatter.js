// The front: every complete trial in the plane of two values; drag to filter, click to open.

import { colour, cut, fitted, h, once_a_frame } from "./dom.js";
import { human, label } from "./format.js";
import { axis_of } from "./axes.js";
import { front, looked_up, on_change, set_brush, state, value_names, visible, within } from "./state.js";

const MARGIN = { left: 78, right: 16, top: 12, bottom: 44 };

/** A figure with two menus for what is drawn; `x` and `y` are remembered while the page is open. */
const drawn = { x: null, y: null };

export function scatter() {
  const goals = state.head.objectives.map((goal) => goal.name);
  if (!drawn.x) [drawn.y, drawn.x] = [goals[0] || null, goals[1] || goals[0] || null];
  const canvas = h("canvas", { class: "plot", role: "img" });
  const tip = h("div", { class: "tip", hidden: true });
  const menus = h("div", { class: "menus" }, menu("Across", "x", () => draw()), menu("Up", "y", () => draw()));
  const legend = h("p", { class: "legend" },
    h("span", { class: "key front" }), "front ", h("span", { class: "key dot" }), "other trial ",
    h("span", { class: "key infeasible" }), "outside a constraint ", h("span", { class: "key picked" }), "picked ",
    h("span", { class: "key candidate" }), "candidate");
  const box = h("div", { class: "figure" }, menus, h("div", { class: "canvas" }, canvas, tip), legend);
  let places = [], scale = null, drag = null;

  const draw = once_a_frame(() => {
    if (!canvas.isConnected || !canvas.clientWidth) return;
    const painted = paint(canvas, drag);
    if (painted) ({ places, scale } = painted);
    canvas.setAttribute("aria-label", said());
  });
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    drag = { from: [x, y], to: [x, y] };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (drag) { drag.to = [x, y]; draw(); return; }
    hover(tip, canvas, nearest(places, x, y), x, y);
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("pointerup", (event) => {
    const [x, y] = at(event), began = drag ? drag.from : [x, y];
    drag = null;
    if (Math.hypot(x - began[0], y - began[1]) < 5) {
      const near = nearest(places, x, y);
      if (near) location.hash = `#/trial/${near.row.trial}`;
      else draw();
      return;
    }
    brush_box(scale, began, [x, y]);
  });
  box.end = on_change(draw);
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return box;
}

function menu(words, which, then) {
  const options = value_names().map((name) => h("option", { value: name, selected: name === drawn[which] }, cut(label(name), 40)));
  const select = h("select", {}, options);
  select.value = drawn[which] || "";
  select.addEventListener("change", () => { drawn[which] = select.value; then(); });
  return h("label", {}, `${words} `, select);
}

function said() {
  return `${visible().length} trials by ${cut(label(drawn.x), 60)} and ${cut(label(drawn.y), 60)}; ${front().size} are on the front. The table below lists them.`;
}

function brush_box(scale, from, to) {
  if (!scale) return;
  for (const [name, axis, low, high] of [
    [drawn.x, scale.x, Math.min(from[0], to[0]), Math.max(from[0], to[0])],
    [drawn.y, scale.y, Math.max(from[1], to[1]), Math.min(from[1], to[1])],
  ]) {
    set_brush(name, { low: axis.axis.value(axis.back(low)), high: axis.axis.value(axis.back(high)) });
  }
}

function paint(canvas, drag) {
  const { pen, width, height } = fitted(canvas);
  // A condition zooms in; a brush, which may be drawn right here, does not.
  const kept = state.where.kept;
  const rows = [...state.rows.values()].filter((row) => !kept || kept.has(row.trial)).filter((row) => typeof looked_up(row, drawn.x) === "number" && typeof looked_up(row, drawn.y) === "number");
  if (!rows.length) {
    pen.fillStyle = colour("muted");
    pen.fillText(kept ? "No such trial has both values." : "No complete trial yet.", MARGIN.left, height / 2);
    return null;
  }
  const scale = {
    x: on(axis_of(drawn.x, rows.map((row) => looked_up(row, drawn.x))), MARGIN.left, width - MARGIN.right),
    y: on(axis_of(drawn.y, rows.map((row) => looked_up(row, drawn.y))), height - MARGIN.bottom, MARGIN.top),
  };
  frame(pen, scale, width, height);
  const members = front(), places = [];
  const later = [];
  for (const row of rows) {
    const x = scale.x.place(looked_up(row, drawn.x)), y = scale.y.place(looked_up(row, drawn.y));
    const is_in = within(row);
    if (is_in) places.push({ row, x, y });
    const is_special = members.has(row.trial) || state.head.chosen.has(row.trial) || state.selected.has(row.trial);
    if (is_special && is_in) { later.push({ row, x, y }); continue; }
    pen.globalAlpha = is_in ? 0.55 : 0.08;
    if (state.head.infeasible.has(row.trial)) cross(pen, x, y, colour("infeasible"));
    else disc(pen, x, y, 3, colour("dot"));
  }
  pen.globalAlpha = 1;
  stairs(pen, later.filter((each) => members.has(each.row.trial)), scale);
  for (const { row, x, y } of later) special(pen, row, x, y, members);
  if (drag) rectangle(pen, drag);
  return { places, scale };
}

function on(axis, from, to) {
  const inset = 0.03, span = (to - from) * (1 - 2 * inset), first = from + (to - from) * inset;
  return { axis, place: (value) => first + axis.place(value) * span, back: (pixel) => (pixel - first) / span };
}

function frame(pen, scale, width, height) {
  pen.strokeStyle = colour("grid");
  pen.fillStyle = colour("muted");
  pen.lineWidth = 1;
  let free = -Infinity;
  pen.textAlign = "center";
  for (const [value, text] of scale.x.axis.ticks) {
    const x = scale.x.place(value);
    line(pen, x, MARGIN.top, x, height - MARGIN.bottom);
    const half = pen.measureText(text).width / 2;
    if (x - half < free || x + half > width) continue;
    free = x + half + 8;
    pen.fillText(text, x, height - MARGIN.bottom + 16);
  }
  pen.textAlign = "right";
  for (const [value, text] of scale.y.axis.ticks) {
    const y = scale.y.place(value);
    line(pen, MARGIN.left, y, width - MARGIN.right, y);
    pen.fillText(text, MARGIN.left - 6, y + 4);
  }
  pen.fillStyle = colour("ink");
  pen.textAlign = "center";
  pen.fillText(cut(label(drawn.x), 60), (MARGIN.left + width - MARGIN.right) / 2, height - 8);
  pen.save();
  pen.translate(12, (MARGIN.top + height - MARGIN.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(cut(label(drawn.y), 40), 0, 0);
  pen.restore();
  pen.textAlign = "left";
}

/** The border of what the front dominates, where both objectives are drawn. */
function stairs(pen, members, scale) {
  const [first, second, third] = state.head.objectives;
  if (!second || third || members.length < 2) return;
  const drawn_names = new Set([drawn.x, drawn.y]);
  if (!drawn_names.has(first.name) || !drawn_names.has(second.name)) return;
  const in_order = [...members].sort((a, b) => a.x - b.x || a.y - b.y);
  const goal = new Map(state.head.objectives.map((each) => [each.name, each.direction]));
  const low_first = (goal.get(drawn.x) === "minimize");
  pen.strokeStyle = colour("front");
  pen.lineWidth = 1.5;
  pen.beginPath();
  in_order.forEach(({ x, y }, at) => {
    if (at === 0) pen.moveTo(x, y);
    else if (low_first) { pen.lineTo(x, in_order[at - 1].y); pen.lineTo(x, y); }
    else { pen.lineTo(in_order[at - 1].x, y); pen.lineTo(x, y); }
  });
  pen.stroke();
}

function special(pen, row, x, y, members) {
  const choice = state.head.chosen.get(row.trial);
  if (members.has(row.trial)) disc(pen, x, y, 5, colour("front"));
  else disc(pen, x, y, 3.5, colour("dot"));
  if (choice) ring(pen, x, y, 9, choice.kind === "picked" ? colour("picked") : colour("candidate"), choice.kind === "picked" ? [] : [3, 3]);
  if (state.selected.has(row.trial)) ring(pen, x, y, 7, colour("accent"), []);
}

function disc(pen, x, y, radius, fill) {
  pen.fillStyle = fill;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function ring(pen, x, y, radius, stroke, dashes) {
  pen.strokeStyle = stroke;
  pen.lineWidth = 2.2;
  pen.setLineDash(dashes);
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
  pen.setLineDash([]);
}

function cross(pen, x, y, stroke) {
  pen.strokeStyle = stroke;
  pen.lineWidth = 1.4;
  line(pen, x - 3, y - 3, x + 3, y + 3);
  line(pen, x - 3, y + 3, x + 3, y - 3);
}

function line(pen, x, y, to_x, to_y) {
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(to_x, to_y);
  pen.stroke();
}

function rectangle(pen, { from, to }) {
  pen.fillStyle = colour("accent");
  pen.globalAlpha = 0.15;
  pen.fillRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
  pen.globalAlpha = 1;
}

function nearest(places, x, y) {
  let best = null, distance = 12;
  for (const each of places) {
    const far = Math.hypot(each.x - x, each.y - y);
    if (far < distance) [best, distance] = [each, far];
  }
  return best;
}

function hover(tip, canvas, near, x, y) {
  tip.hidden = !near;
  canvas.classList.toggle("pointing", Boolean(near));
  if (!near) return;
  const { row } = near;
  const shown = state.head.objectives.map(({ name }) => `${cut(label(name), 24)} ${human(name, row.values[name])}`);
  tip.replaceChildren(h("strong", {}, `trial ${row.trial}`), h("br"), shown.join(", "));
  tip.style.left = `${Math.min(x + 12, canvas.clientWidth - 190)}px`;
  tip.style.top = `${Math.max(y - 46, 0)}px`;
}
