// One sample: its photograph, its maps, and its classes through the epochs.

import { chart, swatch } from "./curves.js";
import { alike, html, likelihood, numeral, percent } from "./dom.js";
import { isHidden, paint } from "./paint.js";

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** A map that can be pointed at and walked through region by region. */
class MapFigure {
  constructor(say) {
    this.say = say;
    this.marked = null;
    this.canvas = html("canvas");
    this.button = html(
      "button",
      {
        type: "button",
        class: "map",
        onpointermove: (event) => this.pointed(event),
        onpointerdown: (event) => this.pointed(event),
        onpointerleave: () => this.mark(null),
        onfocus: () => this.button.matches(":focus-visible") && this.move(0),
        onblur: () => this.mark(null),
        onkeydown: (event) => this.key(event),
      },
      this.canvas,
    );
    this.name = html("strong");
    this.detail = html("span");
    this.element = html("figure", {}, html("figcaption", {}, this.name, this.detail), this.button);
  }

  show(drawn) {
    this.drawn = drawn;
    this.name.textContent = drawn.name;
    this.detail.textContent = drawn.detail;
    const [first] = drawn.found.ranked;
    this.button.setAttribute(
      "aria-label",
      `${drawn.name}, ${drawn.detail}. Strongest: ${this.words(first)}. ` +
        "Arrow keys go through the regions.",
    );
    if (this.marked !== null && !drawn.found.sizes[this.marked]) this.marked = null;
    this.paint();
    if (this.marked !== null) this.sayMarked();
  }

  paint() {
    paint(this.canvas, { ...this.drawn, marked: this.marked });
  }

  mark(region) {
    if (region === this.marked) return;
    this.marked = region;
    this.paint();
    this.sayMarked();
  }

  sayMarked() {
    const { marked } = this;
    this.say(marked === null ? "" : `${this.drawn.name}: ${this.words(marked)}`);
  }

  pointed(event) {
    const { explanation, sample } = this.drawn;
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * explanation.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * explanation.height);
    const inside = x >= 0 && y >= 0 && x < explanation.width && y < explanation.height;
    this.mark(inside ? explanation.mapOf(sample)[y * explanation.width + x] : null);
  }

  key(event) {
    if (event.key === "Escape") this.mark(null);
    else if (event.key === "Home") this.move(-Infinity);
    else if (event.key === "End") this.move(Infinity);
    else if (event.key in MOVES) this.move(MOVES[event.key]);
    else return;
    event.preventDefault();
  }

  move(by) {
    const { ranked } = this.drawn.found;
    const place = ranked.indexOf(this.marked) + by;
    this.mark(ranked[Math.max(0, Math.min(ranked.length - 1, place))]);
  }

  words(region) {
    const { explanation, found, limit, look, unit } = this.drawn;
    const error = found.errors ? ` \u00b1 ${numeral(found.errors[region])}` : "";
    const size = found.sizes[region] / (explanation.width * explanation.height);
    const hidden = isHidden(found, region, limit, look) ? ", hidden as weak" : "";
    return (
      `${numeral(found.values[region], { sign: true, digits: 5 })}${error} ${unit}, ` +
      `${percent(found.share(region))} of all attribution, on ${percent(size)} of the image${hidden}`
    );
  }
}

/** The row of a sample, which stays the same element as what it shows changes. */
export class SampleRow {
  constructor(number, say) {
    this.number = number;
    this.say = say;
    this.figures = new Map();
    this.heading = html("h2");
    this.verdict = html("p", { class: "verdict" });
    this.photograph = html("figure", { class: "photograph" });
    this.maps = html("div", { class: "maps" });
    this.curve = html("div", { class: "curve" });
    this.element = html(
      "section",
      { class: "sample" },
      html("header", {}, this.heading, this.verdict),
      this.photograph,
      this.maps,
      this.curve,
    );
    this.element.setAttribute("aria-label", `Sample ${number + 1}`);
  }

