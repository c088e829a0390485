// One explanation of a run: a moment, its maps and its images. Whatever is drawn of it is read from
// it, so that no map comes to lie on the photograph of another. Of many images it comes in pieces.

import { usualStyle } from "./paint.js";

const UNITS = { logit: "logits", probability: "of probability" };
const NOTHING = { explanation: null, samples: null };

export class Snapshot {
  /**
   * series: the facts of all explanations of a tag; place: which of them, -1 where there are none;
   * lacks: sentences about what is missing.
   */
  constructor({ run, tag, series, place, lacks = [] }) {
    Object.assign(this, { run, tag, series, place, lacks, pieces: new Map() });
    this.facts = series[place] ?? null;
  }

  /** Which pieces some images are in; the first is there always. */
  piecesOf(numbers) {
    const { piece } = this.facts;
    return new Set([0, ...(piece ? numbers.map((number) => Math.floor(number / piece)) : [])]);
  }

  /** Has a piece: {explanation, samples}, null where they are missing. */
  add(piece, parts) {
    this.pieces.set(piece, parts);
  }

  /** Where an image is: {explanation, samples, number}, its number being that in its piece. */
  at(number) {
    const size = this.facts.piece ?? Infinity;
    const piece = Math.floor(number / size);
    return { ...(this.pieces.get(piece) ?? NOTHING), number: number - (piece && piece * size) };
  }

  /** Whether an image is still to come. */
  isComing(number) {
    return !this.pieces.has(Math.floor(number / (this.facts.piece ?? Infinity)));
  }

  /** The first images', as of all of which something is asked. */
  get explanation() {
    return this.pieces.get(0)?.explanation ?? null;
  }

  get samples() {
    return this.pieces.get(0)?.samples ?? null;
  }

  /** The facts of those explanations of the run that are of the same images. */
  get history() {
    return this.series.filter(({ samples }) => samples === this.facts.samples);
  }

  row(number) {
    const { explanation, number: at } = this.at(number);
    return explanation?.rows?.[at] ?? this.facts.rows[number];
  }

  /** What a value of a region counts. */
  get unit() {
    return UNITS[this.facts.output] ?? "";
  }

  /** What colours count for each hundredth of an image: in old logs it is not written. */
  get colourUnit() {
    return colourUnitOf(this.facts);
  }

  /** The largest value of the run, in that unit. */
  get peak() {
    const alike = this.series.filter((facts) => colourUnitOf(facts) === this.colourUnit);
    return Math.max(...alike.map(({ limit, area }) => ((limit ?? 0) * area) / 100));
  }

  /** How a view draws its maps. */
  lookOf(view) {
    return { ...view, style: view.style || usualStyle(this) };
  }

  /** An image's name, as by its file; images are counted from 0, as in arrays and pictures. */
  titleOf(number) {
    const { samples, number: at } = this.at(number);
    return `Image ${number} ${samples?.names[at] ?? ""}`.trim();
  }

  nameOf(number) {
    return this.samples?.classNames[number] ?? `class ${number}`;
  }

  namesOf(numbers) {
    return numbers.map((number) => this.nameOf(number)).join(", ");
  }

  /**
   * The number that another's class has here, by its name; -1 where it has none. Where names are
   * missing, numbers are all there is.
   */
  numberOf(other, number) {
    if (!this.samples || !other.samples || this.nameOf(number) === other.nameOf(number))
      return number;
    return this.samples.classNames.indexOf(other.nameOf(number));
  }

  /** When it was, in words. */
  get moment() {
    return momentOf(this.facts);
  }
}

/** When an explanation was made, in words. */
export function momentOf({ title, step, epoch }) {
  if (title) return title;
  return epoch === null ? `step ${step}` : `epoch ${epoch} \u00b7 step ${step}`;
}

/** The same, above a column. */
export function shortMomentOf({ title, step, epoch }) {
  if (step < 0) return "untrained";
  if (epoch !== null && epoch !== undefined) return `epoch ${epoch}`;
  return title || `step ${step}`;
}

function colourUnitOf({ unit, output }) {
  return unit ?? `${output} per 1 % of the image`;
}
