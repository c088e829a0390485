// What a view needs, read from where the data is. Whatever fails is said, and the rest is there.

import { Explanation, Samples } from "./explanation.js";
import { completed } from "./points.js";
import { Snapshot, momentOf } from "./snapshot.js";

const AT_HAND = 1024; // explanations and photographs that are kept read
const AT_ONCE = 8; // that are asked for

export class Reader {
  constructor(source) {
    this.source = source;
    this.time = 0;
    this.growing = new Map();
    this.read = new Map();
    this.there = new Map();
    this.trouble = "";
    this.busy = 0;
    this.waiting = [];
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
    return this.current(`${run}\n${tag}`, async () =>
      Promise.all((await this.source.series(run, tag)).map(completed)),
    );
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
   * The explanation that a view is of, and the view with all that it left open.
   *
   * Where nothing was chosen, the run is the one that grew last.
   */
  async lead(asked, runs) {
    const view = { ...asked };
    if (!runs.some(({ run, tags }) => run === view.run && tags.includes(view.tag))) {
      const newest = runs.reduce((best, one) => (one.latest > best.latest ? one : best));
      const { run, tags } = runs.find((one) => one.run === view.run) ?? newest;
      Object.assign(view, { run, tag: usualTag(tags), step: run === view.run ? view.step : null });
    }
    const { run, tag } = view;
    let series = [];
    let lack = `The facts of ${run} are missing from its logs.`;
    try {
      series = await this.series(run, tag);
    } catch (error) {
      lack = `The explanations of ${run} could not be loaded: ${reasonOf(error)}`;
    }
    if (!series.length) {
      return { view, lead: new Snapshot({ run, tag, series, place: -1, lacks: [lack] }) };
    }
    const found = series.findIndex((facts) => facts.step === view.step);
    if (found < 0) view.step = null; // the latest, which stays so as a training goes on
    const place = found < 0 ? series.length - 1 : found;
    return { view, lead: await this.snapshot({ run, tag, series, place }) };
  }

  /** A snapshot of which some images were read before, null for another. */
  known({ run, tag, series, place }, numbers) {
    const kept = this.there.get(keyOf(run, tag, series[place]));
    if (!kept) return null;
    Object.assign(kept, { series, place, facts: series[place] });
    return [...kept.piecesOf(numbers)].every((piece) => kept.pieces.has(piece)) ? kept : null;
  }

  /** A snapshot with some images, and with sentences about what of it is missing. */
  async snapshot({ run, tag, series, place }, numbers = []) {
    const key = keyOf(run, tag, series[place]);
    const made = this.there.get(key) ?? new Snapshot({ run, tag, series, place });
    Object.assign(made, { series, place, facts: series[place] });
    const missing = [...made.piecesOf(numbers)].filter((piece) => !made.pieces.has(piece));
    await Promise.all(missing.map((piece) => this.readPiece(made, piece)));
    if (made.lacks.length) this.there.delete(key);
    else this.there.set(key, made);
    if (this.there.size > AT_HAND) this.there.delete(this.there.keys().next().value);
    return made;
  }

  async readPiece(snapshot, piece) {
    const { run, tag, facts, lacks } = snapshot;
    const part = async (what, key, work) => {
      try {
        return await this.keep(`${key}\n${piece}`, work);
      } catch (error) {
        lacks.push(`${what} could not be loaded: ${reasonOf(error)}`);
        return null;
      }
    };
    const [explanation, samples] = await Promise.all([
      part(`The maps of ${momentOf(facts)}`, keyOf(run, tag, facts), async () =>
        Explanation.from(await this.source.values(run, tag, facts, piece)),
      ),
      // The key is that of the content: another run may have it, too.
      part(`The photographs and names of classes of ${run}`, facts.samples, async () =>
        Samples.from(await this.source.samples(run, facts, piece)),
      ),
    ]);
    snapshot.add(piece, { explanation, samples });
  }

  /** What was read is kept, the latest of it; what failed is asked for again. */
  async keep(key, work) {
    const kept = this.read.get(key) ?? this.inTurn(work);
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

  /** Does some work once there is room; what was asked for last comes first. */
  async inTurn(work) {
    if (this.busy >= AT_ONCE) await new Promise((go) => this.waiting.push(go));
    this.busy += 1;
    try {
      return await work();
    } finally {
      this.busy -= 1;
      this.waiting.pop()?.();
    }
  }
}

function keyOf(run, tag, { step, wall_time: time }) {
  return `${run}\n${tag}\n${step}\n${time}`;
}

function reasonOf({ message }) {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

/** The tag that a run is shown by. */
export function usualTag(tags) {
  return tags.find((tag) => !/_(final|best|classes)(\/|$)/.test(tag)) ?? tags[0];
}
