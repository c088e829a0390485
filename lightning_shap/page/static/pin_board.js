// What was pinned on an image: its curves through the epochs of all runs, and what they say in words.

import { PIN_COLOURS } from "./colours.js";
import { chart, swatch } from "./curves.js";
import { called, html, likelihood, percent } from "./dom.js";
import {
  MOST_PINS,
  PLACES,
  maskOf,
  standardErrorOf,
  measure,
  nameOfPin,
  sinceWhen,
  wordsOf,
} from "./pins.js";
import { RegionHistory } from "./region_history.js";

const MOST_RUNS = 40; // that are listed

export class PinBoard {
  constructor({ reader, change }) {
    Object.assign(this, { reader, change });
    this.history = new RegionHistory(reader);
    this.hint = html(
      "p",
      { class: "hint" },
      "Click a region or draw a rectangle on the map to follow it.",
    );
    this.list = html("ol", { class: "pins" });
    this.curves = html("div", { class: "curves" });
    this.runs = html("div", { class: "runs", role: "region", "aria-label": "Runs", tabindex: 0 });
    this.place = html("select", { "aria-label": "Pin a place", onchange: () => this.addPlace() });
    this.place.append(
      html("option", { value: "" }, "Pin a place \u2026"),
      ...PLACES.map(([value, text]) => html("option", { value }, text)),
    );
    this.element = html(
      "section",
      { class: "board", "aria-label": "Pinned places" },
      this.hint,
      this.list,
      this.place,
      this.runs,
      this.curves,
    );
  }

  addPlace() {
    const { value } = this.place;
    this.place.value = "";
    if (value) this.add(`place:${value}`);
  }

  /** Pins a place, or takes away one that is pinned. */
  add(text) {
    const known = this.pins.map((pin) => pin.text);
    const is = known.includes(text);
    const pins = is ? known.filter((one) => one !== text) : [...known, text].slice(-MOST_PINS);
    this.change({ pins: pins.join(";") });
  }

  /** image: {snapshot, number, line, map, drawn, pins, runs, pick}, as `App` makes it. */
  show(image, width) {
    const { snapshot, drawn, pins } = image;
    Object.assign(this, { image, width, pins });
    this.hint.hidden = pins.length > 0;
    this.place.hidden = !drawn;
    this.list.replaceChildren(...pins.map((pin, at) => this.entryOf(pin, at)));
    const { run, tag, series } = snapshot;
    const key = JSON.stringify([
      run,
      tag,
      series.length,
      image.number,
      image.line,
      pins.map((p) => p.text),
      image.runs.length,
    ]);
    if (key === this.key) return this.draw();
    Object.assign(this, { key, found: [] });
    this.draw();
    const { number, line, runs } = image;
    this.history.follow(
      { lead: snapshot, number, line, pins, runs: pins.length ? runs : [] },
      (found) => {
        this.found = found;
        this.draw();
      },
    );
  }

  entryOf(pin, at) {
    const { drawn, number, explanation } = { ...this.image, ...this.image.drawn };
    const parts = [swatch(at, "pin"), html("b", {}, nameOfPin(pin))];
    if (drawn) {
      const place = [drawn.found, explanation.mapOf(number), maskOf(pin, explanation)];
      const had = { ...measure(...place), error: standardErrorOf(...place) };
      const { change } = this.image.map;
      parts.push(html("span", {}, wordsOf(had, { change, unit: drawn.unit })));
    }
    parts.push(
      html(
        "button",
        {
          type: "button",
          class: "remove",
          "aria-label": `Unpin the ${nameOfPin(pin)}`,
          onclick: () => this.add(pin.text),
        },
        "\u2715",
      ),
      html("span", { class: "since", "data-pin": at }),
    );
    return html("li", {}, ...parts);
  }

