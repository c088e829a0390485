// What stays in sight: which run, which epoch, and what colours count.

import { html, numeral, offer } from "./dom.js";
import { drawLegend } from "./export.js";

const PACE = 700; // milliseconds an epoch, when they play
const SPEEDS = [
  ["0.5", "\u00d7 \u00bd"],
  ["1", "\u00d7 1"],
  ["2", "\u00d7 2"],
  ["4", "\u00d7 4"],
];

export class Toolbar {
  /** move: is told a place of the slider; source: a run and tag; toggle: a panel's name. */
  constructor({ move, source, toggle }) {
    this.move = move;
    this.source = html("select", {
      "aria-label": "Run",
      onchange: () => source(JSON.parse(this.source.value)),
    });
    this.slider = html("input", {
      type: "range",
      min: 0,
      step: 1,
      "aria-label": "Epoch",
      oninput: () => move(Number(this.slider.value)),
    });
    this.moment = html("output");
    this.play = html("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.speed = html("select", { "aria-label": "Speed" });
    offer(this.speed, SPEEDS, "1");
    this.legends = html("span", { class: "legends" });
    this.panels = [
      ["controls", "\u2630 Controls"],
      ["mistakes", "\u2717 Mistakes"],
      ["atlas", "\u2234 Map of all"],
    ].map(([name, text]) =>
      html("button", { type: "button", "data-panel": name, onclick: () => toggle(name) }, text),
    );
    this.ruler = html("span", { class: "ruler" }, this.play, this.speed, this.slider, this.moment);
    const title = html("h1", { class: "unseen" }, "SHAP explanations");
    this.element = html(
      "header",
      { class: "top" },
      title,
      ...this.panels,
      this.source,
      this.ruler,
      this.legends,
    );
    this.stop();
  }

  show({ sources, source, moments, place, panel, mistakes, suspicions, hasAtlas }) {
    offer(this.source, sources, source);
    Object.assign(this, { moments, place });
    this.ruler.hidden = !moments.length;
    this.slider.max = Math.max(0, moments.length - 1);
    this.slider.value = place;
    for (const control of [this.slider, this.play, this.speed]) control.hidden = moments.length < 2;
    this.slider.setAttribute("aria-valuetext", moments[place] ?? "");
    this.moment.textContent = `${moments[place] ?? ""} (${place + 1} of ${moments.length})`;
    for (const button of this.panels) {
      button.setAttribute("aria-expanded", String(button.dataset.panel === panel));
    }
    const [, wrong, atlas] = this.panels;
    atlas.hidden = !hasAtlas;
    wrong.hidden = mistakes === null && suspicions === undefined;
    const count = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;
    wrong.textContent = `\u2717 ${[
      mistakes === null ? "" : count(mistakes, "mistake"),
      suspicions ? count(suspicions, "suspicious part") : "",
    ]
      .filter(Boolean)
      .join(" \u00b7 ")}`;
  }

  /** Shows what colours count: [{words, look}, ...], once for what is drawn alike. */
  showLegends(legends, isNight) {
    this.legends.replaceChildren(
      ...legends.map(({ words, look }) => {
        if (look.style === "contour") return html("span", { class: "legend" }, CONTOUR);
        if (look.style === "spotlight") return html("span", { class: "legend" }, SPOTLIGHT);
        const canvas = drawLegend(html("canvas", { width: 120, height: 10 }), look, isNight);
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", "From blue, which lowers, to red, which raises");
        return html("span", { class: "legend" }, "lowers ", canvas, ` raises ${words}`);
      }),
    );
  }

  /** Goes some epochs on. */
  step(by) {
    const place = Math.max(0, Math.min(this.moments.length - 1, this.place + by));
    if (place !== this.place) this.move(place);
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    this.play.textContent = "\u275a\u275a";
    this.play.setAttribute("aria-label", "Pause");
    if (this.place === this.moments.length - 1) this.move(0);
    const next = () => {
      if (this.place >= this.moments.length - 1) return this.stop();
      this.move(this.place + 1);
      this.timer = setTimeout(next, PACE / Number(this.speed.value));
    };
    this.timer = setTimeout(next, PACE / Number(this.speed.value));
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.play.textContent = "\u25b6";
    this.play.setAttribute("aria-label", "Play");
  }
}

const CONTOUR = "thick line: half of what raises the class, thin line: 80 %";
const SPOTLIGHT = "lit: raises the class; dark: does not";

/** What a legend says of a scale. */
export function scaleWords(full, unit) {
  return `\u00b1${numeral(full)} ${unit}`;
}
