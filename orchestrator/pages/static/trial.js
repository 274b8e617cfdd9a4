// One trial: values, parameters, learning curves, attempts, files, how to load it.

import { copyable, cut, fill, h } from "./dom.js";
import { duration, human, know_also, label, moment, param, NOTHING } from "./format.js";
import { choice_form } from "./choosing.js";
import { curve } from "./curves.js";
import { Refused, ask, on_change, select, state } from "./state.js";

export function trial_view(number) {
  const view = h("div", {}, h("p", { class: "muted" }, "Reading the trial"));
  let shown = "", row = null;
  const load = async () => {
    try {
      const found = await ask(`/api/trial/${number}`);
      know_also(found.units);
      const text = JSON.stringify([found, state.head.chosen.get(number), state.head.may_change]);
      // What a person is writing is not taken away by news that change nothing here.
      if (text !== shown) { shown = text; fill(view, parts(found, number)); }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      fill(view, h("p", { class: "error", role: "alert" }, error.message), h("p", {}, h("a", { href: "#/" }, "All trials")));
    }
  };
  const end = on_change((what) => {
    if (what !== "sweep") return;
    const now = JSON.stringify([state.rows.get(number), state.head.chosen.get(number), state.head.running.find((run) => run.trial === number)]);
    if (now !== row) { row = now; load(); }
  });
  load();
  return { view, end };
}

function parts(found, number) {
  const badges = [state.head.on_front.has(number) ? h("span", { class: "badge front" }, "front") : null, found.is_reference ? h("span", { class: "badge" }, "reference") : null];
  const is_selected = state.selected.has(number);
  const run = mlflow_link(found.mlflow_run_id);
  return [
    h("p", {}, h("a", { href: "#/" }, "← All trials")),
    h("h1", {}, `Trial ${number} `, badges),
    h("p", { class: "muted" }, `${found.state}, seed ${found.seed}`, found.replicate ? `, replicate ${found.replicate}` : "",
      found.origin !== null ? h("span", {}, ", same training as ", h("a", { href: `#/trial/${found.origin}` }, `trial ${found.origin}`)) : "",
      `, stored ${moment(found.created)}`, found.ended ? `, ended ${moment(found.ended)}` : ""),
    h("p", { class: "links" }, run, h("label", { class: "toggle" }, h("input", { type: "checkbox", checked: is_selected, onchange: (event) => select(number, event.target.checked) }), " compare it")),
    found.failure ? h("p", { class: "error" }, cut(found.failure, 4000)) : null,
    found.trouble ? h("p", { class: "error" }, found.trouble) : null,
    h("div", { class: "columns" },
      h("div", { class: "grow" },
        panel("Learning curves", curves(found.reports)),
        panel("Measured", h("div", { class: "two" }, pairs(found.values, (name, value) => [label(name), human(name, value)]))),
        panel("Attempts", attempts(found.attempts))),
      h("div", { class: "side" },
        panel("Choice", choice_form(number)),
        panel("Parameters", pairs(found.params, (name, value) => [name, param(value)])))),
    Object.keys(found.how).length ? panel("How to load it", how(found, number)) : null,
    found.files.length ? panel("Files", files(found, number)) : null,
  ].filter(Boolean);
}

function panel(title, content) {
  const id = `h-${title.replaceAll(" ", "-").toLowerCase()}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

function pairs(mapping, words) {
  const names = Object.keys(mapping);
  if (!names.length) return h("p", { class: "muted" }, "Nothing yet.");
  return h("dl", { class: "pairs" }, names.map((name) => {
    const [key, text] = words(name, mapping[name]);
    return h("div", {}, h("dt", {}, cut(key, 200)), h("dd", {}, cut(text, 400)));
  }));
}

function curves(reports) {
  const names = [...new Set(reports.flatMap((report) => Object.keys(report.values)))];
  if (!names.length) return h("p", { class: "muted" }, "No epoch has ended yet.");
  return h("div", { class: "curves" }, names.map((name) => {
    const points = reports.filter((report) => Object.hasOwn(report.values, name)).map((report) => [report.epoch, report.values[name]]);
    const last = points[points.length - 1];
    return h("figure", {}, h("figcaption", {}, `${cut(label(name), 60)}: ${human(name, last[1])}`),
      curve(points, { name, x_label: "epoch", words: `${cut(label(name), 60)} over ${points.length} epochs, ${human(name, last[1])} at the end` }));
  }));
}

function attempts(found) {
  if (!found.length) return h("p", { class: "muted" }, "It has not been started.");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attempts" }, h("table", {},
    h("thead", {}, h("tr", {}, ["attempt", "state", "began", "took", "worker", "MLflow"].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, found.map((each) => [h("tr", {}, h("td", { class: "number" }, each.attempt + 1), h("td", { class: `state ${each.state}` }, each.state), h("td", {}, moment(each.started)),
      h("td", {}, each.ended ? duration((new Date(each.ended) - new Date(each.started)) / 1000) : NOTHING), h("td", {}, cut(each.worker, 80)), h("td", {}, mlflow_link(each.mlflow_run_id, "run") || NOTHING)),
    each.failure ? h("tr", {}, h("td", { colspan: "6", class: "error" }, cut(each.failure, 2000), each.traceback ? h("details", {}, h("summary", {}, "Traceback"), h("pre", { tabindex: "0" }, each.traceback.slice(0, 20000))) : null)) : null]))));
}

function how(found, number) {
  return [
    h("p", {}, "In a terminal, the network and its record into a folder; load_artifact needs neither this project's store nor its scripts:"),
    copyable(found.how.shell, "Command that exports the network"), copyable(found.how.exported, "Python that loads the exported network"),
    h("p", {}, "In Python, from the store:"), copyable(found.how.python, "Python that loads the network from the store"),
    found.trouble ? null : h("p", {}, h("a", { href: `/trial/${number}/model.safetensors`, download: `trial-${number}.safetensors` }, "Download the packed network")),
  ];
}

function files(found, number) {
  return [
    h("table", { class: "pairs" }, h("tbody", {}, found.files.map((file) => h("tr", {}, h("th", { scope: "row" }, cut(file.name, 120)), h("td", { class: "number" }, file.size))))),
    h("p", { class: "muted path" }, `${found.artifact}`), h("p", { class: "muted path" }, `sha256 ${found.artifact_sha256}`),
  ];
}

/** A link to a run in MLflow, if a server is known that has it. */
export function mlflow_link(run_id, words = "Its run in MLflow") {
  const { mlflow_server: server, mlflow } = state.head;
  if (!server || !run_id || !mlflow[0] || !/^https?:/.test(server)) return null;
  return h("a", { href: `${server}/#/experiments/${encodeURIComponent(mlflow[0])}/runs/${encodeURIComponent(run_id)}`, target: "_blank", rel: "noopener noreferrer" }, words);
}
