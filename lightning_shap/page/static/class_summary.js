// The class summary: what is taken for what in many images, and which parts of them decide too much.
// Whatever is said of them the summary said; nothing is computed here.

import { called, html, sentence, svg } from "./dom.js";
import { countPairs, matrixOf } from "./matrix.js";

/** How many parts of a summary are suspicious, undefined without one. */
export function suspicionsOf(summary) {
  return summary?.facts.classes.parts.filter(({ state }) => state === "suspicious").length;
}

/**
 * The panel of a summary: its matrix, its words, and a card for each part.
 *
 * facts: of the explanation that has it; nameOf: of a class; chosen: the pair that is shown; pick: see
 * `matrixOf`; show: is told a pin, and an image to show it on.
 */
export function summaryPanel({ facts, nameOf, chosen, pick, show }) {
  const { confusion, lines, parts } = facts.classes;
  const counts = new Map(confusion.map(([truth, taken, count]) => [`${truth}>${taken}`, count]));
  const there = countPairs(facts.rows);
  const [images, ...words] = lines;
  const names = facts.rows.flatMap((row) => row.true).map(nameOf);
  return html(
    "section",
    { class: "class-summary" },
    html("h2", {}, "Class summary"),
    html("p", {}, images),
    matrixOf({ counts, nameOf, chosen, pick, has: (pair) => there.has(pair) }),
    ...parts.map((part) => cardOf(part, { facts, nameOf, names, show })),
    ...words.map((line) => html("p", {}, ...unbroken(line, names))),
  );
}

function cardOf({ state, part, class: label, claim, rates, pin }, { facts, nameOf, names, show }) {
  const number = facts.rows.findIndex((row) => label === null || row.true.includes(label));
  const look = html(
    "button",
    { type: "button", onclick: () => show(pin, number, label) },
    "Show the place",
  );
  return html(
    "article",
    { class: `part ${state}` },
    html("h3", {}, part, " ", html("span", { class: "state" }, state)),
    html("p", {}, label === null ? "all classes" : called(nameOf(label), 40)),
    html("ul", {}, ...rates.map((rate) => rateOf(rate, names))),
    html("p", {}, ...unbroken(claim, names)),
    pin && number >= 0 ? look : null,
  );
}

/** A sentence of the summary, unbroken between a number and its percent sign. */
function unbroken(words, names) {
  return sentence(words.replaceAll(" %", "\u00a0%"), names, 22);
}

/** A rate in words, and as a bar: where it is, and how far from there it may be. */
function rateOf({ words, share, low, high, images }, names) {
  const bar = svg(
    "svg",
    { class: "rate", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { class: "axis", x1: 0, x2: 100, y1: 4, y2: 4 }),
    svg("line", { class: "interval", x1: 100 * low, x2: 100 * high, y1: 4, y2: 4 }),
    share === null ? null : svg("line", { x1: 100 * share, x2: 100 * share, y1: 0, y2: 8 }),
  );
  const count = `${images} image${images === 1 ? "" : "s"}`;
  return html("li", {}, html("span", {}, ...unbroken(words, names)), bar, html("span", {}, count));
}
