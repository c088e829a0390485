// Places that are followed through epochs and runs: rectangles, regions, corners and the border.

import { PIN_COLOURS } from "./colours.js";
import { percent, withError } from "./dom.js";

const CORNERS = ["top left", "top right", "bottom left", "bottom right"];
const CORNER_SIDE = 1 / 4; // as in the package's metrics of place
const BORDER_WIDTH = 1 / 8;
export const PLACES = [...CORNERS.map((name) => [name, `${name} corner`]), ["border", "border"]];
export const MOST_PINS = PIN_COLOURS.length;

/** The pins that a view says, each {text, kind, ...}; what means nothing is left out. */
export function pinsOf(said) {
  return said
    .split(";")
    .map(pinOf)
    .filter((pin) => pin !== null)
    .slice(0, MOST_PINS);
}

function pinOf(text) {
  const [kind, rest] = text.split(":", 2);
  if (kind === "place" && PLACES.some(([name]) => name === rest)) return { text, kind, name: rest };
  if (kind === "box") {
    const sides = (rest ?? "").split(",").map(Number);
    const isBox = sides.length === 4 && sides.every((side) => side >= 0 && side <= 1);
    if (isBox && sides[0] < sides[2] && sides[1] < sides[3]) return { text, kind, sides };
  }
  if (kind === "area") {
    const [size, runs] = (rest ?? "").split("_", 2);
    const [width, height] = size.split("x").map(Number);
    const lengths = (runs ?? "").split(".").map((one) => parseInt(one, 36));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (width > 0 && height > 0 && total === width * height)
      return { text, kind, width, height, lengths };
  }
  return null;
}

/** A rectangle as a pin says it; from left, top to right, bottom, as shares of the sides. */
export function sayBox(sides) {
  return `box:${sides.map((side) => Number(Math.max(0, Math.min(1, side)).toFixed(4))).join()}`;
}

/** A region as a pin says it: a rectangle where it is one, else pixel by pixel. */
export function sayRegion(map, { width, height }, region) {
  let [left, top, right, bottom, count] = [width, height, 0, 0, 0];
  const lengths = [0];
  let isIn = false;
  for (let at = 0; at < map.length; at += 1) {
    const holds = map[at] === region;
    if (holds !== isIn) lengths.push(0);
    isIn = holds;
    lengths[lengths.length - 1] += 1;
    if (!holds) continue;
    const [x, y] = [at % width, Math.floor(at / width)];
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
    count += 1;
  }
  if (count === (right - left) * (bottom - top)) {
    return sayBox([left / width, top / height, right / width, bottom / height]);
  }
  return `area:${width}x${height}_${lengths.map((one) => one.toString(36)).join(".")}`;
}

/** What a pin is called. */
export function nameOfPin({ kind, name }) {
  if (kind === "place") return PLACES.find(([one]) => one === name)[1];
  return kind === "box" ? "rectangle" : "region";
}

const masks = new Map();

/** Which pixels of a map of some size a pin covers: 1 or 0 for each. */
export function maskOf(pin, { width, height }) {
  const key = `${width} ${height} ${pin.text}`;
  if (!masks.has(key)) {
    if (masks.size > 64) masks.clear();
    masks.set(key, drawMask(pin, width, height));
  }
  return masks.get(key);
}

function drawMask(pin, width, height) {
  const mask = new Uint8Array(width * height);
  if (pin.kind === "area") {
    const known = new Uint8Array(pin.width * pin.height);
    let at = 0;
    pin.lengths.forEach((length, number) => {
      if (number % 2) known.fill(1, at, at + length);
      at += length;
    });
    for (let pixel = 0; pixel < mask.length; pixel += 1) {
      const x = Math.floor((((pixel % width) + 0.5) * pin.width) / width);
      const y = Math.floor(((Math.floor(pixel / width) + 0.5) * pin.height) / height);
      mask[pixel] = known[y * pin.width + x];
    }
    return mask;
  }
  const isBorder = pin.name === "border";
  const [left, top, right, bottom] = isBorder ? [0, 0, 0, 0] : sidesOf(pin, width, height);
  const rim = [width, height].map((side) => Math.max(1, toEven(side * BORDER_WIDTH)));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const isIn = isBorder
        ? x < rim[0] || x >= width - rim[0] || y < rim[1] || y >= height - rim[1]
        : x >= left && x < right && y >= top && y < bottom;
      mask[y * width + x] = Number(isIn);
    }
  }
  return mask;
}

