// What a view needs, read from where the data is. Whatever fails is said, and the rest is there.

import { Explanation, Samples } from "./explanation.js";
import { Side, controlOf } from "./side.js";

const AT_HAND = 64; // explanations and photographs that are kept read

export class Reader {
  constructor(source) {
    this.source = source;
    this.time = 0;
    this.growing = new Map();
    this.read = new Map();
    this.trouble = "";
  }

  /** Has what may have grown be asked for again. */
  refresh() {
    this.time += 1;
    this.trouble = "";
  }

  /** The runs, as the source says them. */
  runs() {
    return this.current("runs", () => this.source.runs());
  }

  /** The facts of all explanations of a tag. */
  series(run, tag) {
    return this.current(`${run}\n${tag}`, () => this.source.series(run, tag));
  }

  /** What may grow, as it was when it was last asked for with success. */
  async current(key, ask) {
    const known = this.growing.get(key);
    if (known?.time === this.time) return known.value;
    const { time } = this;
    try {
      this.growing.set(key, { time, value: await ask() });
    } catch (error) {
      if (!known) throw error;
      known.time = time;
      this.trouble = error.message;
    }
    return this.growing.get(key).value;
  }

  /**
   * The sides that a view asks for, and the view with all that it left open.
   *
   * Where nothing was chosen, the run is the one that grew last, and a comparison begins with the
   * first explanation of the same run.
   */
  async sides(asked, runs) {
    const view = { ...asked };
    const has = (run, tag) => runs.some((one) => one.run === run && one.tags.includes(tag));
    if (!has(view.run, view.tag)) {
      const newest = runs.reduce((best, one) => (one.latest > best.latest ? one : best));
      const { run, tags } = runs.find((one) => one.run === view.run) ?? newest;
      Object.assign(view, { run, tag: usualTag(tags), step: null });
    }
    const first = await this.side("A", view.run, view.tag, view.step);
    if (view.compare === "control" && !first.control) view.compare = "";
    if (!view.compare) return { view: { ...view, step: stepOf(first, view.step) }, sides: [first] };
    if (view.compare === "control" || !has(view.run2, view.tag2)) {
      const begin = controlOf(first.series) ?? first.series[0];
      Object.assign(view, { run2: view.run, tag2: view.tag, step2: begin?.step ?? null });
    }
    const second = await this.side("B", view.run2, view.tag2, view.step2);
    view.step = stepOf(first, view.step);
    view.step2 = stepOf(second, view.step2);
    return { view, sides: [first, second] };
  }

  /** One side, with sentences about what of it is missing. */
  async side(letter, run, tag, step) {
    const lacks = [];
    const reason = (error) => `${/[.!?]$/.test(error.message) ? error.message : `${error.message}.`}`;
    let series = [];
    try {
      series = await this.series(run, tag);
      if (!series.length) lacks.push(`The facts of ${run} are missing from its logs.`);
    } catch (error) {
      lacks.push(`The explanations of ${run} could not be loaded: ${reason(error)}`);
    }
    const found = series.findIndex((facts) => facts.step === step);
    const place = found < 0 ? series.length - 1 : found;
    if (place < 0) return new Side({ letter, run, tag, series, place, lacks });
    const facts = series[place];
    const part = async (what, key, work) => {
      try {
        return await this.keep(key, work);
      } catch (error) {
        lacks.push(`${what} of ${letter} could not be loaded: ${reason(error)}`);
        return null;
      }
    };
    const [explanation, samples] = await Promise.all([
      part("The maps", `${run}\n${tag}\n${facts.step}\n${facts.wall_time}`, async () =>
        Explanation.from(await this.source.values(run, tag, facts.step), facts),
      ),
      // The key is that of the content: another run may have it, too.
      part("The photographs and names of classes", facts.samples, async () =>
        Samples.from(await this.source.samples(run, facts.samples)),
      ),
    ]);
    return new Side({ letter, run, tag, series, place, explanation, samples, lacks });
  }

  /** What was read is kept, the latest of it; what failed is asked for again. */
  async keep(key, work) {
    const kept = this.read.get(key) ?? work();
    this.read.delete(key);
    this.read.set(key, kept);
    if (this.read.size > AT_HAND) this.read.delete(this.read.keys().next().value);
    try {
      return await kept;
    } catch (error) {
      this.read.delete(key);
      throw error;
    }
  }
}

/** The step that a view keeps: none stands for the latest, which stays so as a training goes on. */
function stepOf({ facts }, step) {
  return facts && facts.step !== step ? null : step;
}

function usualTag(tags) {
  return tags.find((tag) => !/_(final|best)(\/|$)/.test(tag)) ?? tags[0];
}
