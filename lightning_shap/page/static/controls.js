// What a view is chosen with: native controls, so that a keyboard and a screen reader know them.

import { TAKEN } from "./columns.js";
import { html, offer } from "./dom.js";
import { STYLES } from "./paint.js";

const PACE = 700; // milliseconds an epoch, when they play

function labelled(text, control) {
  return html("label", {}, html("span", {}, text), control);
}

/** Which run, tag and epoch one side shows. */
export class SourceControl {
  constructor(letter, change) {
    this.change = change;
    this.source = html("select", { onchange: () => change({ source: this.source.value }) });
    this.slider = html("input", {
      type: "range",
      min: 0,
      step: 1,
      oninput: () => this.moved(Number(this.slider.value)),
    });
    this.moment = html("output");
    this.play = html("button", { type: "button", onclick: () => this.toggle() }, "\u25b6 Play");
    this.epochs = [labelled("Epoch", this.slider), this.play, this.moment];
    this.element = html(
      "div",
      { class: "source", role: "group", "aria-label": `View ${letter}` },
      html("b", { class: "letter" }, letter),
      labelled("Run", this.source),
      ...this.epochs,
    );
  }

  show({ sources, source, moments, place }) {
    offer(this.source, sources, source);
    this.moments = moments;
    this.place = place;
    for (const element of this.epochs) element.hidden = !moments.length;
    this.slider.max = Math.max(0, moments.length - 1);
    this.slider.value = place;
    this.slider.disabled = this.play.disabled = moments.length < 2;
    this.slider.setAttribute("aria-valuetext", moments[place] ?? "");
    this.moment.textContent = `${moments[place] ?? ""} (${place + 1} of ${moments.length})`;
  }

  moved(place) {
    this.change({ place });
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    this.play.textContent = "\u275a\u275a Pause";
    if (this.place === this.moments.length - 1) this.moved(0);
    this.timer = setInterval(() => {
      if (this.place >= this.moments.length - 1) this.stop();
      else this.moved(this.place + 1);
    }, PACE);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "\u25b6 Play";
  }
}

/** How it is shown, and of what. */
export class LookControl {
  constructor(change) {
    const select = (name) => html("select", { onchange: (e) => change({ [name]: e.target.value }) });
    const range = (name, min) =>
      html("input", {
        type: "range",
        min,
        max: 100,
        step: 1,
        oninput: (e) => change({ [name]: Number(e.target.value) }),
      });
    const fields = {
      compare: select("compare"),
      shown: select("shown"),
      against: select("against"),
      style: select("style"),
      filter: select("filter"),
      only: select("only"),
      strength: range("strength", 5),
      cut: range("cut", 0),
    };
    this.fields = fields;
    this.clear = html("input", {
      type: "checkbox",
      onchange: () => change({ clear: this.clear.checked }),
    });
    this.element = html(
      "div",
      { class: "look", role: "group", "aria-label": "What is shown" },
      labelled("Compare with", fields.compare),
      labelled("Class", fields.shown),
      labelled("rather than", fields.against),
      labelled("Style", fields.style),
      labelled("Strength", fields.strength),
      labelled("Hide weak regions", fields.cut),
      html("label", { class: "check" }, this.clear, "Hide below two standard errors"),
      labelled("Images", fields.filter),
      labelled("of class", fields.only),
    );
  }

  show(view, { classes, hasControl, hasErrors }) {
    const control = hasControl ? [["control", "the untrained control"]] : [];
    const other = ["other", "another epoch or run"];
    const { fields } = this;
    offer(fields.compare, [["", "nothing"], ...control, other], view.compare);
    const every = ["each", "each explained class"];
    const taken = [TAKEN, "predicted rather than true"];
    offer(fields.shown, [every, taken, ...classes], view.shown);
    offer(fields.against, [["", "nothing else"], ...classes], view.against);
    fields.against.disabled = [every, taken].some(([value]) => value === view.shown);
    offer(fields.style, STYLES, view.style);
    const kinds = [
      ["all", "all"],
      ["mistakes", "mistakes"],
      ["changed", "changed prediction"],
    ];
    offer(fields.filter, kinds, view.filter);
    offer(fields.only, [["", "any"], ...classes], view.only);
    fields.strength.value = view.strength;
    fields.strength.setAttribute("aria-valuetext", `${view.strength} percent`);
    fields.cut.value = view.cut;
    fields.cut.setAttribute("aria-valuetext", `below ${view.cut} percent of full colour`);
    this.clear.checked = view.clear;
    this.clear.disabled = !hasErrors;
  }
}
