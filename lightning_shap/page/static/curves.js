// Curves through the epochs.

import { DASHES } from "./colours.js";
import { numeral, percent, svg } from "./dom.js";

const PAD = { left: 38, right: 8, top: 8, bottom: 18 };

/**
 * A chart of lines.
 *
 * lines: [{name, points: [[step, value], ...], look: which of the lines' looks, kind: "line" or "pin", isFaint}];
 * marks: steps at which something stands; range: [low, high], else that of the values; isShare: values
 * are shares; title: for those who cannot see it; width, height: in pixels; pick: is told a step.
 */
export function chart({ lines, marks, range, isShare, title, width = 260, height = 90, pick }) {
  const points = lines.flatMap((line) => line.points);
  const [first, last] = extent([...points.map(([step]) => step), ...marks]);
  const [low, high] = range ?? extent(points.map(([, value]) => value));
  const [wide, tall] = [width - PAD.left - PAD.right, height - PAD.top - PAD.bottom];
  const x = (step) => PAD.left + ((step - first) / (last - first || 1)) * wide;
  const y = (value) => PAD.top + tall - ((value - low) / (high - low || 1)) * tall;
  const say = (value) => (isShare ? percent(value) : numeral(value));
  const words = lines.map((line) => {
    const [, latest] = line.points.at(-1) ?? [];
    return `${line.name}: ${line.points.length} points, last ${say(latest)}`;
  });
  const levels = [low, high].map((level) => [
    svg("line", { class: "axis", x1: PAD.left, x2: width - PAD.right, y1: y(level), y2: y(level) }),
    svg("text", { x: PAD.left - 4, y: y(level) + 4, "text-anchor": "end" }, say(level)),
  ]);
  const drawing = svg(
    "svg",
    { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img" },
    ...levels.flat(),
    ...marks.map((step) =>
      svg("line", { class: "mark", x1: x(step), x2: x(step), y1: 2, y2: height - PAD.bottom }),
    ),
    ...lines.map((line) => drawn(line, x, y)),
    svg("text", { x: PAD.left, y: height - 4 }, first < 0 ? "untrained" : numeral(first)),
    svg(
      "text",
      { x: width - PAD.right, y: height - 4, "text-anchor": "end" },
      `step ${numeral(last)}`,
    ),
  );
  drawing.setAttribute("aria-label", [title, ...words].join("; "));
  if (pick) {
    drawing.addEventListener("click", ({ clientX }) => {
      const box = drawing.getBoundingClientRect();
      const at = ((clientX - box.left) / box.width) * width;
      pick(first + ((at - PAD.left) / wide) * (last - first));
    });
  }
  return drawing;
}

function drawn(line, x, y) {
  const number = line.look ?? 0;
  const look = `line ${line.kind ?? "line"}-${number % DASHES.length}${line.isFaint ? " faint" : ""}`;
  if (line.points.length === 1) {
    const [[step, value]] = line.points;
    return svg("circle", { cx: x(step), cy: y(value), r: 3, class: look });
  }
  return svg("polyline", {
    points: line.points.map(([step, value]) => `${x(step)},${y(value)}`).join(" "),
    class: look,
    "stroke-dasharray": line.isFaint ? "2 3" : line.kind && DASHES[number % DASHES.length],
  });
}

/** The key of a chart's line. */
export function swatch(number, kind = "line") {
  return svg(
    "svg",
    { class: "swatch", viewBox: "0 0 24 8", "aria-hidden": "true" },
    svg("line", {
      x1: 0,
      x2: 24,
      y1: 4,
      y2: 4,
      class: `line ${kind}-${number % DASHES.length}`,
      "stroke-dasharray": DASHES[number % DASHES.length],
    }),
  );
}

function extent(numbers) {
  const finite = numbers.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  return [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
}
