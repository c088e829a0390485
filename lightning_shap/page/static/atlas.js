// A map of all explanations: each a point, near to those whose maps are alike; a lasso shows images.

import { called, html } from "./dom.js";
import { photographOf } from "./scene.js";
import { numbersOf, sayNumbers } from "./view_state.js";

const MARGIN_OF_POINTS = 14; // pixels
const NEAR = 12; // pixels from a point that is pointed at
const TURN = 137.5; // degrees of hue from class to class

const MOST_CLASSES = 12; // whose colours are told

export class Atlas {
  /** change: is told what of the view changes; say: shows words; read: loads an image of a snapshot. */
  constructor({ change, say, read }) {
    Object.assign(this, { change, say, read, lasso: null });
    this.canvas = html("canvas", {
      role: "img",
      onpointerdown: (event) => this.begin(event),
      onpointermove: (event) => this.pointed(event),
      onpointerup: () => this.end(),
      onpointercancel: () => this.drop(),
      onpointerleave: () => this.tell(null),
    });
    this.tip = html("div", { class: "tip", hidden: true });
    this.words = html("p");
    this.classes = html("ul", { class: "key" });
    this.clear = html(
      "button",
      { type: "button", onclick: () => change({ chosen: "" }) },
      "Show all images",
    );
    this.element = html(
      "div",
      { class: "atlas" },
      html("h2", {}, "Map of all explanations"),
      this.words,
      this.classes,
      html("div", {}, this.canvas, this.tip),
      this.clear,
    );
    new ResizeObserver(() => this.lead && this.draw()).observe(this.canvas);
  }

  show(lead, view, isNight) {
    this.clear.hidden = !view.chosen;
    const { facts } = lead;
    const key = JSON.stringify([lead.run, lead.tag, facts.step, view.chosen, isNight]);
    if (key === this.key) return;
    Object.assign(this, { key, lead, view, isNight });
    const wrong = facts.rows.filter(({ right }) => right === false).length;
    this.words.textContent =
      `${facts.rows.length} images, coloured by class; near to one another where their maps are alike. ` +
      `${wrong ? `The ${wrong} with a ring are mistakes. ` : ""}Draw around some to see them.`;
    this.canvas.setAttribute("aria-label", this.words.textContent);
    const classes = [...new Set(facts.rows.map(classOf))].sort((a, b) => a - b);
    this.classes.hidden = classes.length > MOST_CLASSES;
    this.classes.replaceChildren(
      ...classes.slice(0, MOST_CLASSES).map((number) => {
        const dot = html("span", { class: "dot" });
        dot.style.background = this.colourOf(number);
        return html("li", {}, dot, called(lead.nameOf(number), 24));
      }),
    );
    this.draw();
  }

