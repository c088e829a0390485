// How sure a map is, in words: by its standard errors, else by what the training said of its maps.

import { numeral, percent } from "./dom.js";

const PREVIOUS = "/similarity_to_previous";
const COARSE = 8; // regions; fewer say at best in which quarter something lies

/** How sure the map of an image is. */
export function doubtOf(snapshot, number, { slot }) {
  const row = snapshot.row(number);
  const { method, has_errors: hasErrors } = snapshot.facts;
  if (slot < 0 || snapshot.isComing(number)) return "";
  const words = [];
  const clear = row.clear?.[slot];
  if (hasErrors && Number.isFinite(clear)) {
    const count = Math.round(clear * row.regions);
    words.push(`${count} of ${row.regions} regions clear: two standard errors or more from zero.`);
  } else {
    words.push(
      `${row.regions} regions from ${row.evaluations} evaluations; ${method} knows no standard errors.`,
    );
    const alike = Object.entries(snapshot.facts.numbers ?? {}).find(([name]) =>
      name.endsWith(PREVIOUS),
    );
    if (alike && Number.isFinite(alike[1])) {
      words.push(`The maps are alike to those of the epoch before to ${cutOff(alike[1])} of 1.`);
    }
  }
  if (!Number.isFinite(clear) && row.regions < COARSE) words.push("Too coarse to say where.");
  const change = Math.abs(row.outputs[row.explained[slot]] - row.base[slot]);
  const gap = row.gap[slot] / (change || 1);
  if (gap > 0.05) words.push(`${percent(gap)} of the change is missing.`);
  return words.join(" ");
}

/** A similarity, cut off: what is said to be so much must be that, and 1 is the same. */
function cutOff(similarity) {
  return numeral(Math.trunc(100 * similarity + 1e-9) / 100);
}
