// Mistakes: what is taken for what among the images that are shown, and among many more.

import { summaryPanel } from "./class_summary.js";
import { html } from "./dom.js";
import { countPairs, matrixOf } from "./matrix.js";

const ALL = { filter: "all", pair: "", shown: "usual", chosen: "" };

/** The parts of the panel; summary: what `App` found of a class summary; change: of the view. */
export function mistakesOf({ lead, view, summary }, change) {
  const nameOf = (number) => lead.nameOf(number);
  const pickOf = (where) => (pair, isWrong) =>
    change({
      ...where,
      pair,
      filter: pair && !isWrong ? "all" : "mistakes",
      shown: isWrong ? "taken" : "usual",
      open: null,
    });
  const counts = countPairs(lead.facts.rows);
  const chosen = view.pair;
  const own = [html("h2", {}, "Mistakes"), matrixOf({ counts, nameOf, chosen, pick: pickOf({}) })];
  if (!summary) return own;
  const isShown = summary.tag === lead.tag;
  const there = isShown ? {} : { run: lead.run, tag: summary.tag, step: null };
  const panel = summaryPanel({
    facts: summary.facts,
    nameOf,
    chosen: isShown ? chosen : "",
    pick: pickOf(there),
    show: (pins, open, label) =>
      change({ ...there, ...ALL, open, pins, only: String(label ?? "") }),
  });
  return isShown ? [panel] : [...own, panel];
}
