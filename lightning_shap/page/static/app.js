// The page: one view of one or two explanations, redrawn whenever something in it changes.

import { columnsOf } from "./columns.js";
import { LookControl, SourceControl } from "./controls.js";
import { html, numeral } from "./dom.js";
import { asPng, asSvg, drawLegend, save } from "./export.js";
import { joinedNpz } from "./npz.js";
import { Reader } from "./reader.js";
import { isWanted, pairImages } from "./rows.js";
import { ImageRow } from "./sample.js";
import { settingsOf } from "./settings.js";
import { TrainingNumbers } from "./training_numbers.js";
import { encoded, freshView } from "./view_state.js";

const FIRST_ROWS = 24; // images of a side at once; more on demand
const ENDING = "/explanation";
const HOW_TO =
  "There are no explanations here yet. A training logs them with one line: " +
  "Trainer(callbacks=[lightning_shap.ShapCallback()])";

export class App {
  /**
   * source: where the data is; linkOf: the address of a view, from how it is said; follow: what to
   * do with the address of the view that is shown.
   */
  constructor(root, source, { view = freshView(), linkOf, follow }) {
    this.source = source;
    this.reader = new Reader(source);
    Object.assign(this, { view, linkOf, follow });
    this.rowsShown = FIRST_ROWS;
    this.sides = [];
    this.rows = new Map();
    this.build(root);
  }

  build(root) {
    this.first = new SourceControl("A", (change) => this.move(change, ""));
    this.second = new SourceControl("B", (change) => this.move(change, "2"));
    this.look = new LookControl((change) => this.change(change));
    this.legends = html("span", { class: "legends" });
    this.link = html("a", { target: "_top" }, "Link to this view");
    this.readout = html("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.message = html("p", { class: "message", role: "status" }, "Loading \u2026");
    this.images = html("div", { class: "samples" });
    this.more = html("button", { type: "button", hidden: true, onclick: () => this.showMore() });
    this.numbers = new TrainingNumbers(this.source);
    this.settings = html("div");
    const button = (text, work) => html("button", { type: "button", onclick: work }, text);
    this.tools = html(
      "div",
      { class: "tools" },
      this.legends,
      this.link,
      button("PNG", () => this.download("png")),
      button("SVG", () => this.download("svg")),
      button("Values (NPZ)", () => this.download("npz")),
    );
    this.details = html(
      "div",
      {},
      this.numbers.element,
      html("details", {}, html("summary", {}, "Settings and versions"), this.settings),
    );
    this.controls = [this.first.element, this.second.element, this.look.element];
    this.main = html("main", {}, this.message, this.images, this.more, this.details);
    const header = html("header", { class: "top" }, html("h1", {}, "SHAP"), ...this.controls);
    header.append(this.tools);
    root.append(header, this.main, this.readout);
    this.offerControls([]);
  }

  /** Looks for what is new, as when a training goes on. */
  async reload() {
    this.reader.refresh();
    this.numbers.forget();
    await this.draw();
  }

  /** Draws anew only if there is something new: what somebody points at stays as it is. */
  async lookAgain() {
    const [side] = this.sides;
    if (!side?.facts || this.isLacking) return this.reload();
    try {
      const now = await this.source.series(side.run, side.tag);
      const { series } = side;
      if (now.length === series.length && now.at(-1).wall_time === series.at(-1).wall_time) return;
    } catch {
      // What cannot be asked is said when it is drawn.
    }
    return this.reload();
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
    const { series } = this.sides[end ? 1 : 0];
    const latest = place === series.length - 1; // stays with the training as it goes on
    return this.change({ [`step${end}`]: latest ? null : series[place].step });
  }

  /** Draws the view; of drawings that overtake one another, the last one counts. */
  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.main.setAttribute("aria-busy", "true");
    let [runs, view, sides, problem] = [[], this.view, [], HOW_TO];
    try {
      runs = await this.reader.runs();
      if (runs.length) ({ view, sides } = await this.reader.sides(this.view, runs));
    } catch (error) {
      problem = `The explanations could not be loaded: ${error.message}.`;
    }
    if (turn !== this.turn) return;
    Object.assign(this, { view, sides });
    this.show(runs, runs.length ? "" : problem);
    this.main.setAttribute("aria-busy", "false");
    document.documentElement.dataset.drawn = String(turn);
  }

  /** Shows what there is of the sides, and says what there is not. */
  show(runs, problem) {
    const { sides, view } = this;
    const { trouble } = this.reader;
    const lacks = sides.flatMap((side) => side.lacks);
    if (trouble) lacks.unshift(`${trouble}: what was read before is still shown.`);
    this.isLacking = lacks.length > 0;
    const there = sides.filter(({ facts }) => facts);
    for (const side of there) side.prepare(view, there);
    this.offerControls(runs);
    const said = there.length ? this.showRows(there) : [];
    [this.pairing] = said;
    if (!there.length) this.images.replaceChildren();
    const words = [problem, ...lacks, ...said].filter(Boolean);
    this.message.replaceChildren(...words.map((line) => html("span", {}, line)));
    this.showLegends(there);
    this.settings.replaceChildren(
      ...there.flatMap((side) => [
        there.length > 1 ? html("b", { class: "letter" }, side.letter) : null,
        settingsOf(side),
      ].filter(Boolean)),
    );
    this.link.href = this.linkOf(encoded(view));
    if (there.length) this.follow(this.link.href);
    this.numbers.show(there[0], there.length > 1);
  }

