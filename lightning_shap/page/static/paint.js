// Maps: what regions add, over the photograph they are regions of.

import { colourOf, inkOf, opacityOf } from "./colours.js";
import { insideOf, linesAround } from "./outlines.js";

export const STYLES = [
  ["overlay", "Overlay"],
  ["tiles", "Tiles"],
  ["contour", "Contours"],
  ["spotlight", "Spotlight"],
];
const OVERLAY_SIDE = 96; // of smaller images too little is seen below a colour
const DIMMED = 0.82; // how much of the light a spotlight takes away elsewhere
const CONTOURS = [
  [0.8, 1],
  [0.5, 3],
]; // shares of what raises, and how wide their lines are
const FADED = 0.25; // how much is left between the lines of a hatching
const HATCHES = 40; // lines of a hatching beside one another, six pixels apart at least

/** An overlay for photographs in colour, tiles for what is small, grey or without a photograph. */
export function usualStyle({ facts, samples }) {
  return samples?.channels === 3 && facts.area >= OVERLAY_SIDE ** 2 ? "overlay" : "tiles";
}

/** Whether a region is too weak to be shown. */
export function isHidden(found, region, full, { cut, per, doubt }) {
  if (Math.abs(found.strength(region, per)) < (cut / 100) * full) return true;
  return doubt === "hide" && found.isDoubtful(region);
}

/**
 * Paints a map, as many pixels wide as the canvas is.
 *
 * photograph, isDark: what lies under it, and whether it is on black ground;
 * explanation, number: whose regions; found: what they add; full: where colours are full;
 * look: style, strength (0 to 100), cut (percent of full), per and doubt; isNight: for a dark page;
 * marked: a region to outline, or null; pinned: places to outline, [{mask, colour}, ...].
 */
export function paint(canvas, drawn) {
  const { photograph, explanation, number, found, full, look, marked = null, pinned = [] } = drawn;
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const map = explanation.mapOf(number);
  const size = { width: explanation.width, height: explanation.height };
  const isNight = drawn.isNight && look.style === "tiles";
  const under = { style: look.style, isDark: drawn.isDark, isNight };
  context.globalCompositeOperation = "source-over";
  lay(context, photograph, under, canvas);
  const shareOf = (region) => (full ? found.strength(region, look.per) / full : 0);
  const isShown = (region) => found.sizes[region] && !isHidden(found, region, full, look);
  const isHatched = (region) => look.doubt === "hatch" && found.isDoubtful(region);
  context.imageSmoothingEnabled = false;
  if (look.style === "contour") {
    const isSure = (region) => isShown(region) && !isHatched(region);
    for (const [share, line] of CONTOURS) {
      const inside = insideOf(found, share, isSure);
      const path = linesAround((at) => inside.has(map[at]), size, canvas);
      stroke(context, path, `rgb(${inkOf(1).join(" ")})`, line);
    }
  } else if (look.style === "spotlight") {
    const light = (region) => {
      const share =
        isShown(region) && !isHatched(region) ? Math.max(0, Math.min(1, shareOf(region))) : 0;
      const level = Math.round(255 * (1 - DIMMED * (1 - Math.sqrt(share))));
      return [level, level, level, 255];
    };
    context.globalCompositeOperation = "multiply";
    context.drawImage(layerOf(map, found, size, light), 0, 0, width, height);
  } else {
    const colour = (share) => {
      const strength = look.strength / 100;
      if (look.style === "tiles")
        return [...colourOf(share, isNight), 255 * Math.min(1, strength / 0.8)];
      return [...inkOf(share), 255 * opacityOf(share, strength)];
    };
    const of = (wanted, times) => (region) => {
      if (!isShown(region) || (times === 1 && !wanted(region))) return [0, 0, 0, 0];
      const share = Math.max(-1, Math.min(1, shareOf(region)));
      if (look.style === "tiles") return colour(wanted(region) ? share : share * times);
      const [red, green, blue, alpha] = colour(share);
      return [red, green, blue, wanted(region) ? alpha : alpha * times];
    };
    // Tiles only ever darken the faint picture under them, which stays to be seen; at night, lighten.
    const blend = look.style === "tiles" ? (isNight ? "screen" : "multiply") : "source-over";
    const hasDoubt = look.doubt === "hatch" && found.hasDoubt;
    const layer = layerOf(
      map,
      found,
      size,
      of((region) => !isHatched(region), FADED),
    );
    const whole = hasDoubt
      ? hatched(layer, layerOf(map, found, size, of(isHatched, 1)), canvas)
      : layer;
    context.globalCompositeOperation = blend;
    context.drawImage(whole, 0, 0, width, height);
  }
  context.globalCompositeOperation = "source-over";
  for (const { mask, colour } of pinned) {
    stroke(
      context,
      linesAround((at) => mask[at] === 1, size, canvas),
      colour,
      3,
    );
  }
  if (marked !== null) {
    const path = linesAround((at) => map[at] === marked, size, canvas);
    stroke(context, path, "#ffd33d", 2, "#000000");
  }
}

