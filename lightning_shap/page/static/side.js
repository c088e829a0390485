// One side of a view: a run, a moment of it, its explanation and its images. Whatever is drawn for a
// side is read from that side, so that no map comes to lie on the photograph of another.

import { usualStyle } from "./paint.js";

const UNITS = { logit: "logits", probability: "of probability" };

export class Side {
  /**
   * letter: "A" or "B"; series: the facts of all explanations of a tag; place: which of them, -1
   * where there are none; explanation and samples: null where they are missing; lacks: sentences
   * about what is.
   */
  constructor({ letter, run, tag, series, place, explanation = null, samples = null, lacks = [] }) {
    Object.assign(this, { letter, run, tag, series, place, explanation, samples, lacks });
    this.facts = series[place] ?? null;
  }

  /** The facts of those explanations of the run that are of the same images. */
  get history() {
    return this.series.filter(({ samples }) => samples === this.facts.samples);
  }

  row(number) {
    return this.facts.rows[number];
  }

  /** What a value of a region counts. */
  get unit() {
    return UNITS[this.facts.output] ?? "";
  }

  /** What colours count, which one unit makes comparable: in old logs it is not written. */
  get colourUnit() {
    return colourUnitOf(this.facts);
  }

  /** The largest value of the run, in the unit of colours. */
  get peak() {
    const alike = this.series.filter((facts) => colourUnitOf(facts) === this.colourUnit);
    return Math.max(...alike.map(({ limit, area }) => ((limit ?? 0) * area) / 100));
  }

  /** Decides how the side is drawn: colours of one unit are on one scale. */
  prepare(view, sides) {
    const alike = sides.filter(({ colourUnit }) => colourUnit === this.colourUnit);
    this.full = Math.max(...alike.map(({ peak }) => peak));
    this.limit = (this.full * 100) / this.facts.area; // of a pixel
    this.look = { ...view, style: view.style || usualStyle(this) };
  }

  /** An image's name, as by its file; images are counted from 0, as in arrays and pictures. */
  titleOf(number) {
    return `Image ${number} ${this.samples?.names[number] ?? ""}`.trim();
  }

  nameOf(number) {
    return this.samples?.classNames[number] ?? `class ${number}`;
  }

  namesOf(numbers) {
    return numbers.map((number) => this.nameOf(number)).join(", ");
  }

  /**
   * The number that another side's class has on this one, by its name; -1 where it has none. Where
   * names are missing, numbers are all there is.
   */
  numberOf(other, number) {
    if (!this.samples || !other.samples || this.nameOf(number) === other.nameOf(number)) return number;
    return this.samples.classNames.indexOf(other.nameOf(number));
  }

  /** The explanation of the untrained network, where there is one. */
  get control() {
    return controlOf(this.series);
  }
}

export function controlOf(series) {
  return series.find(({ step }) => step < 0);
}

function colourUnitOf({ unit, output }) {
  return unit ?? `${output} per 1 % of the image`;
}
