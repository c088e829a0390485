// An image that is shown large: its map, its classes, how sure they are, and what was pinned.

import { BigMap } from "./big_map.js";
import { called, html, likelihood, namesTag } from "./dom.js";
import { MapCanvas } from "./map_canvas.js";
import { PinBoard } from "./pin_board.js";

const SIDE = 400; // pixels beside the map
const THUMB = 84;
const SMALLER = 0.75; // a map may become, to have the photograph beside it

export class Opened {
  /** reader, say; change: is told what of the view changes; go: by how many images to go on. */
  constructor({ reader, say, change, go }) {
    Object.assign(this, { change, thumbs: new Map() });
    this.map = new BigMap(say, (place) => this.board.add(place));
    this.map.element.classList.add("big");
    this.photograph = html("figure", { class: "photograph" });
    this.name = html("strong");
    this.role = html("span");
    this.detail = html("span");
    this.lack = html("p", { class: "lack", hidden: true });
    this.stage = html(
      "div",
      { class: "stage" },
      this.photograph,
      html("figure", { class: "large" }, this.map.element, this.lack),
    );
    this.heading = html("h2");
    this.verdict = html("p", { class: "verdict" });
    this.doubt = html("p", { class: "doubt" });
    this.classes = html("div", { class: "classes", role: "group", "aria-label": "Classes" });
    const button = (text, label, work) =>
      html("button", { type: "button", "aria-label": label, title: label, onclick: work }, text);
    this.board = new PinBoard({ reader, change });
    this.close = button("\u2715 Close", "Close, back to all images (Escape)", () =>
      change({ open: null }),
    );
    this.element = html(
      "section",
      { class: "opened" },
      this.stage,
      html(
        "div",
        { class: "beside" },
        html(
          "header",
          {},
          this.heading,
          html(
            "span",
            { class: "tools" },
            button("\u2039", "The image before (k)", () => go(-1)),
            button("\u203a", "The next image (j)", () => go(1)),
            this.close,
          ),
        ),
        this.verdict,
        html("p", { class: "of" }, this.name, this.role, this.detail),
        this.doubt,
        this.classes,
        this.board.element,
      ),
    );
  }

  /**
   * image: {title, verdict, photograph, map, drawn, drawings, doubt}, as `App` makes it, and what
   * `PinBoard.show` needs; room: [width, height] in pixels.
   */
  show(image, [width, height]) {
    const { map, drawn, drawings } = image;
    const isNarrow = width < 760;
    const across = isNarrow ? width : width - SIDE - 24;
    const tall = isNarrow ? width : height - 24;
    const { explanation } = image.snapshot;
    const ratio = explanation ? explanation.height / explanation.width : 1;
    const [alone, half] = [Math.min(across, tall / ratio), (across - 16) / 2];
    const isPair = half >= SMALLER * alone;
    const size = Math.floor(Math.min(alone, isPair ? half : alone));
    this.element.style.setProperty("--large", `${size}px`);
    this.heading.replaceChildren(called(image.title, 48));
    this.element.setAttribute("aria-label", image.title);
    this.verdict.replaceChildren(...image.verdict());
    this.photograph.hidden = !isPair;
    if (isPair) this.photograph.replaceChildren(image.photograph());
    this.name.replaceChildren(namesTag(map.names));
    this.role.textContent = map.role;
    this.detail.textContent = map.detail;
    this.doubt.textContent = image.doubt;
    this.map.element.hidden = !drawn;
    this.lack.hidden = Boolean(drawn);
    this.lack.textContent = map.lack ?? "The maps are missing.";
    if (drawn) {
      this.map.element.setAttribute(
        "aria-label",
        labelOf(map, drawn, (region) => this.map.words(region, drawn)),
      );
      this.map.show(drawn, size);
    }
    this.showClasses(image, drawings, isPair);
    this.board.show(image, isNarrow ? width : SIDE);
  }

  showClasses(image, drawings, isPair) {
    const chosen = image.map.number;
    const photograph = isPair
      ? []
      : [html("figure", { class: "thumb" }, image.photograph(), "photograph")];
    const elements = drawings.map(({ map, drawn }) => {
      if (!this.thumbs.has(map.number)) this.thumbs.set(map.number, new Thumb(this.change));
      return this.thumbs.get(map.number).show(map, drawn, map.number === chosen);
    });
    this.classes.replaceChildren(...photograph, ...elements);
  }
}

/** A small map of a class, which is chosen by it. */
class Thumb {
  constructor(change) {
    this.map = new MapCanvas(() => {});
    this.map.element.addEventListener("click", () =>
      change({ shown: String(this.chosen), against: "" }),
    );
    this.caption = html("figcaption");
    this.element = html("figure", { class: "thumb" }, this.map.element, this.caption);
  }

  show(map, drawn, isChosen) {
    this.chosen = map.number;
    const likely = Number.isFinite(map.probability) ? likelihood(map.probability) : "";
    this.map.element.setAttribute("aria-pressed", String(isChosen));
    this.map.element.setAttribute(
      "aria-label",
      `Show the map of ${map.name}. ${map.role}, ${likely}`,
    );
    this.caption.replaceChildren(called(map.name, 18), html("span", {}, likely));
    this.map.show(drawn, THUMB);
    return this.element;
  }
}

function labelOf(map, { found }, words) {
  const said = [map.name, map.role, map.detail].filter(Boolean).join(", ");
  return (
    `${said}. Strongest: ${words(found.ranked[0])}. ` +
    "Arrow keys go through the regions, Enter pins one."
  );
}
