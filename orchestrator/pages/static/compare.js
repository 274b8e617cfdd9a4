// Two to five trials side by side.

import { cut, fill, h } from "./dom.js";
import { human, label, param, NOTHING } from "./format.js";
import { choice_form } from "./choosing.js";
import { Refused, ask, on_change, state } from "./state.js";

export function compare_view(numbers) {
  const view = h("div", {}, h("p", { class: "muted" }, "Comparing"));
  const load = async () => {
    try {
      fill(view, parts(await ask(`/api/compare?trials=${numbers.join(",")}`)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      fill(view, h("p", { class: "error", role: "alert" }, error.message), h("p", {}, h("a", { href: "#/" }, "All trials")));
    }
  };
  let before = JSON.stringify(numbers.map((number) => state.head.chosen.get(number)));
  const end = on_change((what) => {
    const now = JSON.stringify(numbers.map((number) => state.head.chosen.get(number)));
    if (what === "sweep" && now !== before) { before = now; load(); }
  });
  load();
  return { view, end };
}

function parts(found) {
  const numbers = found.trials.map((trial) => trial.trial);
  return [
    h("p", {}, h("a", { href: "#/" }, "← All trials")),
    h("h1", {}, `Trials ${numbers.slice(0, -1).join(", ")} and ${numbers[numbers.length - 1]}`),
    h("p", { class: "links" }, "Export them: ", h("a", { href: `/trials.csv?trials=${numbers.join(",")}`, download: "trials.csv" }, "CSV"), " ",
      h("a", { href: `/trials.json?trials=${numbers.join(",")}`, download: "trials.json" }, "JSON")),
    panel("Measured", values_table(found.trials)),
    panel("Parameters", params_table(found.trials)),
    panel("Bytes by layer", layers(found.trials)),
    Object.values(found.confusion).some(Boolean) ? panel("Answers by class", confusions(found)) : null,
    found.disagreements ? panel("Images that they answer differently", disagreements(found, numbers)) : null,
    panel("Choice", h("div", { class: "choices" }, numbers.map((number) => h("div", {}, h("h3", {}, `Trial ${number}`), choice_form(number))))),
    found.notes.length ? panel("What could not be compared", h("ul", {}, found.notes.map((note) => h("li", {}, cut(note, 1000))))) : null,
  ].filter(Boolean);
}

function panel(title, content) {
  const id = `h-${title.replaceAll(" ", "-").toLowerCase()}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

function grid(trials, names, cell, title) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", { class: "side-by-side" },
    h("thead", {}, h("tr", {}, h("td"), trials.map((trial) => h("th", { scope: "col" }, h("a", { href: `#/trial/${trial.trial}` }, `trial ${trial.trial}`),
      state.head.on_front.has(trial.trial) ? h("span", { class: "badge front" }, "front") : "")))),
    h("tbody", {}, names.map(cell))));
}

function values_table(trials) {
  const goals = state.head.objectives, names = [...new Set([...goals.map((goal) => goal.name), ...trials.flatMap((trial) => Object.keys(trial.values))])];
  const table = grid(trials, names, (name) => {
    const goal = goals.find((each) => each.name === name);
    const numbers = trials.map((trial) => trial.values[name]).filter((value) => value !== undefined);
    const best = goal && numbers.length > 1 ? (goal.direction === "maximize" ? Math.max(...numbers) : Math.min(...numbers)) : null;
    return h("tr", {}, h("th", { scope: "row" }, cut(label(name), 80), goal ? (goal.direction === "maximize" ? " ↑" : " ↓") : ""), trials.map((trial) => {
      const value = trial.values[name], interval = trial.intervals[name];
      return h("td", { class: "number" }, value !== undefined && value === best ? h("strong", {}, human(name, value)) : human(name, value),
        interval ? h("span", { class: "interval" }, ` ${human(name, interval[0])} to ${human(name, interval[1])}, n = ${interval[2]}`) : "");
    }));
  }, "Measured values");
  const has_intervals = trials.some((trial) => Object.keys(trial.intervals).length);
  return [table, has_intervals ? h("p", { class: "muted" }, "Beside an accuracy: its 95 % interval (Wilson) over n images. Intervals that overlap do not say that there is no difference; paretune pick --min with --keep tests it in pairs.") : null];
}

