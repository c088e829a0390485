// Which images a view shows, in which order; and which image of another run is the same.

import { linesOf } from "./columns.js";
import { numbersOf } from "./view_state.js";

/** The numbers of the images that a view asks for; mistakes come by how large they are. */
export function chooseImages(lead, view) {
  const among = view.chosen ? numbersOf(view.chosen) : null;
  const numbers = [...lead.facts.rows.keys()].filter((number) => !among || among.has(number));
  const chosen = numbers.filter((number) => isWanted(lead, number, view));
  if (view.filter !== "mistakes" && !view.pair) return chosen;
  return chosen.sort((a, b) => errorOf(lead.row(b)) - errorOf(lead.row(a)));
}

/** How wrong an image is: by how much what is predicted is ahead of what is true. */
function errorOf(row) {
  if (row.right !== false) return -Infinity;
  const known = row.probabilities ?? row.outputs;
  const best = (numbers) => Math.max(...numbers.map((one) => known[one] ?? -Infinity));
  const error = row.error ?? best(row.predicted) - best(row.true);
  return Number.isNaN(error) ? 0 : error;
}

/** The classes [true, predicted] of an image as one name for both, "" where one is not known. */
export function pairOf({ true: truth, predicted }) {
  return truth.length && predicted.length ? `${truth[0]}>${predicted[0]}` : "";
}

function isWanted(lead, number, view) {
  const row = lead.row(number);
  if (view.filter === "mistakes" && row.right !== false) return false;
  if (view.filter === "changed") {
    const [first] = lead.history;
    if (lead.namesOf(first.rows[number].predicted) === lead.namesOf(row.predicted)) return false;
  }
  if (view.pair && pairOf(row) !== view.pair) return false;
  if (view.only !== "" && ![...row.true, ...row.predicted].includes(Number(view.only)))
    return false;
  return linesOf(lead, number, view, lead).length > 0 || view.filter === "mistakes";
}

/**
 * Which image of another snapshot is each of the lead's: numbers, undefined where it has none; null
 * where nobody knows, without photographs.
 */
export function partnersOf(lead, other) {
  const known = lead.facts.samples === other.facts.samples;
  const isWhole = [lead, other].every(({ facts, samples }) => samples && !facts.piece);
  if (!known && !isWhole) return null;
  const there = new Map(keysOf(other, known).map((key, number) => [key, number]));
  return keysOf(lead, known).map((key) => there.get(key));
}

/** What images are known by; one that comes again is another each time. */
function keysOf({ facts, samples }, known) {
  const seen = new Map();
  return facts.rows.map((_, number) => {
    if (known) return number;
    const key = samples.keyOf(number);
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return `${key} ${seen.get(key)}`;
  });
}
