// The first view: the front, what runs, the hypervolume, parallel coordinates, all trials, choices.

import { cut, fill, h } from "./dom.js";
import { duration, human, label, moment } from "./format.js";
import { curve } from "./curves.js";
import { parallel } from "./parallel.js";
import { plots } from "./plots.js";
import { scatter } from "./scatter.js";
import { trial_table } from "./table.js";
import { apply_where, front, on_change, set_brush, state, visible } from "./state.js";

export function overview() {
  const field = h("input", { type: "text", id: "where", value: state.where.text, autocomplete: "off", spellcheck: "false", maxlength: "20000",
    placeholder: "bits <= 4 and accuracy >= 0.9", "aria-describedby": "where-said" });
  const use_condition = (text) => { field.value = text; for (const name of [...state.brushes.keys()]) set_brush(name, null); apply_where(text); };
  const said = h("p", { id: "where-said", role: "status" });
  const form = h("form", { class: "filter", onsubmit: (event) => { event.preventDefault(); apply_where(field.value); } },
    h("label", { for: "where" }, "Only trials where"), field, h("button", { type: "submit" }, "Filter"),
    h("button", { type: "button", onclick: () => use_condition("") }, "Show all"));
  const plane = scatter(), lines = parallel({ use_condition }), table = trial_table();
  const volume = h("div"), running = h("div"), chosen = h("div"), exports = h("p", { class: "links" });
  const parts = [plane, lines, table];
  const view = h("div", {},
    h("section", { class: "panel", "aria-label": "Filter" }, form, said, exports),
    h("div", { class: "columns" },
      h("section", { class: "panel tall", "aria-labelledby": "h-front" }, h("h2", { id: "h-front" }, "Front"), plane),
      h("div", { class: "side" }, section("Choices", "h-choices", chosen), section("Running now", "h-running", running), section("Hypervolume", "h-volume", volume))),
    section("Parameters and objectives", "h-lines", lines),
    section("Trials", "h-trials", table),
    section("Plots", "h-plots", plots()));
  const draw = (what) => {
    fill(said, filter_words());
    said.classList.toggle("error", Boolean(state.where.error));
    fill(exports, export_links());
    if (what === "sweep") {
      fill(volume, volume_parts());
      fill(running, running_parts());
      fill(chosen, chosen_parts());
    }
  };
  const end = on_change(draw);
  draw("sweep");
  return { view, end: () => { end(); for (const part of parts) part.end(); } };
}

function section(title, id, content) {
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

function filter_words() {
  if (state.where.error) return document.createTextNode(state.where.error);
  const count = visible().length, all = state.rows.size, members = visible().filter((row) => front().has(row.trial)).length;
  const which = count === all ? `All ${all.toLocaleString("en")} trials.` : `${count.toLocaleString("en")} of ${all.toLocaleString("en")} trials.`;
  const of_them = state.where.text ? ` The front is that of the trials where ${cut(state.where.text, 120)}.` : "";
  const not_met = state.head.feasible ? "" : " No trial meets the constraints; the front is that of the nearest ones.";
  return document.createTextNode(`${which} ${members} on the front.${of_them}${not_met}`);
}

function export_links() {
  const rows = visible();
  const which = rows.length === state.rows.size ? "" : `?trials=${rows.map((row) => row.trial).join(",")}`;
  if (!rows.length || which.length > 30000) return [];
  return [document.createTextNode("Export these trials: "), h("a", { href: `/trials.csv${which}`, download: "trials.csv" }, "CSV"),
    document.createTextNode(" "), h("a", { href: `/trials.json${which}`, download: "trials.json" }, "JSON")];
}

function volume_parts() {
  const points = state.head.volume, last = points.length ? points[points.length - 1][2] : 0;
  if (!points.length || !last) return h("p", { class: "muted" }, "It is measured from the first complete trials on.");
  const shares = points.map(([count, , volume]) => [count, volume / last]);
  const drawing = curve(shares, { name: "", x_label: "complete trials", is_step: true, from_zero: true,
    words: `The hypervolume after each of ${points[points.length - 1][0]} complete trials, as a share of the present one` });
  return [drawing, h("p", { class: "muted" }, `Share of the present hypervolume, ${last.toPrecision(4)}.`)];
}

function running_parts() {
  const runs = state.head.running;
  if (!runs.length) return h("p", { class: "muted" }, state.head.state === "running" ? "No trial at the moment." : "The sweep is not running.");
  return h("ul", { class: "runs" }, runs.map((run) => {
    const values = Object.entries(run.values).slice(0, 3).map(([name, value]) => `${cut(label(name), 20)} ${human(name, value)}`).join(", ");
    const words = run.epochs ? `epoch ${run.epoch} of ${run.epochs}` : `epoch ${run.epoch}`;
    return h("li", {}, h("a", { href: `#/trial/${run.trial}` }, `trial ${run.trial}`), ` ${words}`,
      run.epochs ? h("progress", { max: run.epochs, value: run.epoch, "aria-label": `Trial ${run.trial}: ${words}` }) : null,
      h("span", { class: "muted" }, run.left_s === null ? `for ${duration(run.spent_s)}` : `${duration(run.left_s)} left`, values ? `; ${values}` : "", run.worker ? `; ${cut(run.worker, 60)}` : ""));
  }));
}

function chosen_parts() {
  const choices = state.head.choices;
  if (!choices.length) {
    return h("p", { class: "muted" }, "None yet. Select trials in the table to compare them, and open one to pick it.");
  }
  return h("ul", { class: "chosen" }, choices.map((choice) => h("li", {},
    h("a", { href: `#/trial/${choice.trial}` }, `trial ${choice.trial}`), " ", h("span", { class: `badge ${choice.kind}` }, choice.kind),
    choice.note ? h("p", {}, cut(choice.note, 300)) : null,
    h("p", { class: "muted" }, [choice.who ? cut(choice.who, 40) : null, moment(choice.made)].filter(Boolean).join(", ")))));
}