  /** Draws what is known so far. */
  draw() {
    const { image, pins, width } = this;
    const lead = this.found.find(({ isLead }) => isLead);
    const { step } = image.snapshot.facts;
    this.sayWhen(lead);
    const mark = { marks: [step], width, pick: (at) => image.pick(at) };
    const known = (points, of) =>
      points.map((p) => [p.step, of(p)]).filter(([, v]) => Number.isFinite(v));
    const others = this.found.filter(({ isLead }) => !isLead);
    const charts = [];
    if (lead && lead.points.length > 1) {
      const shares = [lead, ...others].flatMap((one) =>
        pins.map((_, at) => ({
          name: `${nameOfPin(pins[at])}, ${one.run}`,
          kind: "pin",
          look: at,
          isFaint: !one.isLead,
          points: known(one.points, (p) => p.shares[at].share),
        })),
      );
      const likely = [lead, ...others].map((one) => ({
        name: one.run,
        look: 5,
        isFaint: !one.isLead,
        points: known(one.points, ({ probability }) => probability),
      }));
      if (pins.length) {
        charts.push(
          html("p", {}, "Share of the attribution"),
          chart({
            lines: shares,
            range: [0, top(shares)],
            isShare: true,
            title: "Share of the attribution",
            height: 120,
            ...mark,
          }),
        );
      }
      if (likely.some(({ points }) => points.length)) {
        charts.push(
          html("p", {}, html("span", {}, "Probability of "), called(image.map.names[0])),
          chart({ lines: likely, range: [0, 1], isShare: true, title: "Probability", ...mark }),
        );
      }
    }
    this.curves.replaceChildren(...charts);
    // Those that look there most come first.
    others.sort(
      (a, b) => (b.points.at(-1).shares[0]?.share ?? 0) - (a.points.at(-1).shares[0]?.share ?? 0),
    );
    this.showRuns(pins.length && others.length ? [lead, ...others].filter(Boolean) : []);
  }

  sayWhen(lead) {
    for (const element of this.list.querySelectorAll(".since")) {
      const at = Number(element.dataset.pin);
      element.textContent = lead?.isWhole ? sinceWhen(sharesOf(lead, at)) : "\u2026";
    }
  }

  /** For each run: whether it is right, and what the pins had in the end. */
  showRuns(found) {
    if (!found.length) return this.runs.replaceChildren();
    const body = found.slice(0, MOST_RUNS).map((one) => {
      const last = one.points.at(-1);
      const mark = { true: ["right", "\u2713"], false: ["wrong", "\u2717"] }[last.right] ?? [
        "",
        "",
      ];
      const likely = Number.isFinite(last.probability) ? likelihood(last.probability) : "";
      return html(
        "tr",
        {},
        html("th", { scope: "row" }, called(one.run, 26)),
        html("td", { class: "whole" }, html("span", { class: mark[0] }, mark[1]), ` ${likely}`),
        ...last.shares.map(({ share }, at) =>
          html(
            "td",
            { title: one.isThin ? "of every few epochs" : undefined },
            html("b", {}, percent(share)),
            html("span", {}, sinceWhen(sharesOf(one, at))),
          ),
        ),
      );
    });
    const heads = this.pins.map((pin, at) =>
      html("th", { scope: "col" }, swatch(at, "pin"), nameOfPin(pin)),
    );
    const left = found.length - body.length;
    this.runs.replaceChildren(
      html(
        "table",
        {},
        html(
          "thead",
          {},
          html(
            "tr",
            {},
            html("th", { scope: "col" }, "Run, in the end"),
            html("th", { scope: "col" }, "class"),
            ...heads,
          ),
        ),
        html("tbody", {}, ...body),
      ),
      left > 0 ? html("p", {}, `${left} further runs are in the curves alone.`) : "",
    );
  }
}

function sharesOf({ points }, at) {
  return points.map(({ name, shares }) => ({ name, share: shares[at].share }));
}

/** The end of a scale of shares: what is highest, or a little more. */
function top(lines) {
  const most = Math.max(0.1, ...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  return Math.min(1, Math.ceil(10 * most) / 10);
}

/** The outlines of pins, as `paint` draws them. */
export function outlinesOf(pins, explanation) {
  return pins.map((pin, at) => ({ mask: maskOf(pin, explanation), colour: PIN_COLOURS[at] }));
}