/** The sides of a rectangle in pixels, at least one apart. */
function sidesOf({ kind, name, sides }, width, height) {
  if (kind === "box") {
    const [left, top] = [Math.round(sides[0] * width), Math.round(sides[1] * height)];
    const [right, bottom] = [Math.round(sides[2] * width), Math.round(sides[3] * height)];
    return [left, top, Math.max(right, left + 1), Math.max(bottom, top + 1)];
  }
  const [x, y] = [width, height].map((side) => Math.max(1, toEven(side * CORNER_SIDE)));
  const isBottom = name.startsWith("bottom");
  const isRight = name.endsWith("right");
  return [
    isRight ? width - x : 0,
    isBottom ? height - y : 0,
    isRight ? width : x,
    isBottom ? height : y,
  ];
}

/** Rounds a half to what is even, as Python does. */
function toEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** Which part of each region a pin covers. */
function weightsOf({ sizes }, map, mask) {
  const inside = new Float64Array(sizes.length);
  for (let at = 0; at < mask.length; at += 1) inside[map[at]] += mask[at];
  return inside.map((count, region) => count && count / sizes[region]);
}

/** What a pin has of a map: its share of all attribution, its value, and its share of the area. */
export function measure(found, map, mask) {
  let [magnitude, value] = [0, 0];
  weightsOf(found, map, mask).forEach((part, region) => {
    value += part * found.values[region];
    magnitude += part * Math.abs(found.values[region]);
  });
  const pixels = mask.reduce((sum, one) => sum + one, 0);
  return {
    share: found.magnitude ? magnitude / found.magnitude : 0,
    value,
    area: pixels / mask.length,
  };
}

/**
 * The standard error of that value, null where none is known.
 *
 * Errors of regions correlate, and over all regions there is none, since their values are known to
 * add up: so the weight that all regions have in a place is no part of it.
 */
export function standardErrorOf(found, map, mask) {
  const { errors, triangle } = found;
  if (!errors || !triangle) return null;
  const weights = weightsOf(found, map, mask);
  const mean = weights.reduce((sum, one) => sum + one, 0) / weights.length;
  const parts = weights.map((weight, region) => (weight - mean) * errors[region]);
  let [square, at] = [0, 0];
  for (let one = 0; one < parts.length; one += 1) {
    square += parts[one] ** 2;
    for (let other = one + 1; other < parts.length; other += 1, at += 1)
      square += 2 * parts[one] * triangle[at] * parts[other];
  }
  return Math.sqrt(Math.max(0, square));
}

const LEAST_LEVEL = 5; // percent; below, nothing is said to begin

/**
 * Since when a place counts, in words: from which epoch on its share stays above a level, which is
 * half of what it is in the end, in steps of 5 %. points: [{name, share}, ...] in their order.
 */
export function sinceWhen(points) {
  if (!points.length) return "";
  const last = points.at(-1).share;
  const level = Math.max(LEAST_LEVEL, 5 * Math.floor((100 * last) / 2 / 5));
  const most = points.reduce((best, one) => (one.share > best.share ? one : best));
  if (100 * last <= LEAST_LEVEL) {
    if (100 * most.share <= LEAST_LEVEL) return `never above ${LEAST_LEVEL} %`;
    return `at most ${percent(most.share)}, at ${most.name}; not above ${LEAST_LEVEL} % in the end`;
  }
  let first = points.length - 1;
  while (first > 0 && 100 * points[first - 1].share > level) first -= 1;
  if (first === 0) return `above ${level} % all along`;
  return `from ${points[first].name} on above ${level} %`;
}

/**
 * What a pin has of a map, in words: its value and its share of what the map adds up to, with their
 * error where it is known, and its share of the attribution.
 */
export function wordsOf({ value, error, share, area }, { change, unit }) {
  const ofChange = change
    ? ` \u00b7 ${withError((100 * value) / change, (100 * error) / Math.abs(change), " %")} of the change`
    : "";
  return (
    `${withError(value, error)} ${unit}${ofChange} \u00b7 ` +
    `${percent(share)} of the attribution, on ${percent(area)} of the image`
  );
}
