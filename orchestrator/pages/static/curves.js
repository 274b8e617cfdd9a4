// Curves as drawings that scale: learning curves, the growth of the hypervolume.

import { s } from "./dom.js";
import { axis_of } from "./axes.js";

const WIDTH = 420, LEFT = 58, RIGHT = 26, TOP = 10, BOTTOM = 34;

/** Draw [[x, y], ...] with names for both axes; `is_step` keeps a value until the next one. */
export function curve(points, { name, x_label, words, is_step = false, height = 170, from_zero = false }) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const across = axis_of("", xs.length > 1 ? xs : [xs[0] - 1, xs[0] + 1]);
  const up = axis_of(name, from_zero ? [0, ...ys] : ys);
  const left = (x) => LEFT + linear(x, xs) * (WIDTH - LEFT - RIGHT);
  const top = (y) => height - BOTTOM - up.place(y) * (height - TOP - BOTTOM);
  const path = points.map(([x, y], at) => {
    if (at === 0) return `M${left(x)} ${top(y)}`;
    return is_step ? `H${left(x)}V${top(y)}` : `L${left(x)} ${top(y)}`;
  }).join("");
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "curve", role: "img", "aria-label": words });
  let free = Infinity;
  for (const [value, text] of up.ticks) {
    if (top(value) > free) continue;
    free = top(value) - 15;
    drawing.append(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: top(value), y2: top(value), class: "grid" }),
      s("text", { x: LEFT - 6, y: top(value) + 4, class: "right" }, text));
  }
  for (const value of ends(xs)) drawing.append(s("text", { x: left(value), y: height - BOTTOM + 16, class: "middle" }, value));
  drawing.append(s("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: height - 4, class: "middle ink" }, x_label),
    s("path", { d: path, class: "line" }));
  const shown = points.length > 40 ? [points[points.length - 1]] : points;
  for (const [x, y] of shown) drawing.append(s("circle", { cx: left(x), cy: top(y), r: 2.6, class: "point" }));
  return drawing;

  function linear(x, all) {
    const low = Math.min(...ends(all)), high = Math.max(...ends(all));
    return low === high ? 0.5 : (x - low) / (high - low);
  }
}

function ends(all) {
  return all.length > 1 ? [all[0], all[all.length - 1]] : [all[0]];
}
