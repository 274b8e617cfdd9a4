// The form with which a trial is picked, or marked as a candidate.

import { copyable, h } from "./dom.js";
import { Refused, choose, state } from "./state.js";

export function choice_form(trial) {
  const row = state.rows.get(trial), choice = state.head.chosen.get(trial);
  if (!row || row.state !== "complete") return h("p", { class: "muted" }, "Only a complete trial can be picked.");
  if (!state.head.may_change) {
    return h("div", {},
      choice ? h("p", {}, h("span", { class: `badge ${choice.kind}` }, choice.kind), ` ${choice.note}`) : null,
      h("p", { class: "muted" }, "This page is read-only. Start it with --allow-changes, or pick the trial in a terminal:"),
      copyable(`paretune pick ${shell(state.head.name)} --trial ${trial} --note "why"`, "Command that picks this trial"));
  }
  const note = h("textarea", { id: `note-${trial}`, rows: "3", maxlength: "2000" });
  note.value = choice ? choice.note : "";
  const said = h("p", { role: "status", class: "muted" });
  const button = (words, kind, style) => h("button", { type: "button", class: style, onclick: async () => {
    said.classList.remove("error");
    said.textContent = "Storing";
    try {
      const told = await choose(trial, kind, note.value);
      said.textContent = `Stored. ${told}`;
    } catch (error) {
      said.classList.add("error");
      said.textContent = error instanceof Refused ? error.message : "The server does not answer; nothing was stored.";
    }
  } }, words);
  return h("div", { class: "choose" },
    choice ? h("p", {}, "This trial is ", h("span", { class: `badge ${choice.kind}` }, choice.kind)) : null,
    h("label", { for: `note-${trial}` }, "Why"), note,
    h("div", { class: "buttons" }, button("Pick", "picked", "primary"), button("Mark as candidate", "candidate", ""), choice ? button("Withdraw", null, "") : null),
    said);
}

function shell(text) {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
