// What a view shows, in a form that a link can hold.

const DEFAULTS = {
  run: "",
  tag: "",
  step: null, // the latest
  compare: "", // "", "control" or "other"
  run2: "",
  tag2: "",
  step2: null,
  shown: "each", // each explained class, "taken" for what is predicted instead, or a number
  against: "", // the number of another class
  style: "", // what is usual for such images
  strength: 80,
  cut: 0,
  clear: false,
  filter: "all", // "mistakes", "changed"
  only: "", // samples of one class
};

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

/** A view from what a link says; what it cannot mean is left out. */
export function decoded(text) {
  const view = freshView();
  const said = new URLSearchParams(text);
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (!said.has(name)) continue;
    const value = said.get(name).slice(0, 4096);
    if (typeof usual === "boolean") view[name] = value === "true";
    else if (typeof usual === "number" || usual === null) {
      const number = Number(value);
      if (value !== "" && Number.isFinite(number)) view[name] = number;
    } else view[name] = value;
  }
  view.strength = Math.min(100, Math.max(5, view.strength));
  view.cut = Math.min(100, Math.max(0, view.cut));
  return view;
}
