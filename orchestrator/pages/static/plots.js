// The plots that the server draws: one at a time, in a frame that can reach nothing.

import { cut, h } from "./dom.js";
import { label } from "./format.js";
import { state } from "./state.js";

// These show one objective.
const OF_ONE = new Set(["slice", "contour", "rank"]);
const drawn = { kind: "", objective: "" };

export function plots() {
  const frame = h("iframe", { title: "Plot", class: "plot-frame", sandbox: "allow-scripts allow-downloads", hidden: true });
  const said = h("p", { class: "muted", role: "status" }, "Choose a plot; it is drawn of all trials that the store has now.");
  const goals = state.head.objectives.map((goal) => h("option", { value: goal.name }, cut(label(goal.name), 40)));
  const objective = h("select", { onchange: () => { drawn.objective = objective.value; draw(); } }, goals);
  const chooser = h("label", { hidden: true }, "Objective ", objective);
  const buttons = state.head.plots.map(([kind, title, told]) => h("button", { type: "button", class: "small", "aria-pressed": "false", title: told,
    "data-plot": kind, onclick: () => { drawn.kind = kind; draw(); } }, title));
  if (drawn.objective) objective.value = drawn.objective;

  function draw() {
    const [, title, told] = state.head.plots.find(([kind]) => kind === drawn.kind);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.plot === drawn.kind));
    chooser.hidden = !OF_ONE.has(drawn.kind) || goals.length < 2;
    const query = chooser.hidden ? "" : `?objective=${encodeURIComponent(objective.value)}`;
    said.textContent = `${told} It is being drawn.`;
    frame.onload = () => { said.textContent = told; };
    frame.title = title;
    frame.hidden = false;
    frame.src = `/plot/${encodeURIComponent(drawn.kind)}${query}`;
  }
  if (drawn.kind) draw();
  return h("div", {}, h("div", { class: "plot-kinds", role: "group", "aria-label": "Plots" }, buttons), chooser, said, frame);
}
