// What stands beside one another: epochs, runs or classes; and which map of an image is shown.

import { alike, likelihood } from "./dom.js";
import { shortMomentOf } from "./snapshot.js";

export const USUAL = "usual"; // the true class of an image, else what it is taken for
export const TAKEN = "taken"; // what an image is taken for rather than its own class

/** So many places of a series, evenly, with the first and the last; each n-th where n is given. */
export function thin(length, most, every = 0) {
  const last = length - 1;
  if (every) return Array.from({ length }, (_, at) => at).filter((at) => (last - at) % every === 0);
  if (length <= most) return Array.from({ length }, (_, at) => at);
  if (most < 2) return [last];
  return Array.from({ length: most }, (_, at) => Math.round((at * last) / (most - 1)));
}

/** Columns of a run's epochs: [{key, run, tag, series, place, name}, ...]. */
export function epochsOf({ run, tag, series }, most, every) {
  return thin(series.length, most, every).map((place) => ({
    key: String(series[place].step),
    run,
    tag,
    series,
    place,
    name: shortMomentOf(series[place]),
  }));
}

/** Which explanation of another run is of the time of one: the latest for the latest. */
export function placeLike(series, lead) {
  if (lead.place === lead.series.length - 1) return series.length - 1;
  const { epoch, step } = lead.facts;
  const isLater = (facts) =>
    epoch === null || facts.epoch === null ? facts.step > step : facts.epoch > epoch;
  if (step < 0)
    return Math.max(
      0,
      series.findIndex((facts) => facts.step < 0),
    );
  const after = series.findIndex((facts) => facts.step >= 0 && isLater(facts));
  return after < 0 ? series.length - 1 : Math.max(0, after - 1);
}

/**
 * Which classes of an image a view asks for: [{wanted, rival}, ...], numbers of the snapshot whose
 * image it is; lead: the one in whose numbers the view is said.
 */
export function linesOf(snapshot, number, view, lead) {
  const row = snapshot.row(number);
  const like = (value) => snapshot.numberOf(lead, Number(value));
  if (view.columns === "classes" && view.shown === USUAL) return eachOf(row);
  if (view.shown === "each") return eachOf(row);
  if (view.shown === USUAL)
    return [{ wanted: usualOf(row) }].filter((one) => one.wanted !== undefined);
  if (view.shown === TAKEN) return takenOf(row);
  const rival = view.against === "" ? undefined : like(view.against);
  const wanted = like(view.shown);
  return row.explained.includes(wanted) ? [{ wanted, rival }] : [];
}

function eachOf(row) {
  return row.explained.map((wanted) => ({ wanted }));
}

/** Of a mistake, what is predicted rather than true; what has no map is left out of that. */
function takenOf({ true: truth, predicted, explained }) {
  if (!truth.length) return [];
  const has = (one) => explained.includes(one);
  const lines = predicted
    .filter((one) => !truth.includes(one))
    .map((wanted) => (has(wanted) && !has(truth[0]) ? { wanted } : { wanted, rival: truth[0] }));
  const missed = truth.filter((one) => !predicted.includes(one));
  if (lines.some(({ wanted }) => has(wanted)) || !missed.length) return lines;
  return missed.map((wanted) => ({ wanted }));
}

function usualOf(row) {
  const known = [...row.true, ...row.predicted];
  return known.find((one) => row.explained.includes(one)) ?? row.explained[0];
}

/**
 * The map of an image that a line asks for: {name, role, detail, probability, slot, other}, or a
 * sentence in `lack` for what there is no map of. lead: the snapshot in whose numbers it is said.
 */
export function mapOf({ snapshot, number }, { wanted, rival }, lead) {
  const row = snapshot.row(number);
  const one = snapshot.numberOf(lead, wanted);
  const against = rival === undefined ? undefined : snapshot.numberOf(lead, rival);
  // Of a contrast, the explanation itself is of a difference.
  const rivals = [row.against, against].filter((each) => each !== undefined);
  const names = [one, ...rivals].map((each) => snapshot.nameOf(each));
  const known = { number: one, rival: against, names, name: names.join(" rather than ") };
  known.probability = row.probabilities?.[one];
  const slot = row.explained.indexOf(one);
  const other = against === undefined ? -1 : row.explained.indexOf(against);
  if (slot < 0 || (against !== undefined && (other < 0 || other === slot))) {
    const lack = "no map of this class";
    return { ...known, lack, role: "", detail: "", slot: -1, other: -1 };
  }
  const role = row.roles?.[slot].join(", ") ?? ""; // which old logs do not say
  known.change = changeOf(row, slot) - (other < 0 ? 0 : changeOf(row, other));
  const detail = detailOf(row, slot, snapshot.facts.output === "value" ? "value" : "output");
  return { ...known, role, detail, slot, other };
}

/** From where to where a map leads: the output with everything hidden, and that of the image. */
function wayOf(row, slot) {
  const rival = row.against === undefined ? 0 : row.outputs[row.against];
  return [row.base[slot], row.outputs[row.explained[slot]] - rival];
}

/** What a map adds up to; not known while it is still to come. */
function changeOf(row, slot) {
  if (!row.base) return NaN;
  const [from, to] = wayOf(row, slot);
  return to - from;
}

/** What is known of a class for an image, in words: its probability, and the way to its output. */
function detailOf(row, slot, output) {
  if (!row.base) return ""; // it is still to come
  const way = alike(...wayOf(row, slot)).join(" \u2192 ");
  const probability = row.probabilities?.[row.explained[slot]];
  if (Number.isFinite(probability)) return `${likelihood(probability)} \u00b7 ${way}`;
  return `${output} ${way}`;
}
