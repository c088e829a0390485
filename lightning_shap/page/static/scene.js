// What a view draws: which maps stand in which rows and columns, on which scale, under which words.

import { html, likelihood, namesTag, sentence } from "./dom.js";
import { linesOf, mapOf } from "./columns.js";
import { isSmooth } from "./paint.js";
import { outlinesOf } from "./pin_board.js";
import { partnersOf } from "./rows.js";
import { captionOf } from "./strip.js";

export class Scene {
  /** columns: [{key, name, snapshot: null while it is loaded, isCurrent}, ...]; isNight: a dark page. */
  constructor({ view, lead, columns, pins, isNight }) {
    Object.assign(this, { view, lead, columns, pins, isNight });
    const there = [lead, ...columns.map(({ snapshot }) => snapshot)].filter(
      (one) => one?.explanation,
    );
    this.there = [...new Set(there)];
    this.fulls = new Map();
  }

  /** What colours count for a snapshot. */
  unitOf(snapshot) {
    if (this.view.per === "area") return snapshot.colourUnit;
    return snapshot.colourUnit.replace(/per .*$/, "per region");
  }

  /** Where colours are full: one unit has one scale, for all images, each, or each class. */
  fullOf(snapshot, number, map) {
    const { scale, per } = this.view;
    const unit = this.unitOf(snapshot);
    const of = { all: "", each: number, class: map.name }[scale];
    const key = JSON.stringify([unit, of]);
    if (!this.fulls.has(key)) {
      const alike = this.there.filter((one) => this.unitOf(one) === unit);
      const isPeak = scale === "all" && per === "area";
      const full = isPeak
        ? Math.max(...alike.map((one) => one.peak))
        : this.largest(alike, number, map);
      this.fulls.set(key, full);
    }
    return this.fulls.get(key);
  }

  /** The largest among the maps that share a scale. */
  largest(alike, number, map) {
    const { scale, per } = this.view;
    let most = 0;
    for (const snapshot of alike) {
      const rows = snapshot.facts.rows.keys();
      const partner = scale === "each" ? this.partner(snapshot, number) : null;
      for (const row of scale === "each" ? [partner] : rows) {
        if (row === undefined || row === null) continue;
        const { explanation, number: at } = snapshot.at(row);
        if (!explanation) continue; // of many images, those that were shown
        snapshot.row(row).explained.forEach((one, slot) => {
          if (scale === "class" && snapshot.nameOf(one) !== map.names[0]) return;
          most = Math.max(most, explanation.valuesOf(at, slot).full(per));
        });
      }
    }
    return most;
  }

  /** Which image of a snapshot is one of the lead's. */
  partner(snapshot, number) {
    if (snapshot.facts.samples === this.lead.facts.samples) return number;
    this.partners ??= new Map();
    if (!this.partners.has(snapshot)) this.partners.set(snapshot, partnersOf(this.lead, snapshot));
    return this.partners.get(snapshot)?.[number];
  }

  /** What a map is painted from, see `paint`; number: of the lead's image; null without a map. */
  drawnOf(snapshot, number, map, isPinned = false) {
    const there = this.partner(snapshot, number);
    if (map.lack || there === undefined) return null;
    const { explanation, samples, number: at } = snapshot.at(there);
    if (!explanation) return null;
    const full = this.fullOf(snapshot, number, map);
    const look = snapshot.lookOf(this.view);
    const found = explanation.valuesOf(at, map.slot, map.other);
    const { style, strength, cut, doubt, per } = look;
    const { run, tag, facts } = snapshot;
    const pins = isPinned ? this.pins : [];
    const isNight = this.isNight;
    const made = [run, tag, facts.step, facts.wall_time, there, map.slot, map.other];
    const how = [full, style, strength, cut, doubt, per, isNight, pins.map((pin) => pin.text)];
    return {
      photograph: samples?.photograph(at),
      isDark: snapshot.samples?.areDark ?? false,
      explanation,
      number: at,
      found,
      full,
      look,
      unit: snapshot.unit,
      name: map.name,
      isNight,
      pinned: outlinesOf(pins, explanation),
      key: JSON.stringify([...made, ...how]),
    };
  }

  /** The rows of some images, as the strip shows them. */
  rowsOf(numbers) {
    return numbers.flatMap((number) => {
      const lines = linesOf(this.lead, number, this.view, this.lead);
      if (this.view.columns === "classes") return [this.rowOf(number, lines, true)];
      if (!lines.length) return [this.rowOf(number, [], true)];
      return lines.map((line, at) => this.rowOf(number, [line], at === 0));
    });
  }

