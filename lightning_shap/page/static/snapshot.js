// One explanation of a run: a moment, its maps and its images. Whatever is drawn of it is read from
// it, so that no map comes to lie on the photograph of another.

import { usualStyle } from "./paint.js";

const UNITS = { logit: "logits", probability: "of probability" };

export class Snapshot {
  /**
   * series: the facts of all explanations of a tag; place: which of them, -1 where there are none;
   * explanation and samples: null where they are missing; lacks: sentences about what is.
   */
  constructor({ run, tag, series, place, explanation = null, samples = null, lacks = [] }) {
    Object.assign(this, { run, tag, series, place, explanation, samples, lacks });
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
    return `Image ${number} ${this.samples?.names[number] ?? ""}`.trim();
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
