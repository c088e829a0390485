// What the page is made of, and what stands where.

import { Atlas } from "./atlas.js";
import { mapOf, linesOf } from "./columns.js";
import { doubtOf } from "./doubt.js";
import { html } from "./dom.js";
import { Controls } from "./drawer.js";
import { saveView } from "./export.js";
import { Keys } from "./keys.js";
import { suspicionsOf } from "./class_summary.js";
import { mistakesOf } from "./mistakes.js";
import { Opened } from "./opened.js";
import { pinsOf } from "./pins.js";
import { chooseImages } from "./rows.js";
import { Scene, photographOf, verdictOf } from "./scene.js";
import { settingsOf } from "./settings.js";
import { momentOf } from "./snapshot.js";
import { Strip, fitCells } from "./strip.js";
import { Toolbar, scaleWords } from "./toolbar.js";
import { TrainingNumbers } from "./training_numbers.js";
import { encoded } from "./view_state.js";

const ENDING = "/explanation";
const MARGIN = 32; // of the strip, left and right
const HEADS = 40; // above it

export class Stage {
  /** app: what is asked for, and told what somebody does. */
  constructor(root, app) {
    this.app = app;
    const say = (words) => this.say(words);
    const change = (what) => app.change(what);
    this.toolbar = new Toolbar({
      move: (place) => app.moveTo(place),
      source: ([run, tag]) => change({ run, tag, step: null }),
      toggle: (panel) => app.toggle(panel),
    });
    this.controls = new Controls(change, (kind) => saveView(this, kind));
    this.strip = new Strip({ open: (cell) => app.open(cell), pick: (key) => app.pick(key), say });
    this.opened = new Opened({ reader: app.reader, say, change, go: (by) => app.go(by) });
    this.readout = html("p", { class: "readout", role: "status", "aria-live": "polite" });
    this.message = html("p", { class: "message", role: "status" }, "Loading \u2026");
    const button = (text, name, work) =>
      html("button", { type: "button", class: name, onclick: work }, text);
    this.more = button("", "more", () => app.showMore());
    this.numbers = new TrainingNumbers(app.source);
    this.settings = html("div");
    this.mistakes = html("div", { class: "panel" });
    const read = (snapshot, number) => app.reader.snapshot(snapshot, [number]);
    this.atlas = new Atlas({ change, say, read });
    const about = html("details", {}, html("summary", {}, "Settings and versions"), this.settings);
    const keys = button("Keys (?)", "keys", () => this.keys.show());
    this.controls.element.append(this.numbers.element, about, keys);
    this.drawer = html(
      "aside",
      { class: "drawer", "aria-label": "Panel" },
      this.controls.element,
      this.mistakes,
      this.atlas.element,
    );
    const shown = [this.message, this.strip.element, this.opened.element, this.more];
    this.main = html("main", {}, ...shown);
    this.keys = new Keys({
      play: () => this.toolbar.toggle(),
      step: (by) => this.toolbar.step(by),
      go: (by) => app.go(by),
      toggle: (panel) => app.toggle(panel),
      close: () => change(app.view.open === null ? { panel: "" } : { open: null }),
    });
    const body = html("div", { class: "body" }, this.drawer, this.main);
    root.append(this.toolbar.element, body, this.readout, this.keys.help);
    for (const element of [this.toolbar.element, this.drawer, this.opened.element, this.more])
      element.hidden = true;
    this.width = this.main.clientWidth;
    new ResizeObserver(() => this.resized()).observe(this.main);
    this.night = window.matchMedia("(prefers-color-scheme: dark)");
    for (const watched of [this.night, window.matchMedia("print")]) {
      watched.addEventListener("change", () => this.app.lead && this.show());
    }
    new MutationObserver(() => this.app.lead && this.show()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
  }

  /** Whether the page is dark. */
  get isNight() {
    if (window.matchMedia("print").matches) return false;
    const { theme } = document.documentElement.dataset;
    return theme ? theme === "dark" : this.night.matches;
  }

  resized() {
    const { clientWidth, clientHeight } = this.main;
    if (this.width === clientWidth && this.height === clientHeight) return;
    [this.width, this.height] = [clientWidth, clientHeight];
    if (this.app.lead) this.app.draw();
  }

  /** How many columns have room, and how wide they are. */
  fit(wanted) {
    const { lead, kind, view } = this.app;
    const explanation = lead.explanation;
    const isEpochs = kind === "epochs";
    const isSparse = view.every > 0 && isEpochs;
    return fitCells({
      width: this.main.clientWidth - MARGIN,
      height: this.main.clientHeight - HEADS,
      wanted,
      beside: isEpochs ? 2 : 1,
      rows: chooseImages(lead, view).length,
      ratio: explanation ? explanation.height / explanation.width : 1,
      isFixed: isSparse || !isEpochs,
    });
  }

  show() {
    const { app } = this;
    const { lead, problem, columns, reader } = app;
    const facts = lead?.facts;
    const { trouble } = reader;
    const lacks = [lead, ...columns.map(({ snapshot }) => snapshot)].flatMap(
      (one) => one?.lacks ?? [],
    );
    if (trouble) lacks.unshift(`${trouble}: what was read before is still shown.`);
    app.isLacking = lacks.length > 0;
    for (const element of [this.toolbar.element, this.strip.element]) element.hidden = !facts;
    this.drawer.hidden = !facts || !app.view.panel || (app.view.panel === "atlas" && !facts.places);
    const said = facts ? this.showScene() : [];
    if (!facts) this.opened.element.hidden = this.more.hidden = true;
    const words = [problem, ...new Set(lacks), ...said].filter(Boolean);
    this.message.replaceChildren(...words.map((line) => html("span", {}, line)));
    if (facts) this.offer();
  }

  /** Shows the images; returns sentences about those that are not. */
  showScene() {
    const { app } = this;
    const { lead, columns, kind } = app;
    const view = { ...app.view, columns: kind };
    const pins = pinsOf(view.pins);
    const scene = new Scene({ view, lead, columns, pins, isNight: this.isNight });
    app.scene = scene;
    const chosen = chooseImages(lead, view);
    const { isOpen } = app;
    this.opened.element.hidden = !isOpen;
    this.strip.element.hidden = isOpen;
    const images = chosen.slice(0, app.imagesShown);
    const left = chosen.length - images.length;
    this.more.hidden = !left || isOpen;
    this.more.textContent = `Show ${left} more`;
    if (isOpen) this.showOpened(scene, view.open, pins);
    else {
      const rows = scene.rowsOf(images);
      const widest = Math.max(1, ...rows.map(({ cells }) => cells.length));
      const { size } = this.fit(
        kind === "classes" ? widest : columns.length - (kind === "epochs" ? 1 : 0),
      );
      const heads =
        kind === "classes"
          ? []
          : [
              { name: "", isFixed: true },
              ...columns.map((one) => ({ ...one, isFixed: one.isNow })),
            ];
      this.strip.show(heads, rows, { size, room: this.main.clientWidth - MARGIN });
      this.rows = rows;
    }
    this.legends = scene.legends.map(({ unit, look, values }) => ({
      look,
      words: values.length === 1 ? scaleWords(values[0], unit) : `${unit}, each to its own largest`,
    }));
    this.toolbar.showLegends(this.legends, this.isNight);
    this.title = `${nameOf(lead.run, lead.tag)}, ${lead.moment}`;
    return [chosen.length || isOpen ? "" : "No image is of this kind."];
  }

  showOpened(scene, number, pins) {
    const { app } = this;
    const { lead, view, runs } = app;
    const own = { ...view, columns: "" };
    const line =
      linesOf(lead, number, own, lead)[0] ??
      linesOf(lead, number, { ...own, shown: "usual" }, lead)[0];
    const map = mapOf({ snapshot: lead, number }, line, lead);
    const drawings = linesOf(lead, number, { ...own, shown: "each" }, lead)
      .map((one) => mapOf({ snapshot: lead, number }, one, lead))
      .map((one) => ({ map: one, drawn: scene.drawnOf(lead, number, one) }))
      .filter(({ drawn }) => drawn);
    const image = {
      snapshot: lead,
      number,
      line,
      map,
      pins,
      runs,
      drawings,
      title: lead.titleOf(number),
      verdict: () => verdictOf(lead, number),
      photograph: () => photographOf(lead, number),
      drawn: scene.drawnOf(lead, number, map, true),
      doubt: doubtOf(lead, number, map),
      pick: (step) => app.moveTo(placeNear(lead.series, step)),
    };
    this.rows = [scene.rowOf(number, [line], true)];
    this.opened.show(image, [this.main.clientWidth - MARGIN, this.main.clientHeight]);
  }

  /** Offers what can be chosen. */
  offer() {
    const { app } = this;
    const { lead, runs, kind } = app;
    const view = { ...app.view, columns: kind, style: lead.lookOf(app.view).style };
    const { run, tag, series, place, facts } = lead;
    const sources = runs.flatMap((one) =>
      one.tags.map((each) => [JSON.stringify([one.run, each]), nameOf(one.run, each)]),
    );
    const known = facts.rows.filter(({ right }) => right !== null);
    const mistakes = known.length ? known.filter(({ right }) => right === false).length : null;
    const moments = series.map(momentOf);
    this.toolbar.show({
      sources,
      source: JSON.stringify([run, tag]),
      moments,
      place,
      panel: view.panel,
      mistakes,
      suspicions: suspicionsOf(app.summary),
      hasAtlas: Boolean(facts.places),
    });
    const numbers = facts.rows.flatMap((row) => [...row.explained, ...row.true]);
    const classes = [...new Set(numbers)]
      .sort((a, b) => a - b)
      .map((one) => [String(one), lead.nameOf(one)]);
    const isSeries = series.length > 1;
    this.controls.show(view, {
      classes,
      hasDoubt: facts.has_errors,
      isSeries,
      hasRuns: runs.length > 1,
    });
    this.controls.element.hidden = view.panel !== "controls";
    this.mistakes.hidden = view.panel !== "mistakes";
    if (view.panel === "mistakes")
      this.mistakes.replaceChildren(...mistakesOf(app, (what) => app.change(what)));
    const isAtlas = view.panel === "atlas" && Boolean(facts.places);
    this.atlas.element.hidden = !isAtlas;
    this.drawer.classList.toggle("wide", isAtlas);
    this.drawer.classList.toggle("fitting", view.panel === "mistakes");
    if (isAtlas) this.atlas.show(lead, view, this.isNight);
    this.controls.link.href = app.linkOf(encoded(app.view));
    this.numbers.show(lead);
    if (view.panel === "controls") this.settings.replaceChildren(settingsOf(lead));
  }

  say(words) {
    this.readout.textContent = words;
  }
}

/** The place of the explanation that is nearest to a step. */
function placeNear(series, step) {
  const away = series.map((facts) => Math.abs(facts.step - step));
  return away.indexOf(Math.min(...away));
}

/** What a run and its tag are called. */
export function nameOf(run, tag) {
  const short = tag.endsWith(ENDING) ? tag.slice(0, -ENDING.length) : tag;
  return short === run ? run : `${run} \u00b7 ${short}`;
}