function params_table(trials) {
  const names = [...new Set(trials.flatMap((trial) => Object.keys(trial.params)))];
  const differ = names.filter((name) => new Set(trials.map((trial) => JSON.stringify(trial.params[name]))).size > 1);
  const same = names.filter((name) => !differ.includes(name));
  return [
    differ.length ? grid(trials, differ, (name) => h("tr", { class: "differs" }, h("th", { scope: "row" }, cut(name, 80)),
      trials.map((trial) => h("td", {}, cut(param(trial.params[name]), 120)))), "Parameters that differ") : h("p", {}, "They have the same parameters."),
    same.length ? h("p", { class: "muted" }, `The same in all: ${cut(same.map((name) => `${cut(name, 40)} ${cut(param(trials[0].params[name]), 40)}`).join(", "), 1500)}.`) : null,
  ];
}

function layers(trials) {
  const packed = trials.filter((trial) => trial.layers);
  if (!packed.length) return h("p", { class: "muted" }, "None of their packed networks can be read here.");
  const names = [...new Set(packed.flatMap((trial) => Object.keys(trial.layers.bytes)))];
  const most = Math.max(...packed.flatMap((trial) => Object.values(trial.layers.bytes)));
  return grid(trials, names, (name) => h("tr", {}, h("th", { scope: "row" }, cut(name, 80)), trials.map((trial) => {
    const bytes = trial.layers?.bytes[name];
    if (bytes === undefined) return h("td", { class: "number" }, NOTHING);
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${Math.max(100 * bytes / most, 0.5)}%`;
    const bits = trial.layers.bits[name];
    return h("td", { class: "number" }, human("memory_bytes", bytes), bits ? h("span", { class: "muted" }, ` ${bits} bit`) : "", h("span", { class: "track" }, bar));
  })), "Bytes by layer");
}

function confusions(found) {
  return [h("p", { class: "muted" }, "A row is the true class, a column the answer; the diagonal is right. Validation images."),
    h("div", { class: "matrices" }, found.trials.map((trial) => {
      const confusion = found.confusion[trial.trial];
      return confusion ? matrix(trial, confusion) : null;
    }))];
}

function matrix(trial, { counts, images }) {
  const classes = trial.layers?.classes || counts.map((_, at) => String(at));
  const wrong = Math.max(...counts.flatMap((row, at) => row.filter((_, to) => to !== at)), 1);
  const right = counts.reduce((sum, row, at) => sum + row[at], 0);
  const name = (at) => cut(classes[at] ?? at, 10);
  return h("figure", {}, h("figcaption", {}, `Trial ${trial.trial}: ${right} of ${images} right`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Answers of trial ${trial.trial} by class` }, h("table", { class: "matrix" },
      h("thead", {}, h("tr", {}, h("td"), counts.map((_, at) => h("th", { scope: "col" }, name(at))))),
      h("tbody", {}, counts.map((row, at) => h("tr", {}, h("th", { scope: "row" }, name(at)), row.map((count, to) => {
        const cell = h("td", { class: at === to ? "right" : count ? "wrong" : "none" }, count || "");
        if (at !== to && count) cell.style.setProperty("--share", String(0.15 + 0.45 * count / wrong));
        return cell;
      })))))));
}

function disagreements(found, numbers) {
  const place = h("div");
  const button = h("button", { type: "button", onclick: async () => {
    fill(place, h("p", { class: "muted" }, "Reading the images"));
    try {
      fill(place, pictures(await ask(`/api/disagreements?trials=${numbers.join(",")}`), numbers));
    } catch (error) {
      fill(place, h("p", { class: "error" }, error instanceof Refused ? error.message : "The server does not answer."));
    }
  } }, "Show them");
  return [h("p", {}, `${found.disagreements} validation images.`), button, place];
}

function pictures(found, numbers) {
  const name = (at) => cut(found.classes?.[at] ?? at, 20);
  return [
    found.note ? h("p", { class: "muted" }, cut(found.note, 600)) : null,
    found.total > found.images.length ? h("p", { class: "muted" }, `The first ${found.images.length} of ${found.total}.`) : null,
    h("ul", { class: "pictures" }, found.images.map((each) => h("li", {},
      found.has_pictures ? h("img", { src: `/picture/${each.image}.png`, alt: `Validation image ${each.image}, ${name(each.label)}` }) : h("p", {}, `image ${each.image}`),
      h("p", {}, `true: ${name(each.label)}`),
      each.answers.map((answer, at) => h("p", { class: answer === each.label ? "right" : "wrong" }, `${numbers[at]}: ${name(answer)} ${answer === each.label ? "✓" : "✗"}`))))),
  ];
}
