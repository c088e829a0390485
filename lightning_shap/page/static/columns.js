// Which maps of an image are shown, and what stands over each.

import { alike, likelihood } from "./dom.js";

/**
 * The maps of an image: [{key, name, detail, slot, other}, ...].
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
  const wanted = view.shown === "each" ? [...each] : [like(Number(view.shown))];
  const rival = view.shown === "each" || view.against === "" ? -1 : like(Number(view.against));
  const other = explanation.slotOf(number, rival);
  const columns = [];
  for (const one of wanted) {
    const slot = explanation.slotOf(number, one);
    if (slot < 0) continue;
    const isContrast = view.shown !== "each" && view.against !== "";
    if (isContrast && (other < 0 || other === slot)) continue;
    // Of a contrast, the explanation itself is of a difference.
    const rivals = [row.against, isContrast ? rival : undefined].filter((n) => n !== undefined);
    const name = [one, ...rivals].map((n) => side.nameOf(n)).join(" rather than ");
    const detail = detailOf(row, one, slot, facts.output === "value" ? "value" : "output");
    columns.push({ key: one, name, detail, slot, other });
  }
  return columns;
}

/** What is known of a class for an image, in words: its probability, and the way to its output. */
export function detailOf(row, number, slot, output) {
  const rival = row.against === undefined ? 0 : row.outputs[row.against];
  const way = alike(row.base[slot], row.outputs[number] - rival).join(" \u2192 ");
  const probability = row.probabilities?.[number];
  if (Number.isFinite(probability)) return `${likelihood(probability)} \u00b7 ${way}`;
  return `${output} ${way}`;
}
