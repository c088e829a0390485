// The page: one view of one or two explanations, redrawn whenever something in it changes.

import { LookControl, SourceControl } from "./controls.js";
import { chart } from "./curves.js";
import { html, numeral } from "./dom.js";
import { Explanation, Samples } from "./explanation.js";
import { asPng, asSvg, drawLegend, save } from "./export.js";
import { joinedNpz } from "./npz.js";
import { usualStyle } from "./paint.js";
import { SampleRow, detailOf } from "./sample.js";
import { encoded, freshView } from "./view_state.js";

const AT_HAND = 64; // explanations that are kept read
const FIRST_ROWS = 24; // samples at once; more on demand
const ENDING = "/explanation";
const UNITS = { logit: "logits", probability: "of probability", value: "" };

export class App {
  /** source: where the data is; linkOf: the address of a view, from how it is said. */
  constructor(root, source, { view = freshView(), linkOf }) {
    this.source = source;
    this.view = view;
    this.linkOf = linkOf;
    this.rowsShown = FIRST_ROWS;
    this.runs = {};
    this.seriesOf = new Map();
    this.read = new Map();
    this.rows = new Map();
    this.build(root);
  }

  build(root) {
    this.first = new SourceControl("A", (change) => this.move(change, ""));
    this.second = new SourceControl("B", (change) => this.move(change, "2"));
    this.look = new LookControl((change) => this.change(change));
    this.scale = html("span");
    this.legendCanvas = html("canvas", { width: 160, height: 10 });
    this.legendCanvas.setAttribute("role", "img");
    this.legendCanvas.setAttribute("aria-label", "From blue, which lowers, to red, which raises");
    this.link = html("a", { target: "_top" }, "Link to this view");
    this.readout = html("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.message = html("p", { class: "message", role: "status" });
    this.samples = html("div", { class: "samples" });
    this.more = html("button", { type: "button", hidden: true, onclick: () => this.showMore() });
    this.metrics = html("div", { class: "metrics" });
    this.metricsBox = html(
      "details",
      { ontoggle: () => this.drawMetrics() },
      html("summary", {}, "Numbers of the training"),
      this.metrics,
    );
    this.settings = html("dl");
    const button = (text, work) => html("button", { type: "button", onclick: work }, text);
    root.append(
      html(
        "header",
        { class: "top" },
        html("h1", {}, "SHAP"),
        this.first.element,
        this.second.element,
        this.look.element,
        html(
          "div",
          { class: "tools" },
          html("span", { class: "legend" }, "lowers ", this.legendCanvas, " raises ", this.scale),
          this.link,
          button("PNG", () => this.download("png")),
          button("SVG", () => this.download("svg")),
          button("Values (NPZ)", () => this.download("npz")),
        ),
      ),
      html(
        "main",
        {},
        this.message,
        this.samples,
        this.more,
        this.metricsBox,
        html("details", {}, html("summary", {}, "Settings and versions"), this.settings),
      ),
      this.readout,
    );
  }

  /** Looks for what is new, as when a training goes on. */
  async reload() {
    this.seriesOf.clear();
    this.scalars = null;
    await this.draw();
  }

  change(change) {
    Object.assign(this.view, change);
    return this.draw();
  }

  move({ source, place }, end) {
    if (source !== undefined) {
      const [run, tag] = JSON.parse(source);
      return this.change({ [`run${end}`]: run, [`tag${end}`]: tag, [`step${end}`]: null });
    }
    const series = this.sides[end ? 1 : 0].series;
    const latest = place === series.length - 1; // stays with the training as it goes on
    return this.change({ [`step${end}`]: latest ? null : series[place].step });
  }

  /** Draws the view; of drawings that overtake one another, the last one counts. */
  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const sides = await this.load();
      if (turn !== this.turn) return;
      this.sides = sides;
      this.message.textContent = sides.length ? "" : "There are no explanations yet.";
      if (sides.length) this.show(sides);
    } catch (error) {
      if (turn === this.turn) this.message.textContent = `This could not be loaded: ${error.message}`;
    }
    document.documentElement.dataset.drawn = String(turn);
  }

  async load() {
    const { view } = this;
    if (!this.seriesOf.size) this.runs = await this.source.runs();
    const [usualRun] = Object.keys(this.runs);
    if (usualRun === undefined) return [];
    if (!this.runs[view.run]?.includes(view.tag)) {
      const run = view.run in this.runs ? view.run : usualRun;
      Object.assign(view, { run, tag: usualTag(this.runs[run]), step: null });
    }
    const series = await this.series(view.run, view.tag);
    const wanted = [{ letter: "A", run: view.run, tag: view.tag, series, step: view.step }];
    if (view.compare === "control") {
      const place = { letter: "B", run: view.run, tag: view.tag, series };
      wanted.push({ ...place, step: controlOf(series)?.step ?? series[0].step });
    } else if (view.compare === "other") {
      if (!this.runs[view.run2]?.includes(view.tag2)) {
        Object.assign(view, { run2: view.run, tag2: view.tag, step2: series[0].step });
      }
      const other = await this.series(view.run2, view.tag2);
      wanted.push({ letter: "B", run: view.run2, tag: view.tag2, series: other, step: view.step2 });
    }
    return Promise.all(wanted.map((side) => this.side(side)));
  }

  async side(side) {
    const { series, step } = side;
    const found = series.findIndex((facts) => facts.step === step);
    const place = found < 0 ? series.length - 1 : found;
    const facts = series[place];
    const [explanation, samples] = await Promise.all([
      this.keep(`${side.run}\n${side.tag}\n${facts.step}\n${facts.wall_time}`, async () =>
        Explanation.from(await this.source.values(side.run, side.tag, facts.step), facts),
      ),
      this.keep(`${side.run}\n${facts.samples}`, async () =>
        Samples.from(await this.source.samples(side.run, facts.samples)),
      ),
    ]);
    return { ...side, place, facts, explanation, samples };
  }

  async series(run, tag) {
    const key = `${run}\n${tag}`;
    if (!this.seriesOf.has(key)) this.seriesOf.set(key, await this.source.series(run, tag));
    return this.seriesOf.get(key);
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

  show(sides) {
    const { view } = this;
    const [first, second] = sides;
    this.limit = Math.max(...sides.flatMap(({ series }) => series.map(({ limit }) => limit ?? 0)));
    this.unit = UNITS[first.facts.output] ?? "";
    const [words, pixels] = unitOf(first.facts);
    this.scale.textContent = `\u00b1${numeral(this.limit * pixels)} ${words}`;
    const usual = usualStyle(first.explanation, first.samples);
    this.drawn = { ...view, style: view.style || usual };
    drawLegend(this.legendCanvas, this.drawn);
    this.showControls(sides);
    const { rows } = first.facts;
    const chosen = rows.map((_, number) => number).filter((number) => this.isWanted(number, sides));
    const shown = chosen.slice(0, this.rowsShown);
    const marks = sides
      .filter(({ run, tag }) => run === first.run && tag === first.tag)
      .map(({ facts }) => facts.step);
    for (const number of shown) {
      if (!this.rows.has(number)) {
        this.rows.set(number, new SampleRow(number, (words) => this.say(words)));
      }
      const seen = second && !second.facts.rows[number] ? [first] : sides;
      const order = first.facts.rows[number].explained;
      const columns = seen.map((side) => this.columns(side, number, order));
      const { limit } = this;
      const row = this.rows.get(number);
      row.show({ sides: seen, columns, limit, look: this.drawn, series: first.series, marks });
    }
    this.shown = shown;
    const elements = shown.map((number) => this.rows.get(number).element);
    const same = elements.length === this.samples.children.length;
    if (!same || elements.some((element, at) => element !== this.samples.children[at])) {
      this.samples.replaceChildren(...elements);
    }
    if (!chosen.length) this.message.textContent = "No sample is of this kind.";
    this.more.hidden = chosen.length <= shown.length;
    this.more.textContent = `Show ${chosen.length - shown.length} more`;
    this.showSettings(first.facts);
    this.link.href = this.linkOf(encoded(view));
    this.drawMetrics();
  }

  showControls(sides) {
    const { view } = this;
    const sources = Object.entries(this.runs).flatMap(([run, tags]) =>
      tags.map((tag) => [JSON.stringify([run, tag]), nameOf(run, tag)]),
    );
    const controls = [this.first, this.second];
    sides.forEach(({ run, tag, series, place }, at) => {
      const moments = series.map(momentOf);
      controls[at].show({ sources, source: JSON.stringify([run, tag]), moments, place });
    });
    this.second.element.hidden = sides.length < 2;
    const isControl = view.compare === "control";
    this.second.slider.disabled ||= isControl;
    this.second.play.disabled ||= isControl;
    this.second.source.disabled = isControl;
    if (sides.length < 2 || isControl) this.second.stop();
    const [{ facts, samples, series }] = sides;
    const numbers = [...new Set(facts.rows.flatMap(({ explained, true: t }) => [...explained, ...t]))];
    const classes = numbers
      .sort((a, b) => a - b)
      .map((number) => [String(number), samples.classNames[number] ?? String(number)]);
    const hasErrors = sides.some((side) => side.facts.has_errors);
    this.look.show(this.drawn, { classes, hasControl: Boolean(controlOf(series)), hasErrors });
  }

  /** Which maps of a sample one side shows. */
  columns({ facts, explanation, samples }, number, order) {
    const { view, unit } = this;
    const row = facts.rows[number];
    const nameOfClass = (one) => samples.classNames[one] ?? String(one);
    // Both sides have their classes in the order of the first.
    const all = [...new Set([...order, ...row.explained])];
    const wanted = view.shown === "each" ? all : [Number(view.shown)];
    const columns = [];
    for (const one of wanted) {
      const slot = explanation.slotOf(number, one);
      if (slot < 0) continue;
      const rival = view.shown === "each" || view.against === "" ? -1 : Number(view.against);
      const other = rival < 0 ? -1 : explanation.slotOf(number, rival);
      if (rival >= 0 && (other < 0 || other === slot)) continue;
      // Of a contrast, the explanation itself is of a difference.
      const rivals = [row.against, other < 0 ? undefined : rival].filter((n) => n !== undefined);
      const name = [one, ...rivals].map(nameOfClass).join(" rather than ");
      const detail = detailOf(row, one, slot, facts.output === "value" ? "value" : "output");
      columns.push({ key: one, name, detail, slot, other, unit });
    }
    return columns;
  }

  isWanted(number, sides) {
    const { view } = this;
    const [{ facts, series }, second] = sides;
    const row = facts.rows[number];
    if (view.filter === "mistakes" && row.right !== false) return false;
    if (view.filter === "changed") {
      const before = (second ? second.facts : series[0]).rows[number];
      if (!before || String(before.predicted) === String(row.predicted)) return false;
    }
    const only = Number(view.only);
    if (view.only !== "" && !row.true.includes(only) && !row.predicted.includes(only)) return false;
    return view.shown === "each" || row.explained.includes(Number(view.shown));
  }

  showMore() {
    this.rowsShown += FIRST_ROWS;
    this.draw();
  }

  showSettings(facts) {
    const { rows } = facts;
    const largest = (numbers) => Math.max(...numbers.flat().filter(Number.isFinite));
    const said = {
      title: facts.title,
      method: facts.method,
      "evaluations an image": `${facts.max_evals} allowed, ${largest(rows.map((r) => r.evaluations))} used`,
      regions: `up to ${largest(rows.map((r) => r.regions))}`,
      grid: facts.grid?.join(" \u00d7 "),
      masker: facts.masker,
      output: facts.output,
      seed: facts.seed,
      "largest additivity gap": numeral(largest(rows.map((r) => r.gap))),
      seconds: `${numeral(facts.seconds)}, ${numeral(facts.model_seconds)} of it in the model`,
      "shown as": facts.cell > 1 ? `sums over ${facts.cell} \u00d7 ${facts.cell} pixels` : undefined,
      images: facts.notes.join("; ") || undefined,
      "lightning_shap": facts.version,
      "format of the data": facts.format,
    };
    const known = Object.entries(said).filter(([, value]) => value !== undefined && value !== null);
    this.settings.replaceChildren(
      ...known.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, String(value))]),
    );
  }

  async drawMetrics() {
    if (!this.metricsBox.open || !this.sides?.length) return;
    const [side] = this.sides;
    try {
      if (!this.scalars || this.scalarsOf !== side.run) {
        this.scalars = await this.source.scalars(side.run);
        this.scalarsOf = side.run;
      }
    } catch (error) {
      this.metrics.replaceChildren(html("p", {}, `They could not be loaded: ${error.message}`));
      return;
    }
    const marks = [side.facts.step];
    const curves = Object.entries(this.scalars).filter(([, points]) => points.length);
    this.metrics.replaceChildren(
      ...(curves.length ? [] : [html("p", {}, "There are none.")]),
      ...curves.map(([name, points]) =>
        html(
          "figure",
          {},
          html("figcaption", {}, `${name} ${numeral(nearest(points, side.facts.step))}`),
          chart({ lines: [{ name, points }], marks, title: name }),
        ),
      ),
    );
  }

  say(words) {
    this.readout.textContent = words;
  }

  async download(kind) {
    if (!this.sides?.length) return;
    const [side] = this.sides;
    const name = `${[side.run, side.tag, side.facts.step].join("-").replace(/[^\w.-]+/g, "_")}.${kind}`;
    if (kind === "npz") {
      const { run, tag, facts } = side;
      const buffers = [
        await this.source.values(run, tag, facts.step),
        await this.source.samples(run, facts.samples),
      ];
      save(joinedNpz(buffers), name);
      return;
    }
    const title = this.sides.map((one) => `${nameOf(one.run, one.tag)}, ${momentOf(one.facts)}`);
    const rows = this.shown.map((number) => {
      const row = this.rows.get(number);
      return {
        heading: row.heading.textContent,
        verdict: row.verdict.textContent,
        photograph: row.canvas,
        figures: row.drawnFigures.map(({ canvas, name: words, detail }) => ({
          name: words.textContent,
          detail: detail.textContent,
          canvas,
        })),
      };
    });
    const scale = this.scale.textContent;
    const view = { title: title.join(" | "), rows, scale, look: this.drawn };
    save(kind === "png" ? await asPng(view) : asSvg(view), name);
  }
}

/** What colours count, and over how many pixels: one alone says nothing to a reader. */
function unitOf({ unit, area, output }) {
  return [unit ?? `${output} per 1 % of the image`, area / 100]; // old logs do not say it
}

function usualTag(tags) {
  return tags.find((tag) => !/_(final|best)(\/|$)/.test(tag)) ?? tags[0];
}

function controlOf(series) {
  return series.find(({ step }) => step < 0);
}

function nameOf(run, tag) {
  const short = tag.endsWith(ENDING) ? tag.slice(0, -ENDING.length) : tag;
  return short === run ? run : `${run} \u00b7 ${short}`;
}

function momentOf({ title, step, epoch }) {
  if (title) return title;
  return epoch === null ? `step ${step}` : `epoch ${epoch} \u00b7 step ${step}`;
}

function nearest(points, step) {
  const before = points.filter(([at]) => at <= step);
  return (before.at(-1) ?? points[0])[1];
}
