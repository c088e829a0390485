// One image: its photograph, its maps, and its classes through the epochs.

import { chart, swatch } from "./curves.js";
import { html, numeral, percent } from "./dom.js";
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
    this.role = html("span");
    this.detail = html("span");
    const caption = html("figcaption", {}, this.name, this.role, this.detail);
    this.element = html("figure", {}, caption, this.button);
  }

  show(drawn) {
    this.drawn = drawn;
    this.name.textContent = drawn.name;
    this.role.textContent = drawn.role;
    this.detail.textContent = drawn.detail;
    const [first] = drawn.found.ranked;
    this.button.setAttribute(
      "aria-label",
      `${this.caption.join(", ")}. Strongest: ${this.words(first)}. ` +
        "Arrow keys go through the regions.",
    );
    if (this.marked !== null && !drawn.found.sizes[this.marked]) this.marked = null;
    this.paint();
    if (this.marked !== null) this.sayMarked();
  }

  /** The words over the map: of which class, what that is of the image, and its numbers. */
  get caption() {
    return [this.name, this.role, this.detail].map((part) => part.textContent).filter(Boolean);
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

/** What one side shows of an image, all of it read from that side. */
class ImageView {
  constructor(say) {
    this.say = say;
    this.figures = new Map();
    this.heading = html("h2");
    this.verdict = html("p", { class: "verdict" });
    this.photograph = html("figure", { class: "photograph" });
    this.maps = html("div", { class: "maps" });
    this.curve = html("div", { class: "curve" });
    this.element = html(
      "div",
      { class: "view" },
      html("header", {}, this.heading, this.verdict),
      this.photograph,
      this.maps,
      this.curve,
    );
  }

  /**
   * side, number: which image; columns: its maps, see `columnsOf`; marks: the steps that its curve
   * marks, null for no curve; isOfTwo: another side is shown beside it.
   */
  show({ side, number, columns, marks, isOfTwo }) {
    const of = (words) => (isOfTwo ? `${side.letter} \u00b7 ${words}` : words);
    this.heading.textContent = of(side.titleOf(number));
    this.verdict.replaceChildren(...verdictOf(side, number));
    this.showPhotograph(side, number);
    const { explanation, samples, limit, look, unit } = side;
    for (const { name, role, slot, other, key, detail } of columns) {
      if (!this.figures.has(key)) this.figures.set(key, new MapFigure(this.say));
      const found = explanation.valuesOf(number, slot, other);
      const ground = { photograph: this.canvas, dark: samples?.areDark ?? false };
      const what = { explanation, sample: number, found, limit, look, unit };
      this.figures.get(key).show({ ...what, ...ground, name: of(name), role, detail });
    }
    this.drawnFigures = columns.map(({ key }) => this.figures.get(key));
    this.place(explanation ? columns.map(({ key }) => key) : null);
    if (marks && side.history.length > 1) this.showCurve(side, number, marks);
    else this.curve.replaceChildren();
  }

  /** What is shown, for a sheet of it: [{name, detail, canvas}, ...], the photograph first. */
  get cells() {
    const words = [...this.verdict.children].map((part) => part.textContent);
    const figures = this.drawnFigures.map(({ caption: [name, ...details], canvas }) => ({
      name,
      detail: details.join(" \u00b7 "),
      canvas,
    }));
    const name = this.heading.textContent;
    return [{ name, detail: words.join(" \u00b7 "), canvas: this.canvas }, ...figures];
  }

  /** Puts the figures in their places, and leaves alone what is there. */
  place(keys) {
    const wanted = JSON.stringify(keys);
    if (this.placed === wanted) return;
    this.placed = wanted;
    const missing = [html("p", { class: "lack" }, "The maps are missing.")];
    const elements = keys ? keys.map((key) => this.figures.get(key).element) : missing;
    this.maps.replaceChildren(...elements);
  }

  showPhotograph({ samples }, number) {
    if (this.samples === samples && this.number === number) return;
    Object.assign(this, { samples, number, canvas: null });
    let picture = html("p", { class: "lack" }, "The photograph is missing.");
    if (samples) {
      picture = this.canvas = samples.photograph(number);
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", `The photograph of image ${number}`);
      if (Math.max(samples.width, samples.height) <= 96) this.canvas.classList.add("crisp");
    }
    this.photograph.replaceChildren(html("figcaption", {}, html("strong", {}, "Photograph")), picture);
  }

  showCurve(side, number, marks) {
    const row = side.row(number);
    const known = row.probabilities ? "probabilities" : "outputs";
    // The first map's class has the same line in all curves, and so has the second's.
    const lines = row.explained.slice(0, 6).map((one, look) => ({
      name: side.nameOf(one),
      look,
      points: side.history
        .map((facts) => [facts.step, facts.rows[number]?.[known]?.[one]])
        .filter(([, value]) => Number.isFinite(value)),
    }));
    const range = row.probabilities ? [0, 1] : undefined;
    this.curve.replaceChildren(
      html("p", {}, row.probabilities ? "Probabilities, 0 to 1" : "Outputs"),
      chart({ lines, marks, range, title: `Image ${number}, ${known}` }),
      html(
        "ul",
        { class: "key" },
        ...lines.map((line) => html("li", {}, swatch(line.look), line.name)),
      ),
    );
  }
}

/** The row of an image on one side or on both, which stays the same element as they change. */
export class ImageRow {
  constructor(say) {
    this.say = say;
    this.views = [];
    this.element = html("section", { class: "sample" });
  }

  /** shown: what each side shows of the image, see `ImageView`. */
  show(shown) {
    while (this.views.length < shown.length) this.views.push(new ImageView(this.say));
    this.views.length = shown.length;
    shown.forEach((one, at) => this.views[at].show(one));
    const [{ side, number }] = shown;
    this.element.setAttribute("aria-label", side.titleOf(number));
    if (this.element.children.length !== shown.length) {
      this.element.replaceChildren(...this.views.map(({ element }) => element));
    }
  }
}

/** Says what is true and predicted, and what else to know: in the facts' words, where there are. */
function verdictOf(side, number) {
  const { right, verdict, note, true: truth, predicted } = side.row(number);
  const parts = [];
  if (right !== null) {
    const words = right ? "\u2713 right" : "\u2717 wrong";
    parts.push(html("span", { class: right ? "right" : "wrong" }, words));
  }
  for (const words of [verdict, note].filter(Boolean)) parts.push(html("span", {}, words));
  if (verdict !== undefined) return parts;
  if (truth.length) parts.push(html("span", {}, `true: ${side.namesOf(truth)}`));
  if (predicted.length) parts.push(html("span", {}, `predicted: ${side.namesOf(predicted)}`));
  return parts;
}
