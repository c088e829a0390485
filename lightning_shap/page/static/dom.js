// Elements of the page. Whatever a user gave a name to becomes text here, and never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in { value: 1, checked: 1, disabled: 1 }) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element; functions under names such as "onclick" are its listeners. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** A number as people read it, with its sign where it is a difference. */
export function numeral(value, { sign = false, digits = 3 } = {}) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "unknown";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e5)
      ? size.toExponential(digits - 1)
      : String(Number(size.toPrecision(digits)));
  if (value < 0) return `\u2212${text}`;
  return sign && value > 0 ? `+${text}` : text;
}

/** A number to the two digits that its standard error has, and that error; with none, as it is. */
export function withError(value, error, unit = "") {
  if (!(error > 1e-9 * Math.abs(value) && error < Infinity)) return `${numeral(value)}${unit}`;
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(error)));
  const [said, about] = [value, error].map((one) =>
    (Number(one.toFixed(decimals)) + 0).toFixed(decimals),
  );
  return `${said.replace("-", "\u2212")}${unit} \u00b1 ${about}${unit}`;
}

/** Numbers with as many decimals each, those that the largest needs for three digits. */
export function alike(...values) {
  const largest = Math.max(...values.map(Math.abs));
  if (!(largest >= 1e-3 && largest < 1e5)) return values.map((value) => numeral(value));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(largest)));
  const rounded = values.map((value) => Number(value.toFixed(decimals)) + 0); // no minus zero
  return rounded.map((value) => value.toFixed(decimals).replace("-", "\u2212"));
}

/** A probability as pictures write it: of what is all but certain nobody counts the zeros. */
export function likelihood(probability) {
  if (probability < 0.0005) return "<0.1 %";
  return probability >= 0.9995 ? ">99.9 %" : `${(100 * probability).toFixed(1)} %`;
}

/** A name of any length: its middle is left out where it is long, and pointing at it shows all. */
export function called(name, most = 40) {
  const letters = [...name];
  const [head, tail] = [Math.ceil(0.6 * (most - 1)), Math.floor(0.4 * (most - 1))];
  const isLong = letters.length > most;
  const short = isLong
    ? `${letters.slice(0, head).join("")}\u2026${letters.slice(-tail).join("")}`
    : name;
  // By itself, so that a name from right to left turns nothing around it.
  return html("bdi", { title: isLong ? name : undefined }, short);
}

/** A sentence whose names are cut each by itself, and turn nothing around them. */
export function sentence(words, names, most) {
  const known = [...new Set(names)].filter(Boolean).sort((a, b) => b.length - a.length);
  let parts = [words];
  for (const name of known) {
    parts = parts.flatMap((part) => {
      if (typeof part !== "string") return [part];
      return part.split(name).flatMap((text, at) => (at ? [called(name, most), text] : [text]));
    });
  }
  return parts.filter((part) => part !== "");
}

/** The names of a class, and of one that it is compared with. */
export function namesTag(names, most) {
  return html(
    "span",
    {},
    ...names.flatMap((name, at) => [at ? " rather than " : "", called(name, most)]),
  );
}

/** A share as a percentage. */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "unknown";
  return `${numeral(100 * share, { digits: share < 0.1 ? 2 : 3 })} %`;
}

/** Has a select offer [value, text] pairs, and choose one of them. */
export function offer(select, options, chosen) {
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    select.replaceChildren(...options.map(([value, text]) => html("option", { value }, text)));
  }
  select.value = chosen;
}