  rowOf(number, lines, isFirst) {
    const { lead, view } = this;
    const isClasses = view.columns === "classes";
    const title = lead.titleOf(number);
    const moments = isClasses ? [] : this.columns;
    const line = lines[0];
    const cells = isClasses
      ? lines.map((one) => this.cellOf({ snapshot: lead, key: "now" }, number, one, true))
      : line
        ? moments.map((column) => this.cellOf(column, number, line, false))
        : [];
    const map = line && mapOf({ snapshot: lead, number }, line, lead);
    const row = lead.row(number);
    const isSaid = isClasses || !map || (view.shown === "usual" && row.right); // by the verdict
    const words = isSaid ? "" : map.name;
    return {
      number,
      isFirst,
      title: isFirst ? title : "",
      label: `${title}${words ? `, maps of ${words}` : ""}`,
      verdictKey: JSON.stringify([
        title,
        isFirst,
        words,
        row.right,
        row.verdict,
        row.note,
        row.true,
        row.predicted,
      ]),
      verdict: () => [
        ...(isFirst ? verdictOf(lead, number) : []),
        ...(words ? [html("span", { class: "of" }, "maps of ", namesTag(map.names, 48))] : []),
      ],
      photographKey: `${lead.run} ${lead.facts.samples} ${Boolean(lead.at(number).samples)} ${number}`,
      photograph: () => photographOf(lead, number),
      canvas: canvasOf(lead, number),
      words: [{ true: "\u2713 right", false: "\u2717 wrong" }[row.right], row.verdict, row.note]
        .filter(Boolean)
        .join(" \u00b7 "),
      cells,
    };
  }

  cellOf(column, number, line, isClass) {
    const { snapshot, isCurrent, key } = column;
    const cell = {
      key,
      number,
      line,
      column,
      isCurrent,
      caption: () => [],
      captionKey: "",
      label: "Loading",
    };
    if (!snapshot) return { ...cell, drawn: null };
    const there = this.partner(snapshot, number);
    if (there === undefined) {
      const isKnown = snapshot.samples && this.lead.samples;
      const lack = isKnown ? "not among its images" : "no photographs to know it by";
      return { ...cell, drawn: null, lack };
    }
    if (snapshot.isComing(there)) return { ...cell, drawn: null };
    const map = mapOf({ snapshot, number: there }, line, this.lead);
    const row = snapshot.row(there);
    const drawn = this.drawnOf(snapshot, number, map);
    const likely = Number.isFinite(map.probability) ? likelihood(map.probability) : "";
    const when = isClass ? [map.role] : [column.name];
    return {
      ...cell,
      drawn,
      map,
      lack: drawn ? undefined : (map.lack ?? "The maps are missing."),
      label: [this.lead.titleOf(number), map.name, ...when, likely].filter(Boolean).join(", "),
      captionKey: JSON.stringify([map.name, map.role, map.detail, row.right, likely, isClass]),
      caption: () =>
        isClass
          ? [
              html("strong", {}, namesTag(map.names, 28)),
              html("span", {}, map.role),
              html("span", {}, map.detail),
            ]
          : captionOf(row, map),
    };
  }

  /** The legends of what is drawn: each full colour once. */
  get legends() {
    const known = new Map();
    for (const snapshot of this.there) {
      const look = snapshot.lookOf(this.view);
      const fulls = [...this.fulls].filter(([key]) => JSON.parse(key)[0] === this.unitOf(snapshot));
      const values = [...new Set(fulls.map(([, full]) => full))];
      if (!values.length) continue;
      const unit = this.unitOf(snapshot);
      known.set(JSON.stringify([unit, look.style]), { unit, look, values });
    }
    return [...known.values()];
  }
}

/** A photograph, null where it is missing. */
function canvasOf(snapshot, number) {
  const { samples, number: at } = snapshot.at(number);
  return samples?.photograph(at) ?? null;
}

/** A photograph as an element of its own: the canvas that is drawn from is one. */
export function photographOf(snapshot, number) {
  if (snapshot.isComing(number)) return html("canvas", { class: "coming" });
  const from = canvasOf(snapshot, number);
  if (!from) return html("p", { class: "lack" }, "The photograph is missing.");
  const canvas = html("canvas", { width: from.width, height: from.height, role: "img" });
  canvas.setAttribute("aria-label", `The photograph of image ${number}`);
  canvas.getContext("2d").drawImage(from, 0, 0);
  if (!isSmooth(from)) canvas.classList.add("crisp");
  return canvas;
}

/** Says what is true and predicted, and what else to know: in the facts' words, where there are. */
export function verdictOf(snapshot, number) {
  const { right, verdict, note, true: truth, predicted } = snapshot.row(number);
  const parts = [];
  if (right !== null) {
    const words = right ? "\u2713 right" : "\u2717 wrong";
    parts.push(html("span", { class: right ? "right" : "wrong" }, words));
  }
  const names = [...truth, ...predicted].map((one) => snapshot.nameOf(one));
  if (verdict)
    parts.push(html("span", { class: "words", title: verdict }, ...sentence(verdict, names)));
  if (note) parts.push(html("span", { class: "note", title: note }, note));
  if (verdict !== undefined) return parts;
  if (truth.length) parts.push(html("span", {}, `true: ${snapshot.namesOf(truth)}`));
  if (predicted.length) parts.push(html("span", {}, `predicted: ${snapshot.namesOf(predicted)}`));
  return parts;
}
