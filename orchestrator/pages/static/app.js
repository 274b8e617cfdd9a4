// The page: which view is shown, and when the sweep is asked for again.

import { cut, fill, h } from "./dom.js";
import { duration } from "./format.js";
import { compare_view } from "./compare.js";
import { overview } from "./overview.js";
import { mlflow_link, trial_view } from "./trial.js";
import { on_change, refresh, select, state } from "./state.js";

const MOST_COMPARED = 5;
const main = document.getElementById("main"), head = document.getElementById("head");
const trouble = document.getElementById("trouble"), basket = document.getElementById("basket");
let shown = null, events = null, is_first = true;

function show() {
  if (!state.head) return;
  if (shown) shown.end();
  const [, kind, rest] = location.hash.split("/");
  const numbers = (rest || "").split(",").filter((text) => /^\d{1,9}$/.test(text)).map(Number);
  if (kind === "trial" && numbers.length === 1) shown = trial_view(numbers[0]);
  else if (kind === "compare" && numbers.length) shown = compare_view(numbers);
  else shown = overview();
  fill(main, shown.view);
  if (!is_first) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
  is_first = false;
  main.dataset.ready = "true";
}

function show_head() {
  const { name, state: now, reason, counts, planned, left_s } = state.head;
  document.title = `${cut(name, 60)}: paretune`;
  const complete = counts.complete || 0;
  const over = Object.entries(counts).filter(([key]) => ["complete", "stopped", "failed"].includes(key)).reduce((sum, [, n]) => sum + n, 0);
  const told = Object.entries(counts).map(([key, n]) => `${n.toLocaleString("en")} ${key}`).join(", ") || "no trial yet";
  fill(head,
    h("div", { class: "title" }, h("p", { class: "name" }, h("a", { href: "#/" }, cut(name, 120))), h("span", { class: `chip-state ${now}` }, now),
      h("span", { class: "live", id: "live" }, live_words())),
    h("p", { class: "muted" }, told, planned ? `, of ${planned.toLocaleString("en")} in the budget` : "", left_s ? `; about ${duration(left_s)} left` : "",
      reason && now !== "running" ? `; ${cut(reason, 300)}` : "", " ", mlflow_link(state.head.mlflow[1], "This sweep in MLflow")),
    planned ? h("progress", { max: planned, value: Math.min(over, planned), "aria-label": `${over} of ${planned} trials are over, ${complete} of them complete` }) : null);
}

function live_words() {
  if (!events) return "";
  return state.head && state.head.state === "running" ? "live" : "";
}

function show_basket() {
  const chosen = [...state.selected].sort((a, b) => a - b);
  basket.hidden = chosen.length === 0;
  if (!chosen.length) return;
  const can = chosen.length >= 2 && chosen.length <= MOST_COMPARED;
  fill(basket, h("p", {}, `Selected: ${cut(chosen.join(", "), 60)}`),
    can ? h("a", { class: "button primary", href: `#/compare/${chosen.join(",")}` }, `Compare ${chosen.length}`)
      : h("p", { class: "muted" }, chosen.length < 2 ? "Select another one to compare." : `At most ${MOST_COMPARED} are compared.`),
    h("button", { type: "button", onclick: () => { for (const trial of chosen) select(trial, false); } }, "Clear"));
}

function say(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

async function bring() {
  try {
    await refresh();
    say("");
  } catch (error) {
    say(`The sweep could not be read: ${error.message} What is shown may be old.`);
  }
}

function listen() {
  if (events || document.hidden) return;
  events = new EventSource("/events");
  events.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (news.trouble) say(news.trouble);
    else if (news.version !== state.version || news.mlflow !== state.head?.mlflow_server || !trouble.hidden) bring();
  };
  events.onerror = () => say("The server does not answer; what is shown may be old. Is 'paretune ui' still running?");
}

// A browser opens six connections to a server at most: a page that nobody sees keeps none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { events?.close(); events = null; } else listen();
});
addEventListener("pagehide", () => { events?.close(); events = null; });
addEventListener("hashchange", show);
on_change((what) => {
  if (what === "sweep") { show_head(); if (!shown) show(); }
  show_basket();
});
await bring();
listen();
