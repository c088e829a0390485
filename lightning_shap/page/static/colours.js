// Colours of attributions: red raises, blue lowers, as in the logged pictures; zero is the page's own
// ground. At every step both signs have the same lightness, and red and blue are told apart by all.

const RAISES = ["#ffffff", "#facfca", "#f49c95", "#e86661", "#ce2f34", "#9c1a20"];
const LOWERS = ["#ffffff", "#c6ddfc", "#8bbafb", "#4e95f7", "#086fe3", "#0050ae"];
const RAISES_AT_NIGHT = ["#000000", "#3d1210", "#7a2522", "#bb3d38", "#f0645b", "#ffa79f"];
const LOWERS_AT_NIGHT = ["#000000", "#0a2342", "#12458a", "#1f6fd0", "#5399f5", "#a3c8ff"];
const STEPS = 255;

function ramp(anchors) {
  const points = anchors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const place = (step / STEPS) * (points.length - 1);
    const low = Math.min(Math.floor(place), points.length - 2);
    return points[low].map((part, i) => part + (points[low + 1][i] - part) * (place - low));
  });
}

const BY_DAY = [RAISES, LOWERS].map(ramp);
const BY_NIGHT = [RAISES_AT_NIGHT, LOWERS_AT_NIGHT].map(ramp);

/** The colour [r, g, b] of a share of the scale, from -1 to 1. */
export function colourOf(share, isNight = false) {
  const step = Math.round(Math.min(Math.abs(share), 1) * STEPS);
  const [red, blue] = isNight ? BY_NIGHT : BY_DAY;
  return (share < 0 ? blue : red)[step];
}

// Laid over a grey photograph; a test holds them to those of the pictures.
const RAISING = [234, 43, 4];
const LOWERING = [0, 122, 255];

/** The colour [r, g, b] that a sign has over a photograph, at any strength. */
export function inkOf(share) {
  return share < 0 ? LOWERING : RAISING;
}

// In proportion to the value, a tenth of the scale is no colour at all to protanopes.
const FAINT = 0.65;

/** How much of the photograph that colour covers. */
export function opacityOf(share, strength) {
  return Math.min(1, Math.abs(share)) ** FAINT * strength;
}

/** The colour of a share of the scale, as a legend shows it. */
export function onPaper(share, { style, strength }, isNight = false) {
  if (style === "tiles") return colourOf(share, isNight);
  const opacity = opacityOf(share, strength / 100);
  return inkOf(share).map((part) => 255 + (part - 255) * opacity);
}

/** Dashes of the lines of curves, whose colours are in style.css. */
export const DASHES = ["", "6 3", "2 2", "8 2 2 2", "4 4", "1 3"];

/** Colours of pins: none of them is that of a sign, and all are dark enough on white. */
export const PIN_COLOURS = ["#7b3fb5", "#0b7a5c", "#8a6100", "#b5297f", "#3a4a5c", "#006c8f"];
