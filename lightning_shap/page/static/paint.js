// Maps: what regions add, over the photograph they are regions of.

import { colourOf, inkOf } from "./colours.js";

const LEAST_SIDE = 224; // of a canvas; small images grow by a whole number
export const STYLES = [
  ["overlay", "Overlay"],
  ["tiles", "Tiles"],
  ["contour", "Contours"],
];

const OVERLAY_SIDE = 96; // of smaller images too little is seen below a colour

/** An overlay for photographs in colour, tiles for what is small, grey or without a photograph. */
export function usualStyle({ facts, samples }) {
  return samples?.channels === 3 && facts.area >= OVERLAY_SIDE ** 2 ? "overlay" : "tiles";
}

/** How much a map is enlarged. */
export function enlargement(explanation) {
  return Math.max(1, Math.ceil(LEAST_SIDE / Math.max(explanation.height, explanation.width)));
}

/** Whether a region is too weak to be shown. */
export function isHidden(found, region, limit, { cut, clear }) {
  if (Math.abs(found.density(region)) < (cut / 100) * limit) return true;
  return Boolean(clear && found.errors && Math.abs(found.values[region]) < 2 * found.errors[region]);
}

/**
 * Paints a map.
 *
 * photograph, dark: what lies under it, and whether it is on black ground;
 * explanation, sample: whose regions; found: what they add; limit: where colours are full;
 * look: style, strength (0 to 100), cut (percent of the limit) and clear (hide what is unsure);
 * marked: a region to outline, or null.
 */
export function paint(canvas, { photograph, dark, explanation, sample, found, limit, look, marked }) {
  const { width, height } = explanation;
  const times = enlargement(explanation);
  if (canvas.width !== width * times || canvas.height !== height * times) {
    [canvas.width, canvas.height] = [width * times, height * times];
  }
  const context = canvas.getContext("2d");
  const map = explanation.mapOf(sample);
  underlay(context, photograph, look.style, dark, canvas);
  if (look.style !== "contour") {
    const layer = coloured(map, found, explanation, limit, look);
    context.imageSmoothingEnabled = false;
    // Tiles only ever darken the faint picture under them, which stays to be seen.
    context.globalCompositeOperation = look.style === "tiles" ? "multiply" : "source-over";
    context.drawImage(layer, 0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "source-over";
  } else {
    outlines(context, map, explanation, times, (region) => {
      if (isHidden(found, region, limit, look)) return null;
      const share = found.density(region) / limit;
      const alpha = Math.min(1, 0.15 + Math.abs(share) * (look.strength / 70));
      return { colour: `rgb(${inkOf(share).join(" ")})`, alpha };
    });
  }
  if (marked !== null) outline(context, map, explanation, times, marked);
}

const underlays = new WeakMap(); // by photograph: filters are slow, and photographs are few

function underlay(context, photograph, style, dark, { width, height }) {
  if (!photograph) {
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, width, height);
    return;
  }
  if (!underlays.has(photograph)) underlays.set(photograph, new Map());
  const known = underlays.get(photograph);
  const key = `${style} ${width} ${height}`;
  if (!known.has(key)) known.set(key, rendered(photograph, style, dark, width, height));
  context.drawImage(known.get(key), 0, 0);
}

function rendered(photograph, style, dark, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = photograph.width > 96;
  // Opaque tiles lie over a faint grey picture, on which white still reads as zero.
  const faint = style === "tiles";
  context.globalAlpha = faint ? 0.2 : 1;
  // The only colours are those of the values.
  context.filter = faint && dark ? "grayscale(1) invert(1)" : "grayscale(1)";
  context.drawImage(photograph, 0, 0, width, height);
  return canvas;
}

function coloured(map, found, { width, height }, limit, look) {
  const strength = look.strength / 100;
  const colour = (region) => {
    if (!found.sizes[region] || isHidden(found, region, limit, look)) return [0, 0, 0, 0];
    const share = Math.max(-1, Math.min(1, found.density(region) / limit));
    if (look.style === "tiles") return [...colourOf(share), 255 * Math.min(1, strength / 0.8)];
    // The photograph stays where little was found: colour is laid on in proportion to the value.
    return [...inkOf(share), 255 * Math.abs(share) * strength];
  };
  // One number a pixel, in the order of bytes that the machine has.
  const bytes = new Uint8ClampedArray(4 * found.values.length);
  for (let region = 0; region < found.values.length; region += 1) {
    bytes.set(colour(region), 4 * region);
  }
  const colours = new Uint32Array(bytes.buffer);
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let pixel = 0; pixel < pixels.length; pixel += 1) pixels[pixel] = colours[map[pixel]];
  const layer = document.createElement("canvas");
  [layer.width, layer.height] = [width, height];
  layer.getContext("2d").putImageData(image, 0, 0);
  return layer;
}

/** Draws the inner rim of each region in its own colour. */
function outlines(context, map, { width, height }, times, styleOf) {
  const known = new Map();
  const rim = Math.max(1, Math.round((2 * LEAST_SIDE) / 224));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const region = map[y * width + x];
      if (!known.has(region)) known.set(region, styleOf(region));
      const style = known.get(region);
      if (!style) continue;
      const sides = [
        [x === 0 || map[y * width + x - 1] !== region, 0, 0, rim, times],
        [x === width - 1 || map[y * width + x + 1] !== region, times - rim, 0, rim, times],
        [y === 0 || map[(y - 1) * width + x] !== region, 0, 0, times, rim],
        [y === height - 1 || map[(y + 1) * width + x] !== region, 0, times - rim, times, rim],
      ];
      context.fillStyle = style.colour;
      context.globalAlpha = style.alpha;
      for (const [isEdge, dx, dy, w, h] of sides) {
        if (isEdge) context.fillRect(x * times + dx, y * times + dy, w, h);
      }
    }
  }
  context.globalAlpha = 1;
}

function outline(context, map, size, times, marked) {
  const style = { colour: "#000000", alpha: 1 };
  outlines(context, map, size, times, (region) => (region === marked ? style : null));
  context.strokeStyle = "#ffd33d";
  context.lineWidth = 1;
  const { width, height } = size;
  context.beginPath();
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const inside = map[y * width + x] === marked;
      if (x > 0 && inside !== (map[y * width + x - 1] === marked)) {
        context.moveTo(x * times, y * times);
        context.lineTo(x * times, (y + 1) * times);
      }
      if (y > 0 && inside !== (map[(y - 1) * width + x] === marked)) {
        context.moveTo(x * times, y * times);
        context.lineTo((x + 1) * times, y * times);
      }
    }
  }
  context.stroke();
}