/** A line, and a rim that keeps it apart from what it is drawn on. */
function stroke(context, path, colour, width, rim = "#ffffff") {
  context.lineJoin = "round";
  context.strokeStyle = rim;
  context.lineWidth = width + 2;
  context.stroke(path);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke(path);
}

const underlays = new WeakMap(); // by photograph: filters are slow, and photographs are few

/** Draws what lies under a map: grey and faint, grey, or for a spotlight the photograph. */
function lay(context, photograph, { style, isDark, isNight }, { width, height }) {
  if (!photograph) {
    context.fillStyle = isNight ? "#000000" : "#ffffff";
    context.fillRect(0, 0, width, height);
    return;
  }
  if (!underlays.has(photograph)) underlays.set(photograph, new Map());
  const known = underlays.get(photograph);
  const key = `${style} ${width} ${height} ${isNight}`;
  if (!known.has(key)) {
    if (known.size > 12) known.clear(); // sizes that a window once had
    known.set(key, rendered(photograph, { style, isDark, isNight }, width, height));
  }
  context.drawImage(known.get(key), 0, 0);
}

function rendered(photograph, { style, isDark, isNight }, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillStyle = isNight ? "#000000" : "#ffffff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = isSmooth(photograph);
  context.imageSmoothingQuality = "high";
  // Opaque tiles lie over a faint grey picture, on which zero still reads as zero.
  const isFaint = style === "tiles";
  context.globalAlpha = isFaint ? (isNight ? 0.16 : 0.2) : 1;
  // The only colours are those of the values.
  const isTurned = isFaint && Boolean(isDark) !== Boolean(isNight);
  if (style !== "spotlight") context.filter = isTurned ? "grayscale(1) invert(1)" : "grayscale(1)";
  context.drawImage(photograph, 0, 0, width, height);
  return canvas;
}

/** Whether a photograph is enlarged smoothly; the pixels of tiny images are seen as such. */
export function isSmooth(photograph) {
  return Math.max(photograph.width, photograph.height) > OVERLAY_SIDE;
}

/** A picture of a map's own size, of one colour [r, g, b, alpha] for each region. */
function layerOf(map, found, { width, height }, colour) {
  // One number a pixel, in the order of bytes that the machine has.
  const bytes = new Uint8ClampedArray(4 * found.values.length);
  for (let region = 0; region < found.values.length; region += 1)
    bytes.set(colour(region), 4 * region);
  const colours = new Uint32Array(bytes.buffer);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let pixel = 0; pixel < pixels.length; pixel += 1) pixels[pixel] = colours[map[pixel]];
  const layer = document.createElement("canvas");
  [layer.width, layer.height] = [width, height];
  layer.getContext("2d").putImageData(image, 0, 0);
  return layer;
}

/** A layer, with the lines of a hatching of another one on it. */
function hatched(under, doubtful, { width, height }) {
  const [whole, lines] = [0, 1].map(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    return context;
  });
  lines.drawImage(doubtful, 0, 0, width, height);
  lines.globalCompositeOperation = "destination-in";
  lines.strokeStyle = "#000000";
  const period = Math.max(6, width / HATCHES);
  lines.lineWidth = (0.43 * period) / Math.SQRT2;
  for (let at = -height; at < width; at += period) {
    lines.moveTo(at, height);
    lines.lineTo(at + height, 0);
  }
  lines.stroke();
  whole.drawImage(under, 0, 0, width, height);
  whole.drawImage(lines.canvas, 0, 0);
  return whole.canvas;
}
