// What a view is chosen with: native controls, so that a keyboard and a screen reader know them.

import { TAKEN, USUAL } from "./columns.js";
import { html, offer } from "./dom.js";
import { STYLES } from "./paint.js";

const FEW = 12; // choices; of more classes one is found by typing

const OPTIONS = {
  columns: [
    ["epochs", "epochs"],
    ["runs", "runs"],
    ["classes", "classes"],
  ],
  style: STYLES,
  filter: [
    ["all", "all"],
    ["mistakes", "mistakes"],
    ["changed", "changed prediction"],
  ],
  doubt: [
    ["hatch", "hatched"],
    ["hide", "hidden"],
    ["show", "as if sure"],
  ],
  per: [
    ["area", "per area"],
    ["region", "per region"],
  ],
  scale: [
    ["all", "all images"],
    ["each", "each image"],
    ["class", "each class"],
  ],
};

function labelled(text, control) {
  return html("label", {}, html("span", {}, text), control);
}

/** A class: chosen from a list, or of many by typing a part of its name. */
class ClassField {
  constructor(text, first, change) {
    Object.assign(this, { text, first, change });
    this.select = html("select", { onchange: () => change(this.select.value) });
    this.list = html("datalist", { id: `names-${text.replace(/\W/g, "")}` });
    this.typed = html("input", {
      type: "search",
      list: this.list.id,
      placeholder: "type a class",
      "aria-label": `${text}, by name`,
      onchange: () => this.find(),
    });
    this.element = html(
      "div",
      { class: "field" },
      labelled(text, this.select),
      this.typed,
      this.list,
    );
  }

  /** classes: [[number, name], ...]; of many only the one that is chosen is in the list. */
  show(classes, chosen) {
    this.byName = new Map(classes.map(([number, name]) => [name, number]));
    const isMany = classes.length > FEW;
    const listed = isMany ? classes.filter(([number]) => number === chosen) : classes;
    offer(this.select, [...this.first, ...listed], chosen);
    this.typed.hidden = !isMany;
    const wanted = isMany ? classes.map(([, name]) => name) : [];
    if (this.list.children.length !== wanted.length) {
      this.list.replaceChildren(...wanted.map((value) => html("option", { value })));
    }
  }

  find() {
    const { value } = this.typed;
    const name = this.byName.has(value)
      ? value
      : [...this.byName.keys()].find((one) => one.toLowerCase().includes(value.toLowerCase()));
    if (!value || name === undefined) return;
    this.typed.value = "";
    this.change(this.byName.get(name));
  }
}

export class Controls {
  /** change: is told what of the view changes; save: the kind of a file. */
  constructor(change, save) {
    const select = (name) =>
      html("select", { onchange: (e) => change({ [name]: e.target.value }) });
    const range = (name, min) =>
      html("input", {
        type: "range",
        min,
        max: 100,
        step: 1,
        oninput: (e) => change({ [name]: Number(e.target.value) }),
      });
    const fields = Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, select(name)]));
    Object.assign(fields, { strength: range("strength", 5), cut: range("cut", 0) });
    fields.every = html("input", {
      type: "number",
      placeholder: "as fit",
      min: 0,
      max: 9999,
      onchange: (e) => change({ every: Math.max(0, Math.round(Number(e.target.value) || 0)) }),
    });
    fields.find = html("input", {
      type: "search",
      oninput: (e) => change({ find: e.target.value }),
    });
    this.fields = fields;
    const usual = [
      [USUAL, "true, else predicted"],
      ["each", "each explained class"],
      [TAKEN, "predicted rather than true"],
    ];
    this.shown = new ClassField("Class", usual, (shown) => change({ shown }));
    this.against = new ClassField("rather than", [["", "nothing else"]], (against) =>
      change({ against }),
    );
    this.only = new ClassField("of class", [["", "any"]], (only) => change({ only, pair: "" }));
    this.every = labelled("Every n-th epoch", fields.every);
    this.find = labelled("Runs named", fields.find);
    this.link = html("a", { target: "_top" }, "Link to this view");
    const button = (text, kind) =>
      html("button", { type: "button", onclick: () => save(kind) }, text);
    const group = (title, ...parts) => html("fieldset", {}, html("legend", {}, title), ...parts);
    this.element = html(
      "div",
      { class: "controls" },
      group("Side by side", labelled("Columns", fields.columns), this.every, this.find),
      group("Maps of", this.shown.element, this.against.element),
      group("Images", labelled("Which", fields.filter), this.only.element),
      group(
        "Colours",
        labelled("Style", fields.style),
        labelled("Strength", fields.strength),
        labelled("Hide weak", fields.cut),
        labelled("Doubtful", fields.doubt),
        labelled("Value", fields.per),
        labelled("One scale for", fields.scale),
      ),
      group(
        "Keep",
        html(
          "div",
          { class: "tools" },
          this.link,
          button("PNG", "png"),
          button("SVG", "svg"),
          button("Values (NPZ)", "npz"),
          button("Print", "print"),
        ),
      ),
    );
  }

  show(view, { classes, hasDoubt, isSeries, hasRuns }) {
    const { fields } = this;
    for (const [name, options] of Object.entries(OPTIONS)) {
      const there = options.filter(([value]) => value !== "runs" || hasRuns);
      offer(fields[name], there, view[name]);
    }
    this.every.hidden = view.columns !== "epochs" || !isSeries;
    this.find.hidden = view.columns !== "runs";
    this.shown.show(classes, view.shown);
    this.against.show(classes, view.against);
    this.against.element.hidden = [USUAL, "each", TAKEN].includes(view.shown);
    this.only.show(classes, view.only);
    fields.doubt.disabled = !hasDoubt;
    for (const name of ["every", "find", "strength", "cut"]) {
      if (document.activeElement !== fields[name]) fields[name].value = view[name];
    }
    if (!view.every) fields.every.value = "";
    fields.strength.setAttribute("aria-valuetext", `${view.strength} percent`);
    fields.cut.setAttribute("aria-valuetext", `below ${view.cut} percent of full colour`);
  }
}
