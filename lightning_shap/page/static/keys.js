// Keys, and what they do.

import { html } from "./dom.js";

const KEYS = [
  ["\u2190 \u2192", "the epoch before, the next one"],
  ["space", "play or pause"],
  ["j, k", "the next image, the one before"],
  ["Enter", "open the map that has the focus; pin a region of the one that is open"],
  ["arrows", "from map to map; through the regions of the one that is open"],
  ["Escape", "close what is open"],
  ["c", "controls"],
  ["m", "mistakes"],
  ["?", "these keys"],
];

/** Listens for keys; act: what each does, by its name. */
export class Keys {
  constructor(act) {
    this.act = act;
    this.close = html("button", { type: "button", onclick: () => this.help.close() }, "Close");
    this.help = html(
      "dialog",
      { class: "help", "aria-label": "Keys" },
      html("h2", {}, "Keys"),
      html(
        "dl",
        {},
        ...KEYS.flatMap(([key, words]) => [
          html("dt", {}, html("kbd", {}, key)),
          html("dd", {}, words),
        ]),
      ),
      this.close,
    );
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  show() {
    this.help.showModal();
  }

  pressed(event) {
    const { key, target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.help.open)
      return;
    const isTyped = target.closest?.("input, select, textarea");
    if (isTyped && key !== "Escape") return;
    if (key === " " && target.closest?.("button, a, summary")) return;
    const acts = {
      "?": () => this.show(),
      " ": this.act.play,
      ArrowLeft: () => this.act.step(-1),
      ArrowRight: () => this.act.step(1),
      j: () => this.act.go(1),
      k: () => this.act.go(-1),
      c: () => this.act.toggle("controls"),
      m: () => this.act.toggle("mistakes"),
      Escape: this.act.close,
    };
    if (!acts[key]) return;
    event.preventDefault();
    acts[key]();
  }
}