  /**
   * sides: one or two of {letter, explanation, samples, facts}; columns: per side, what to show,
   * {name, detail, slot, other, unit}; limit and look as for `paint`; series: what curves show.
   */
  show({ sides, columns, limit, look, series, marks }) {
    const [{ samples, facts }] = sides;
    const row = facts.rows[this.number];
    this.heading.textContent = `${this.number + 1} ${samples.names[this.number] ?? ""}`.trim();
    this.verdict.replaceChildren(...verdictOf(row, samples.classNames));
    this.showPhotograph(samples);
    const wanted = sides.flatMap((side, place) =>
      columns[place].map((column) => ({ ...column, side, key: `${side.letter}${column.key}` })),
    );
    for (const { side, ...column } of wanted) {
      if (!this.figures.has(column.key)) this.figures.set(column.key, new MapFigure(this.say));
      const figure = this.figures.get(column.key);
      const { explanation } = side;
      const found = explanation.valuesOf(this.number, column.slot, column.other);
      const sample = this.number;
      const name = sides.length > 1 ? `${side.letter} \u00b7 ${column.name}` : column.name;
      const ground = { photograph: this.canvas, dark: side.samples.areDark };
      figure.show({ ...column, ...ground, name, explanation, sample, found, limit, look });
    }
    this.place(sides.map(({ letter }, at) => columns[at].map(({ key }) => `${letter}${key}`)));
    this.drawnFigures = wanted.map(({ key }) => this.figures.get(key));
    this.showCurve(series, samples.classNames, row, marks);
  }

  /** Puts the figures in their places, a line for each side, and leaves alone what is there. */
  place(keys) {
    const wanted = JSON.stringify(keys);
    if (this.placed === wanted) return;
    this.placed = wanted;
    const lines = keys.map((line) =>
      html("div", { class: "line-of-maps" }, ...line.map((key) => this.figures.get(key).element)),
    );
    this.maps.replaceChildren(...lines);
  }

  showPhotograph(samples) {
    if (this.samples === samples) return;
    this.samples = samples;
    this.canvas = samples.photograph(this.number);
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `The image of sample ${this.number + 1}`);
    if (Math.max(samples.width, samples.height) <= 96) this.canvas.classList.add("crisp");
    this.photograph.replaceChildren(html("figcaption", {}, html("strong", {}, "Image")), this.canvas);
  }

  showCurve(series, classNames, row, marks) {
    if (series.length < 2) {
      this.curve.replaceChildren();
      return;
    }
    // A class has the same line in all curves of the page.
    const everywhere = series.at(-1).rows.flatMap(({ explained }) => explained);
    const order = [...new Set([...everywhere, ...row.explained])].sort((a, b) => a - b);
    const known = row.probabilities ? "probabilities" : "outputs";
    const lines = row.explained.slice(0, 6).map((number) => ({
      name: classNames[number] ?? String(number),
      look: order.indexOf(number),
      points: series
        .map((facts) => [facts.step, facts.rows[this.number]?.[known]?.[number]])
        .filter(([, value]) => Number.isFinite(value)),
    }));
    const range = row.probabilities ? [0, 1] : undefined;
    this.curve.replaceChildren(
      html("p", {}, row.probabilities ? "Probabilities, 0 to 1" : "Outputs"),
      chart({ lines, marks, range, title: `Sample ${this.number + 1}, ${known}` }),
      html(
        "ul",
        { class: "key" },
        ...lines.map((line) => html("li", {}, swatch(line.look), line.name)),
      ),
    );
  }
}

function verdictOf(row, classNames) {
  const named = (numbers) => numbers.map((number) => classNames[number] ?? number).join(", ");
  const parts = [];
  if (row.right !== null) {
    const words = row.right ? "\u2713 right" : "\u2717 wrong";
    parts.push(html("span", { class: row.right ? "right" : "wrong" }, words));
  }
  if (row.true.length) parts.push(html("span", {}, `true: ${named(row.true)}`));
  if (row.predicted.length) parts.push(html("span", {}, `predicted: ${named(row.predicted)}`));
  return parts;
}

/** What is known of a class for an image, in words: its probability, and the way to its output. */
export function detailOf(row, number, slot, output) {
  const rival = row.against === undefined ? 0 : row.outputs[row.against];
  const way = alike(row.base[slot], row.outputs[number] - rival).join(" \u2192 ");
  const probability = row.probabilities?.[number];
  if (Number.isFinite(probability)) return `${likelihood(probability)} \u00b7 ${way}`;
  return `${output} ${way}`;
}
