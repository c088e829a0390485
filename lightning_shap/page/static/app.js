// The page: one view, redrawn whenever something in it changes.

import { epochsOf, linesOf, placeLike } from "./columns.js";
import { Reader, usualTag } from "./reader.js";
import { chooseImages } from "./rows.js";
import { shortMomentOf } from "./snapshot.js";
import { Stage } from "./stage.js";
import { encoded, freshView } from "./view_state.js";

const FIRST_IMAGES = 24; // at once; more on demand
const HOW_TO =
  "There are no explanations here yet. A training logs them with one line: " +
  "Trainer(callbacks=[lightning_shap.ShapCallback()])";
const PASSING = ["step", "strength", "cut", "find", "every"]; // these leave no trace to go back to

export class App {
  /**
   * source: where the data is; linkOf: the address of a view, from how it is said; follow: what to
   * do with the address of the view that is shown, and whether the one before is to be kept.
   */
  constructor(root, source, { view = freshView(), linkOf, follow }) {
    Object.assign(this, { view, linkOf, follow, source, runs: [], lead: null, columns: [] });
    this.reader = new Reader(source);
    this.imagesShown = FIRST_IMAGES;
    this.stage = new Stage(root, this);
  }

  /** Looks for what is new, as when a training goes on. */
  async reload() {
    this.reader.refresh();
    this.stage.numbers.forget();
    await this.draw();
  }

  /** Draws anew only if there is something new: what somebody points at stays as it is. */
  async lookAgain() {
    const { lead } = this;
    if (!lead?.facts || this.isLacking) return this.reload();
    try {
      const now = await this.source.series(lead.run, lead.tag);
      const { series } = lead;
      if (now.length === series.length && now.at(-1).wall_time === series.at(-1).wall_time) return;
    } catch {
      // What cannot be asked is said when it is drawn.
    }
    return this.reload();
  }

  change(change) {
    const isPassing = Object.keys(change).every((name) => PASSING.includes(name));
    this.isKept = this.isKept || !isPassing; // of changes that overtake one another, all count
    Object.assign(this.view, change);
    return this.draw();
  }

  /** Shows a view that an address says. */
  goTo(view) {
    this.view = view;
    this.isKept = false;
    return this.draw();
  }

  moveTo(place) {
    return this.change({ step: this.stepAt(place) });
  }

  /** How a view says a place of the series: the latest stays with the training as it goes on. */
  stepAt(place) {
    const { series } = this.lead;
    return place === series.length - 1 ? null : series[place].step;
  }

  /** A column is chosen: an epoch, or a run. */
  pick(key) {
    const column = this.columns.find((one) => one.key === key);
    if (column.run !== this.lead.run)
      return this.change({ run: column.run, tag: column.tag, step: null });
    return this.moveTo(column.place);
  }

  /** A cell is opened: its image, in the epoch or run of its column. */
  open({ number, line, column }) {
    const change = { open: number };
    const { run, tag, snapshot } = column;
    if (run && run !== this.lead.run) {
      const open = this.scene.partner(snapshot, number);
      return this.change({ open, run, tag, step: null, shown: "usual" });
    }
    if (column.place !== undefined) change.step = this.stepAt(column.place);
    const isOne = line.rival === undefined && ["each", "usual"].includes(this.view.shown);
    const asUsual = { ...this.view, columns: "", shown: "usual" };
    const [usual] = linesOf(this.lead, number, asUsual, this.lead);
    if (isOne && line.wanted !== usual?.wanted) change.shown = String(line.wanted);
    return this.change(change);
  }

  go(by) {
    const chosen = chooseImages(this.lead, this.view);
    const at = chosen.indexOf(this.view.open);
    const next = this.view.open === null ? 0 : at + by;
    if (chosen[next] !== undefined) this.change({ open: chosen[next] });
  }

  toggle(panel) {
    if (panel === "mistakes") {
      const usual = { panel: "", filter: "all", pair: "", shown: "usual" };
      if (this.view.panel === panel) return this.change(usual);
      const isAny = this.lead.facts.rows.some(({ right }) => right === false);
      const wrong = isAny ? { filter: "mistakes", shown: "taken" } : {};
      return this.change({ ...usual, panel, ...wrong, open: null });
    }
    const isOpen = this.view.panel === panel;
    return this.change({
      panel: isOpen ? "" : panel,
      ...(panel === "atlas" && isOpen ? { chosen: "" } : {}),
    });
  }

