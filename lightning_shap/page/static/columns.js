// Which maps of an image are shown, and what stands over each.

import { alike, likelihood } from "./dom.js";

export const TAKEN = "taken"; // instead of a class: what an image is taken for rather than its own

/**
 * The maps of an image: [{key, name, role, detail, slot, other}, ...].
 *
 * first: the side whose class numbers the view is said in; beside: {side, number} of the image
 * whose order of classes this one follows, so that equal ones stand below one another. Classes of
 * two sides are the same by their names.
 */
export function columnsOf({ side, number }, view, first, beside) {
  const { explanation, facts } = side;
  if (!explanation) return [];
  const row = side.row(number);
  const like = (one) => side.numberOf(first, one);
  const order = beside.side.row(beside.number).explained;
  const each = new Set([...order.map((one) => side.numberOf(beside.side, one)), ...row.explained]);
  const { wanted, rival } = askedFor(row, view, like) ?? { wanted: [...each] };
  const isContrast = rival !== undefined;
  const other = isContrast ? explanation.slotOf(number, rival) : -1;
  const columns = [];
  for (const one of wanted) {
    const slot = explanation.slotOf(number, one);
    if (slot < 0) continue;
    if (isContrast && (other < 0 || other === slot)) continue;
    // Of a contrast, the explanation itself is of a difference.
    const rivals = [row.against, rival].filter((n) => n !== undefined);
    const name = [one, ...rivals].map((n) => side.nameOf(n)).join(" rather than ");
    const detail = detailOf(row, one, slot, facts.output === "value" ? "value" : "output");
    const role = row.roles?.[slot].join(", ") ?? ""; // which old logs do not say
    columns.push({ key: one, name, role, detail, slot, other });
  }
  return columns;
}

/**
 * Which classes of an image a view asks for, and the one that they are compared with, if any: null
 * for each that is explained. like: the number that a class of the view has for the image.
 */
export function askedFor(row, view, like) {
  if (view.shown === "each") return null;
  if (view.shown === TAKEN) {
    const wanted = row.true.length ? row.predicted.filter((one) => !row.true.includes(one)) : [];
    return { wanted, rival: row.true[0] };
  }
  const rival = view.against === "" ? undefined : like(Number(view.against));
  return { wanted: [like(Number(view.shown))], rival };
}

/** What is known of a class for an image, in words: its probability, and the way to its output. */
export function detailOf(row, number, slot, output) {
  const rival = row.against === undefined ? 0 : row.outputs[row.against];
  const way = alike(row.base[slot], row.outputs[number] - rival).join(" \u2192 ");
  const probability = row.probabilities?.[number];
  if (Number.isFinite(probability)) return `${likelihood(probability)} \u00b7 ${way}`;
  return `${output} ${way}`;
}
