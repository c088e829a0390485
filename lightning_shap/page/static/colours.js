// Colours of attributions: red raises, blue lowers, white is zero, as in the logged pictures.
// At every step both signs have the same lightness, and red and blue are told apart by all.

const RAISES = ["#ffffff", "#facfca", "#f49c95", "#e86661", "#ce2f34", "#9c1a20"];
const LOWERS = ["#ffffff", "#c6ddfc", "#8bbafb", "#4e95f7", "#086fe3", "#0050ae"];
const STEPS = 255;

function ramp(anchors) {
  const points = anchors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const place = (step / STEPS) * (points.length - 1);
    const low = Math.min(Math.floor(place), points.length - 2);
    return points[low].map((part, i) => part + (points[low + 1][i] - part) * (place - low));
  });
}

const RED = ramp(RAISES);
const BLUE = ramp(LOWERS);

/** The colour [r, g, b] of a share of the scale, from -1 to 1. */
export function colourOf(share) {
  const step = Math.round(Math.min(Math.abs(share), 1) * STEPS);
  return (share < 0 ? BLUE : RED)[step];
}

// Laid over a grey photograph. This red leans towards orange, which protanopes see as ochre.
const RAISING = [228, 76, 26];
const LOWERING = [45, 128, 242];

/** The colour [r, g, b] that a sign has over a photograph, at any strength. */
export function inkOf(share) {
  return share < 0 ? LOWERING : RAISING;
}

/** The colour of a share of the scale on white, as a legend shows it. */
export function onWhite(share, style, strength) {
  if (style === "tiles") return colourOf(share);
  const opacity = Math.min(1, Math.abs(share) * strength);
  return inkOf(share).map((part) => 255 + (part - 255) * opacity);
}

/** Dashes of the lines of curves, whose colours are in style.css. */
export const DASHES = ["", "6 3", "2 2", "8 2 2 2", "4 4", "1 3"];
