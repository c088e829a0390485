// Curves through the epochs, small enough to stand beside what they are about.

import { DASHES } from "./colours.js";
import { numeral, svg } from "./dom.js";

const WIDTH = 220;
const HEIGHT = 84;
const PAD = { left: 6, right: 6, top: 8, bottom: 16 };

/**
 * A chart of lines.
 *
 * lines: [{name, points: [[step, value], ...], look: which of the lines' looks}]; marks: steps at which something stands;
 * range: [low, high], else that of the values; title: for those who cannot see it.
 */
export function chart({ lines, marks, range, title }) {
  const points = lines.flatMap((line) => line.points);
  const steps = [...points.map(([step]) => step), ...marks];
  const values = points.map(([, value]) => value);
  const [first, last] = extent(steps);
  const [low, high] = range ?? extent(values);
  const x = (step) =>
    PAD.left + ((step - first) / (last - first || 1)) * (WIDTH - PAD.left - PAD.right);
  const y = (value) =>
    HEIGHT - PAD.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - PAD.top - PAD.bottom);
  const words = lines.map((line) => {
    const [, latest] = line.points.at(-1) ?? [];
    return `${line.name}: ${line.points.length} points, last ${numeral(latest)}`;
  });
  return svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": [title, ...words].join("; "),
    },
    svg("line", {
      class: "axis",
      x1: PAD.left,
      x2: WIDTH - PAD.right,
      y1: HEIGHT - PAD.bottom,
      y2: HEIGHT - PAD.bottom,
    }),
    ...marks.map((step, number) =>
      svg("line", { class: `mark mark-${number}`, x1: x(step), x2: x(step), y1: 2, y2: HEIGHT - PAD.bottom }),
    ),
    ...lines.map((line) => drawn(line, x, y)),
    svg("text", { x: PAD.left, y: HEIGHT - 4 }, numeral(first)),
    svg("text", { x: WIDTH - PAD.right, y: HEIGHT - 4, "text-anchor": "end" }, `step ${numeral(last)}`),
    svg("text", { x: WIDTH - PAD.right, y: 8, "text-anchor": "end" }, range ? "" : numeral(high)),
  );
}

function drawn(line, x, y) {
  const number = line.look ?? 0;
  const look = `line line-${number % DASHES.length}`;
  if (line.points.length === 1) {
    const [[step, value]] = line.points;
    return svg("circle", { cx: x(step), cy: y(value), r: 3, class: look });
  }
  return svg("polyline", {
    points: line.points.map(([step, value]) => `${x(step)},${y(value)}`).join(" "),
    class: look,
    "stroke-dasharray": DASHES[number % DASHES.length],
  });
}

/** The key of a chart's line. */
export function swatch(number) {
  return svg(
    "svg",
    { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
    svg("line", {
      x1: 0,
      x2: 24,
      y1: 4,
      y2: 4,
      class: `line line-${number % DASHES.length}`,
      "stroke-dasharray": DASHES[number % DASHES.length],
    }),
  );
}

function extent(numbers) {
  const finite = numbers.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  return [
    finite.reduce((a, b) => Math.min(a, b)),
    finite.reduce((a, b) => Math.max(a, b)),
  ];
}