  /** Draws the view; of drawings that overtake one another, the last one counts. */
  async draw() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.stage.main.setAttribute("aria-busy", "true");
    this.problem = "";
    try {
      this.runs = await this.reader.runs();
      if (this.runs.length) {
        const { view, lead } = await this.reader.lead(this.view, this.runs);
        if (turn !== this.turn) return;
        Object.assign(this, { view, lead });
      } else this.problem = HOW_TO;
      if (turn !== this.turn) return;
      if (this.lead?.facts) {
        this.summary = await this.findBeside("classes", ({ classes }) => classes);
        await this.fill(turn);
      } else this.columns = [];
    } catch (error) {
      if (turn !== this.turn) return;
      this.problem = `The explanations could not be loaded: ${error.message}.`;
    }
    if (turn !== this.turn) return;
    this.show();
    this.stage.main.setAttribute("aria-busy", "false");
    document.documentElement.dataset.drawn = String(turn);
  }

  /** An explanation of the run under a tag of some end that has something: {tag, facts}, or null. */
  async findBeside(end, has) {
    const { run, tag, facts } = this.lead;
    if (has(facts)) return { tag, facts };
    const { tags } = this.runs.find((one) => one.run === run);
    const there = tags.find((one) => new RegExp(`_${end}(/|$)`).test(one));
    const series = there ? await this.reader.series(run, there).catch(() => []) : [];
    return series.length && has(series.at(-1)) ? { tag: there, facts: series.at(-1) } : null;
  }

  /** Has the columns be loaded, and shows them as they come. */
  async fill(turn) {
    this.columns = await this.columnsOf();
    if (turn !== this.turn) return;
    const { lead, view } = this;
    const shown = chooseImages(lead, view).slice(0, this.imagesShown);
    const numbers = this.isOpen ? [view.open] : shown;
    for (const column of this.columns) column.snapshot = this.reader.known(column, numbers);
    const missing = this.columns.filter(({ snapshot }) => !snapshot);
    if (missing.length || numbers.some((number) => lead.isComing(number))) this.show();
    if (numbers.some((number) => lead.isComing(number))) {
      const more = await this.reader.snapshot(lead, numbers);
      if (turn !== this.turn) return;
      this.lead = more;
    }
    await Promise.all(
      missing.map(async (column) => {
        column.snapshot = await this.reader.snapshot(column, numbers);
        if (turn !== this.turn || this.isWaiting) return;
        this.isWaiting = true;
        requestAnimationFrame(() => {
          this.isWaiting = false;
          if (this.lead && turn === this.turn) this.show();
        });
      }),
    );
  }

  /** Whether an image is shown large: a link may say one that there is not. */
  get isOpen() {
    return this.view.open !== null && this.lead.row(this.view.open) !== undefined;
  }

  /** What stands side by side: epochs, runs or classes, as far as there are several. */
  get kind() {
    const { columns } = this.view;
    if (columns === "epochs" && this.lead.series.length < 2) return "classes";
    return columns === "runs" && this.runs.length < 2 ? "classes" : columns;
  }

  /** The columns that have room: [{key, name, run, tag, series, place, isCurrent, isNow}, ...]. */
  async columnsOf() {
    const { lead, view } = this;
    if (this.kind === "classes") return [];
    if (this.kind === "runs") {
      const named = this.runs.filter(({ run }) => run.includes(view.find));
      const columns = await Promise.all(named.map((one) => this.runColumn(one)));
      return columns.filter((one) => one !== null);
    }
    const most = this.stage.fit(Math.ceil(lead.series.length / (view.every || 1))).columns;
    const columns = epochsOf(lead, most, view.every);
    const now = { key: "now", name: `now: ${shortMomentOf(lead.facts)}`, isNow: true };
    const { run, tag, series, place } = lead;
    return [
      { ...now, run, tag, series, place },
      ...columns.map((one) => ({ ...one, isCurrent: one.place === lead.place })),
    ];
  }

  async runColumn({ run, tags }) {
    const tag = tags.includes(this.lead.tag) ? this.lead.tag : usualTag(tags);
    const series = await this.reader.series(run, tag).catch(() => []);
    if (!series.length) return null;
    const isCurrent = run === this.lead.run;
    const place = isCurrent ? this.lead.place : placeLike(series, this.lead);
    return { key: run, name: run, run, tag, series, place, isCurrent };
  }

  /** Shows what there is. */
  show() {
    this.stage.show();
    if (!this.lead?.facts) return;
    const address = this.linkOf(encoded(this.view));
    this.follow(address, !this.isKept);
    this.isKept = false;
  }

  showMore() {
    this.imagesShown += FIRST_IMAGES;
    return this.draw();
  }
}
