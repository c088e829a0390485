// What a view shows, in a form that a link can hold.

const DEFAULTS = {
  run: "",
  tag: "",
  step: null, // the latest
  columns: "epochs", // "runs", "classes"
  every: 0, // each so many epochs a column; 0 for as many as have room, evenly
  find: "", // runs whose names have this in them
  shown: "usual", // the true class, else what is predicted; "each", "taken" or a number
  against: "", // the number of another class
  style: "", // what is usual for such images
  strength: 80,
  cut: 0,
  doubt: "hatch", // what becomes of doubtful regions: also "hide" or "show"
  per: "area", // what colours count: also "region"
  scale: "all", // what one scale is for: also "each" image, or "class"
  filter: "all", // "mistakes", "changed"
  only: "", // samples of one class
  pair: "", // "3>5", samples of one class that are taken for another
  chosen: "", // "3-7.12", images that were chosen on the map of all
  open: null, // the image that is shown large
  pins: "",
  panel: "", // "controls", "mistakes", "atlas"
};
const CHOICES = {
  columns: ["epochs", "runs", "classes"],
  style: ["", "overlay", "tiles", "contour", "spotlight"],
  doubt: ["hatch", "hide", "show"],
  per: ["area", "region"],
  scale: ["all", "each", "class"],
  filter: ["all", "mistakes", "changed"],
  panel: ["", "controls", "mistakes", "atlas"],
};
const LONGEST = 65536; // of what a link says of one thing
const MOST_NUMBERS = 1e6; // images in a row

/** A view where nothing was chosen. */
export function freshView() {
  return { ...DEFAULTS };
}

/** What of a view is not as it is at first, as a link says it. */
export function encoded(view) {
  const said = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (view[name] !== usual && view[name] !== null) said.set(name, String(view[name]));
  }
  return said.toString();
}

/** Numbers as a link says them, in runs. */
export function sayNumbers(numbers) {
  const runs = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    if (runs.length && number === runs.at(-1)[1] + 1) runs.at(-1)[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(".");
}

/** Those numbers again. */
export function numbersOf(said) {
  const numbers = new Set();
  for (const run of said.split(".").filter(Boolean)) {
    const [first, last = first] = run.split("-").map(Number);
    for (let number = first; number <= Math.min(last, first + MOST_NUMBERS); number += 1)
      numbers.add(number);
  }
  return numbers;
}

/** A view from what a link says; what it cannot mean is left out. */
export function decoded(text) {
  const view = freshView();
  const said = new URLSearchParams(text);
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (!said.has(name)) continue;
    const value = said.get(name);
    if (value.length > LONGEST) continue; // a part of it may mean something else
    if (typeof usual === "number" || usual === null) {
      const number = Number(value);
      if (value !== "" && Number.isFinite(number)) view[name] = number;
    } else if (CHOICES[name]?.includes(value) ?? true) view[name] = value;
  }
  view.strength = Math.min(100, Math.max(5, view.strength));
  view.cut = Math.min(100, Math.max(0, view.cut));
  view.every = Math.max(0, Math.round(view.every));
  // Links from before there were columns.
  if (said.get("compare") === "other" && said.get("run2") !== said.get("run"))
    view.columns = "runs";
  if (said.get("clear") === "true") view.doubt = "hide";
  return view;
}
