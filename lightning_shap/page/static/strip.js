// The filmstrip: a row for each image, a column for each epoch, run or class; cells as large as the
// window allows.

import { called, html, likelihood } from "./dom.js";
import { MapCanvas } from "./map_canvas.js";

const GAP = 6;
const HEAD = 62; // of a row beside its maps: title and captions
const ROWS_SEEN = 2; // at least, unless a window is flat

/**
 * How wide cells are, and how many columns of maps have room, in a window of a size.
 *
 * wanted: columns that there are; beside: further cells of each row; rows: of the strip; ratio: of
 * the height of an image to its width; isFixed: all columns are to be shown.
 */
export function fitCells({ width, height, wanted, beside, rows, ratio, isFixed }) {
  const least = width < 700 ? 64 : 104;
  const across = (count) => (width - GAP * (count - 1)) / count;
  const tall = Math.max(least, (height / Math.min(ROWS_SEEN, Math.max(1, rows)) - HEAD) / ratio);
  const room = Math.max(1, Math.floor((width + GAP) / (least * 1.15 + GAP)) - beside);
  const all = across(wanted + beside);
  if (all >= least || wanted <= 1)
    return { columns: wanted, size: Math.floor(Math.min(all, tall)) };
  if (isFixed) return { columns: wanted, size: least };
  const columns = Math.min(wanted, room);
  return { columns, size: Math.floor(Math.min(across(columns + beside), tall)) };
}

class Cell {
  constructor(strip, row) {
    this.map = new MapCanvas(strip.say, (shares) => row.point(shares));
    this.caption = html("figcaption");
    this.lack = html("p", { class: "lack", hidden: true });
    this.element = html("figure", { class: "cell" }, this.map.element, this.lack, this.caption);
    this.map.element.addEventListener("click", () => strip.open(this.shown));
    this.map.element.tabIndex = -1;
    this.map.isSeen = false;
    strip.seen.observe(this.element);
    this.element.cell = this;
  }

  /** shown: {drawn, key, caption, isCurrent, lack, label, ...}; drawn: null where there is no map. */
  show(shown, size) {
    this.shown = shown;
    const { drawn, lack, isCurrent, label } = shown;
    this.map.element.hidden = Boolean(lack);
    this.lack.hidden = !lack;
    this.lack.textContent = lack ?? "";
    this.element.classList.toggle("current", Boolean(isCurrent));
    this.element.classList.toggle("waiting", !drawn && !lack);
    this.map.element.setAttribute("aria-label", label);
    if (this.captioned !== shown.captionKey) {
      this.captioned = shown.captionKey;
      this.caption.replaceChildren(...shown.caption());
    }
    if (drawn) this.map.show(drawn, size);
  }
}

class Row {
  constructor(strip) {
    this.strip = strip;
    this.cells = [];
    this.heading = html("h2");
    this.verdict = html("p", { class: "verdict" });
    this.photograph = html("figure", { class: "photograph" });
    this.line = html("div", { class: "line" }, this.photograph);
    this.element = html(
      "section",
      { class: "sample" },
      html("header", {}, this.heading, this.verdict),
      this.line,
    );
  }

  /** row: {title, verdict, verdictKey, photograph, cells, isFirst}, as `App` makes it. */
  show(row, size) {
    const { title, photograph, cells } = row;
    this.element.classList.toggle("further", !row.isFirst);
    this.element.setAttribute("aria-label", row.label);
    if (this.titled !== row.verdictKey) {
      this.titled = row.verdictKey;
      this.heading.replaceChildren(called(title, 60));
      this.verdict.replaceChildren(...row.verdict());
    }
    if (this.pictured !== row.photographKey) {
      this.pictured = row.photographKey;
      this.photograph.replaceChildren(photograph());
    }
    while (this.cells.length < cells.length) {
      this.cells.push(new Cell(this.strip, this));
      this.line.append(this.cells.at(-1).element);
    }
    for (const cell of this.cells.splice(cells.length)) cell.element.remove();
    cells.forEach((cell, at) => this.cells[at].show(cell, size));
  }

  /** Shows in all cells where somebody points in one. */
  point(shares) {
    this.line.classList.toggle("pointing", shares !== null);
    if (!shares) return;
    this.line.style.setProperty("--x", shares[0]);
    this.line.style.setProperty("--y", shares[1]);
  }
}

export class Strip {
  /** open: is told which cell is opened; pick: which column is chosen; say: shows words. */
  constructor({ open, pick, say }) {
    Object.assign(this, { open, pick, say, rows: [] });
    this.seen = new IntersectionObserver((entries) => entries.forEach((entry) => seeCell(entry)), {
      rootMargin: "200px",
    });
    this.heads = html("div", { class: "heads" });
    this.body = html("div", { class: "samples", onkeydown: (event) => this.key(event) });
    this.element = html("div", { class: "strip" }, this.heads, this.body);
  }

  /** heads: [{name, key, isCurrent, isFixed}, ...], the first for the photographs; rows: see `Row`. */
  show(heads, rows, { size, room }) {
    this.element.style.setProperty("--room", `${room}px`);
    this.element.style.setProperty("--cell", `${size}px`);
    this.heads.replaceChildren(
      ...heads.map(({ name, key, isCurrent, isFixed }) =>
        isFixed
          ? html("span", { class: "head" }, called(name, 24))
          : html(
              "button",
              {
                type: "button",
                class: "head",
                "aria-pressed": String(Boolean(isCurrent)),
                onclick: () => this.pick(key),
              },
              called(name, 24),
            ),
      ),
    );
    while (this.rows.length < rows.length) {
      this.rows.push(new Row(this));
      this.body.append(this.rows.at(-1).element);
    }
    for (const row of this.rows.splice(rows.length)) row.element.remove();
    rows.forEach((row, at) => this.rows[at].show(row, size));
    const maps = this.body.querySelectorAll(".map:not([hidden])");
    if (![...maps].some((map) => map.tabIndex === 0) && maps.length) maps[0].tabIndex = 0;
  }

  /** Arrow keys go from map to map; one of them is in the order of the page. */
  key(event) {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const move = moves[event.key];
    const from = event.target.closest(".cell");
    if (!move || !from) return;
    const grid = this.rows.map((row) => row.cells.map((cell) => cell.element));
    const row = grid.findIndex((cells) => cells.includes(from));
    const cells = grid[Math.max(0, Math.min(grid.length - 1, row + move[0]))];
    const at = Math.max(0, Math.min(cells.length - 1, grid[row].indexOf(from) + move[1]));
    const button = cells[at].querySelector(".map:not([hidden])");
    if (button) {
      for (const other of this.body.querySelectorAll(".map[tabindex='0']")) other.tabIndex = -1;
      button.tabIndex = 0;
      button.focus();
      button.scrollIntoView({ block: "nearest" });
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

function seeCell({ target, isIntersecting }) {
  const { map } = target.cell;
  map.isSeen = isIntersecting;
  map.paint();
}

/** What stands under a small map: how probable its class was then, and whether that was right. */
export function captionOf(row, { number, probability }) {
  const parts = [];
  if (Number.isFinite(probability)) parts.push(likelihood(probability));
  else if (Number.isFinite(row.outputs?.[number])) parts.push(row.outputs[number].toPrecision(3));
  const words = [html("span", {}, ...parts)];
  if (row.right === false)
    words.push(html("span", { class: "wrong", title: "taken for another class" }, "\u2717"));
  return words;
}
