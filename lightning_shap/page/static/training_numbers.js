// What a training logged beside its explanations: a curve of each number.

import { chart } from "./curves.js";
import { html, numeral } from "./dom.js";

/** The curves of a run's training, which are loaded once somebody opens them. */
export class TrainingNumbers {
  constructor(source) {
    this.source = source;
    this.name = html("summary");
    this.curves = html("div", { class: "metrics" });
    this.element = html("details", { ontoggle: () => this.draw() }, this.name, this.curves);
  }

  /** Has them be asked for again. */
  forget() {
    this.found = null;
  }

  show(lead) {
    this.lead = lead;
    this.name.textContent = "Numbers of the training";
    return this.draw();
  }

  async draw() {
    const { lead } = this;
    if (!this.element.open || !lead) return;
    try {
      if (!this.found || this.foundFor !== lead.run) {
        this.found = await this.source.scalars(lead.run);
        this.foundFor = lead.run;
      }
    } catch (error) {
      this.curves.replaceChildren(html("p", {}, `They could not be loaded: ${error.message}.`));
      return;
    }
    const { step } = lead.facts;
    const curves = Object.entries(this.found).filter(([, points]) => points.length);
    this.curves.replaceChildren(
      ...(curves.length ? [] : [html("p", {}, "There are none.")]),
      ...curves.map(([name, points]) =>
        html(
          "figure",
          {},
          html("figcaption", {}, `${name} ${numeral(nearest(points, step))}`),
          chart({ lines: [{ name, points }], marks: [step], title: name }),
        ),
      ),
    );
  }
}

function nearest(points, step) {
  const before = points.filter(([at]) => at <= step);
  return (before.at(-1) ?? points[0])[1];
}