  /** Shows the images; returns sentences about those that are not. */
  showRows(sides) {
    const { view } = this;
    const [first, second] = sides;
    const { groups, said } = pairImages(sides);
    const chosen = groups.map((rows) => rows.filter((row) => isWanted(row, view, first)));
    const shown = chosen.flatMap((rows) => rows.slice(0, this.rowsShown));
    const isSame = second && ["run", "tag"].every((name) => first[name] === second[name]);
    const steps = sides.map(({ facts }) => facts.step);
    this.shown = shown.map((members) => {
      const key = members.map(({ side, number }) => `${side.letter}${number}`).join();
      if (!this.rows.has(key)) this.rows.set(key, new ImageRow((words) => this.say(words)));
      const row = this.rows.get(key);
      const isOneCurve = isSame && members[1] && first.facts.samples === second.facts.samples;
      row.show(
        members.map((member, at) => ({
          ...member,
          columns: columnsOf(member, view, first, members[0]),
          marks: isOneCurve ? [steps, null][at] : [member.side.facts.step],
          isOfTwo: sides.length > 1,
        })),
      );
      return row;
    });
    const elements = this.shown.map(({ element }) => element);
    const same = elements.length === this.images.children.length;
    if (!same || elements.some((element, at) => element !== this.images.children[at])) {
      this.images.replaceChildren(...elements);
    }
    const left = chosen.flat().length - shown.length;
    this.more.hidden = !left;
    this.more.textContent = `Show ${left} more`;
    return [said, shown.length ? "" : "No image is of this kind."];
  }

  /** Offers what can be chosen; without data there is nothing to choose. */
  offerControls(runs) {
    const { sides, view } = this;
    const [first, second] = sides;
    const lead = sides.find(({ facts }) => facts);
    for (const element of [...this.controls, this.tools, this.details]) element.hidden = !lead;
    const sources = runs.flatMap(({ run, tags }) =>
      tags.map((tag) => [JSON.stringify([run, tag]), nameOf(run, tag)]),
    );
    [this.first, this.second].forEach((control, at) => {
      const side = sides[at];
      control.element.hidden = !side;
      if (!side) return control.stop();
      const { run, tag, series, place } = side;
      const moments = series.map(momentOf);
      control.show({ sources, source: JSON.stringify([run, tag]), moments, place });
    });
    if (view.compare === "control") {
      this.second.slider.disabled = this.second.play.disabled = true;
      this.second.stop();
    }
    this.second.source.disabled = view.compare === "control";
    if (!lead) return;
    const numbers = lead.facts.rows.flatMap((row) => [...row.explained, ...row.true]);
    const classes = [...new Set(numbers)]
      .sort((a, b) => a - b)
      .map((number) => [String(number), lead.nameOf(number)]);
    const hasErrors = sides.some(({ facts }) => facts?.has_errors);
    this.look.show(lead.look, { classes, hasControl: Boolean(first.control), hasErrors });
  }

  /** Shows what colours count: once for all sides that are drawn alike. */
  showLegends(sides) {
    const known = new Map();
    for (const { letter, look, full, colourUnit } of sides) {
      const words = `\u00b1${numeral(full)} ${colourUnit}`;
      const key = JSON.stringify([words, look.style]);
      known.set(key, { letters: [...(known.get(key)?.letters ?? []), letter], words, look });
    }
    this.legendsDrawn = [...known.values()];
    this.legends.replaceChildren(
      ...this.legendsDrawn.map(({ letters, words, look }) => {
        const canvas = drawLegend(html("canvas", { width: 160, height: 10 }), look);
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", "From blue, which lowers, to red, which raises");
        const whose = known.size > 1 ? `${letters.join()} \u00b7 ` : "";
        return html("span", { class: "legend" }, `${whose}lowers `, canvas, " raises ", words);
      }),
    );
  }

  showMore() {
    this.rowsShown += FIRST_ROWS;
    this.draw();
  }

  say(words) {
    this.readout.textContent = words;
  }

  /** Saves the view as a picture, or the arrays of the first side, those that there are. */
  async download(kind) {
    const there = this.sides.filter(({ facts }) => facts);
    const [side] = there;
    const name = `${[side.run, side.tag, side.facts.step].join("-").replace(/[^\w.-]+/g, "_")}.${kind}`;
    if (kind === "npz") {
      const { run, tag, facts } = side;
      const parts = await Promise.allSettled([
        this.source.values(run, tag, facts.step),
        this.source.samples(run, facts.samples),
      ]);
      if (parts[0].value) save(joinedNpz(parts.map(({ value }) => value).filter(Boolean)), name);
      else this.say(`The values could not be loaded: ${parts[0].reason.message}.`);
      return;
    }
    const title = there.map((one) => `${nameOf(one.run, one.tag)}, ${momentOf(one.facts)}`);
    const rows = this.shown.flatMap(({ views }) => views.map((view) => view.cells));
    const legends = this.legendsDrawn.map(({ letters, words, look }) => ({
      words: `${there.length > 1 ? `${letters.join(", ")} \u00b7 ` : ""}lowers to raises: ${words}`,
      look,
    }));
    const sheet = { title: title.join(" | "), note: this.pairing, legends, rows };
    save(kind === "png" ? await asPng(sheet) : asSvg(sheet), name);
  }
}

function nameOf(run, tag) {
  const short = tag.endsWith(ENDING) ? tag.slice(0, -ENDING.length) : tag;
  return short === run ? run : `${run} \u00b7 ${short}`;
}

function momentOf({ title, step, epoch }) {
  if (title) return title;
  return epoch === null ? `step ${step}` : `epoch ${epoch} \u00b7 step ${step}`;
}
