// One map: painted at the resolution of the screen, once it is to be seen; it knows what lies where.

import { html, numeral, percent } from "./dom.js";
import { isHidden, paint } from "./paint.js";

export class MapCanvas {
  /** say: shows words; point: is told where somebody points, [x, y] as shares, or null. */
  constructor(say, point = () => {}) {
    Object.assign(this, { say, point, marked: null, drawn: null, done: "", isSeen: true });
    this.canvas = html("canvas");
    this.element = html(
      "button",
      {
        type: "button",
        class: "map",
        onpointermove: (event) => this.pointed(event),
        onpointerleave: () => this.left(),
        onblur: () => this.mark(null),
      },
      this.canvas,
    );
  }

  /** drawn: see `paint`, and `key`, which is another for another picture; width: in pixels of the page. */
  show(drawn, width) {
    const { explanation } = drawn;
    this.drawn = drawn;
    const times = window.devicePixelRatio || 1;
    const height = (width * explanation.height) / explanation.width;
    this.size = [Math.round(width * times), Math.round(height * times)].map((side) =>
      Math.max(1, side),
    );
    if (this.marked !== null && !drawn.found.sizes[this.marked]) this.marked = null;
    this.paint();
  }

  /** Paints it if it is seen and not painted yet. */
  paint() {
    if (!this.isSeen || !this.drawn) return;
    const key = `${this.drawn.key} ${this.size} ${this.marked}`;
    if (this.done === key) return;
    this.done = key;
    const [width, height] = this.size;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    paint(this.canvas, { ...this.drawn, marked: this.marked });
  }

  mark(region) {
    if (region === this.marked) return;
    this.marked = region;
    this.paint();
    this.say(region === null ? "" : `${this.drawn.name}: ${this.words(region)}`);
  }

  /** Where an event points, as shares of width and height. */
  shares({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  }

  /** The region that an event points at, null where there is none. */
  regionAt([x, y]) {
    const { explanation, number } = this.drawn;
    const [column, row] = [Math.floor(x * explanation.width), Math.floor(y * explanation.height)];
    const isInside = x >= 0 && y >= 0 && column < explanation.width && row < explanation.height;
    return isInside ? explanation.mapOf(number)[row * explanation.width + column] : null;
  }

  pointed(event) {
    if (!this.drawn) return;
    const shares = this.shares(event);
    this.mark(this.regionAt(shares));
    this.point(shares);
  }

  left() {
    this.mark(null);
    this.point(null);
  }

  words(region, drawn = this.drawn) {
    const { explanation, found, full, look, unit } = drawn;
    const doubt = found.errors ? ` \u00b1 ${numeral(found.errors[region])}` : "";
    const size = found.sizes[region] / (explanation.width * explanation.height);
    const hidden = isHidden(found, region, full, look) ? ", hidden as weak" : "";
    return (
      `${numeral(found.values[region], { sign: true, digits: 5 })}${doubt} ${unit}, ` +
      `${percent(found.share(region))} of all attribution, on ${percent(size)} of the image${hidden}`
    );
  }
}
