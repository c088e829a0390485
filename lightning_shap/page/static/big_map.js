// The map that is shown large: walked through by keys; a click pins a region, a drawn rectangle a place.

import { html } from "./dom.js";
import { MapCanvas } from "./map_canvas.js";
import { sayBox, sayRegion } from "./pins.js";

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const LEAST_DRAG = 0.02; // of a side; less is a click

export class BigMap extends MapCanvas {
  /** pin: is told a place, as a link says it. */
  constructor(say, pin) {
    super(say);
    this.pin = pin;
    this.band = html("span", { class: "band", hidden: true });
    this.element.append(this.band);
    const on = (name, work) => this.element.addEventListener(name, work);
    on("focus", () => this.element.matches(":focus-visible") && this.move(0));
    on("keydown", (event) => this.key(event));
    on("pointerdown", (event) => this.begin(event));
    on("pointerup", (event) => this.end(event));
    on("pointercancel", () => this.drop());
  }

  key(event) {
    if (event.key === "Enter" || event.key === " ") this.pinRegion(this.marked);
    else if (event.key === "Escape" && this.marked !== null) this.mark(null);
    else if (event.key === "Home") this.move(-Infinity);
    else if (event.key === "End") this.move(Infinity);
    else if (event.key in MOVES) this.move(MOVES[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Goes so many regions on, from the strongest to the weakest. */
  move(by) {
    const { ranked } = this.drawn.found;
    const place = ranked.indexOf(this.marked) + by;
    this.mark(ranked[Math.max(0, Math.min(ranked.length - 1, place))]);
  }

  begin(event) {
    if (event.button !== 0 || !this.drawn) return;
    this.from = this.shares(event);
    this.element.setPointerCapture(event.pointerId);
  }

  pointed(event) {
    if (!this.from) return super.pointed(event);
    const [left, top, right, bottom] = this.sides(event);
    this.band.hidden = false;
    const style = { left, top, width: right - left, height: bottom - top };
    for (const [name, share] of Object.entries(style)) this.band.style[name] = `${100 * share}%`;
  }

  end(event) {
    if (!this.from) return;
    const sides = this.sides(event);
    const isDrawn = sides[2] - sides[0] > LEAST_DRAG && sides[3] - sides[1] > LEAST_DRAG;
    const region = this.regionAt(this.from);
    this.drop();
    if (isDrawn) this.pin(sayBox(sides));
    else this.pinRegion(region);
  }

  drop() {
    this.from = null;
    this.band.hidden = true;
  }

  /** The rectangle from where the pointer went down to where it is: left, top, right, bottom. */
  sides(event) {
    const [one, two] = [this.from, this.shares(event)];
    const within = (share) => Math.max(0, Math.min(1, share));
    const [x, y] = [0, 1].map((axis) => [one[axis], two[axis]].map(within).sort((a, b) => a - b));
    return [x[0], y[0], x[1], y[1]];
  }

  pinRegion(region) {
    if (region === null) return;
    const { explanation, number } = this.drawn;
    this.pin(sayRegion(explanation.mapOf(number), explanation, region));
  }
}