  /** Draws the points once, and keeps the picture: a lasso is drawn over it. */
  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const times = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * times, height: height * times });
    const { rows, places } = this.lead.facts;
    const half = [width / 2 - MARGIN_OF_POINTS, height / 2 - MARGIN_OF_POINTS];
    this.points = places.map(([x, y]) => [width / 2 + x * half[0], height / 2 - y * half[1]]);
    const context = this.canvas.getContext("2d");
    context.setTransform(times, 0, 0, times, 0, 0);
    const radius = Math.max(1.5, Math.min(5, 60 / Math.sqrt(rows.length)));
    const among = this.view.chosen ? numbersOf(this.view.chosen) : null;
    const isFaintly = (number) => among !== null && !among.has(number);
    const groups = new Map();
    rows.forEach((row, number) => {
      const colour = this.colourOf(classOf(row));
      const isFaint = isFaintly(number);
      const name = `${isFaint} ${colour}`;
      if (!groups.has(name)) groups.set(name, { colour, isFaint, numbers: [] });
      groups.get(name).numbers.push(number);
    });
    for (const { colour, isFaint, numbers } of groups.values()) {
      context.fillStyle = colour;
      context.globalAlpha = isFaint ? 0.15 : 0.8;
      for (const number of numbers) {
        const [x, y] = this.points[number];
        context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
      }
    }
    context.strokeStyle = this.isNight ? "#ffffff" : "#000000";
    context.lineWidth = radius < 3 ? 0.5 : 1;
    const ring = radius + (radius < 3 ? 1 : 2);
    for (const isFaint of [true, false]) {
      context.globalAlpha = isFaint ? 0.15 : 1;
      context.beginPath();
      rows.forEach(({ right }, number) => {
        if (right !== false || isFaintly(number) !== isFaint) return;
        const [x, y] = this.points[number];
        context.moveTo(x + ring, y);
        context.arc(x, y, ring, 0, 2 * Math.PI);
      });
      context.stroke();
    }
    context.globalAlpha = 1;
    this.picture = document.createElement("canvas");
    Object.assign(this.picture, { width: this.canvas.width, height: this.canvas.height });
    this.picture.getContext("2d").drawImage(this.canvas, 0, 0);
  }

  colourOf(number) {
    return `hsl(${(number * TURN) % 360} 70% ${this.isNight ? 65 : 40}%)`;
  }

  at({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [clientX - box.left, clientY - box.top];
  }

  begin(event) {
    if (event.button !== 0) return;
    this.lasso = [this.at(event)];
    this.canvas.setPointerCapture(event.pointerId);
    this.tell(null);
  }

  pointed(event) {
    if (!this.points) return;
    if (!this.lasso) return this.tell(this.nearest(this.at(event)));
    this.lasso.push(this.at(event));
    const context = this.canvas.getContext("2d");
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.restore();
    context.strokeStyle = this.isNight ? "#d2a8ff" : "#8250df";
    context.lineWidth = 2;
    context.stroke(this.path());
  }

  path() {
    const path = new Path2D();
    this.lasso.forEach(([x, y]) => path.lineTo(x, y));
    path.closePath();
    return path;
  }

  /** A click opens an image; a lasso shows those within. */
  end() {
    if (!this.lasso) return;
    const [from, path] = [this.lasso[0], this.path()];
    const isClick = this.lasso.every(([x, y]) => Math.hypot(x - from[0], y - from[1]) < 4);
    this.lasso = null;
    this.draw();
    if (isClick) {
      const open = this.nearest(from);
      if (open !== null) this.change({ open });
      return;
    }
    const context = document.createElement("canvas").getContext("2d");
    const numbers = [...this.points.keys()].filter((number) =>
      context.isPointInPath(path, ...this.points[number]),
    );
    this.change({ chosen: sayNumbers(numbers), open: null, filter: "all", pair: "", only: "" });
  }

  drop() {
    this.lasso = null;
    this.draw();
  }

  nearest([x, y]) {
    let [best, away] = [null, NEAR];
    this.points.forEach((point, number) => {
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (distance < away) [best, away] = [number, distance];
    });
    return best;
  }

  /** Shows the photograph of a point, and says what it is. */
  async tell(number) {
    if (number === this.told) return;
    this.told = number;
    if (number !== null && this.lead.isComing(number)) {
      this.tip.hidden = true;
      await this.read(this.lead, number);
      if (number !== this.told) return;
    }
    this.tip.hidden = number === null;
    if (number === null) return this.say("");
    const [x, y] = this.points[number];
    const isRight = x > this.canvas.clientWidth / 2;
    Object.assign(this.tip.style, {
      left: `${isRight ? x - 96 : x + 12}px`,
      top: `${Math.max(0, y - 42)}px`,
    });
    this.tip.replaceChildren(photographOf(this.lead, number));
    const { right, verdict } = this.lead.row(number);
    const mark = { true: "\u2713 ", false: "\u2717 " }[right] ?? "";
    this.say(`${this.lead.titleOf(number)}: ${mark}${verdict ?? ""}`);
  }
}

/** The class that an image is coloured by: its own, else what it is taken for. */
function classOf(row) {
  return row.true[0] ?? row.predicted[0] ?? row.explained[0];
}
