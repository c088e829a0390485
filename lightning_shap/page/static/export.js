// A view as a file: a picture of pixels, a drawing, or its numbers.

import { onWhite } from "./colours.js";
import { html, svg } from "./dom.js";

const CELL = 200;
const GAP = 16;
const LINE = 18;
const LEAST_WIDTH = 480;
const FONT = "13px system-ui, sans-serif";

/**
 * Where everything stands on a sheet: pictures, and words that were measured and broken into lines.
 *
 * title: what it shows; note: a sentence about it, or nothing; legends: [{words, look}, ...];
 * rows: lists of cells [{name, detail, canvas}, ...] whose canvas is null where there is none.
 */
function sheetOf({ title, note, legends, rows }) {
  const items = [];
  const most = Math.max(1, ...rows.map((cells) => cells.length));
  const width = Math.max(GAP + most * (CELL + GAP), LEAST_WIDTH);
  const write = (text, x, y, room, bold = false) => {
    const lines = linesOf(text, room, bold);
    lines.forEach((line, at) => {
      items.push({ kind: "text", x, y: y + (at + 1) * LINE - 4, text: line, bold });
    });
    return y + lines.length * LINE;
  };
  let y = write(title, GAP, GAP, width - 2 * GAP, true);
  if (note) y = write(note, GAP, y, width - 2 * GAP);
  for (const { words, look } of legends) {
    items.push({ kind: "picture", x: GAP, y: y + 5, w: CELL, h: 10, canvas: legend(CELL, look) });
    y = write(words, GAP + CELL + 8, y, width - CELL - 2 * GAP - 8);
  }
  for (const cells of rows) {
    const begin = y + GAP;
    const below = cells.map(({ name, detail }, column) => {
      const x = GAP + column * (CELL + GAP);
      return write(detail, x, write(name, x, begin, CELL, true), CELL);
    });
    const top = Math.max(...below) + 4; // of all pictures of a row
    y = top;
    cells.forEach(({ canvas }, column) => {
      if (!canvas) return;
      const h = (CELL * canvas.height) / canvas.width;
      items.push({ kind: "picture", x: GAP + column * (CELL + GAP), y: top, w: CELL, h, canvas });
      y = Math.max(y, top + h);
    });
  }
  return { items, width, height: y + GAP };
}

const measuring = html("canvas").getContext("2d");

/** A text in lines that have room; it breaks between words, and a word only where it must. */
function linesOf(text, room, bold) {
  measuring.font = bold ? `bold ${FONT}` : FONT;
  const fits = (words) => measuring.measureText(words).width <= room;
  const lines = [];
  let line = "";
  for (const word of text.split(/ (?!%)/)) {
    if (line && fits(`${line} ${word}`)) {
      line += ` ${word}`;
      continue;
    }
    if (line) lines.push(line);
    line = "";
    for (const letter of word) {
      if (line && !fits(line + letter)) {
        lines.push(line);
        line = "";
      }
      line += letter;
    }
  }
  return line ? [...lines, line] : lines;
}

/** The colours of the scale, from what lowers to what raises. */
export function legend(width, look) {
  return drawLegend(html("canvas", { width, height: 10 }), look);
}

/** Draws them on a canvas. */
export function drawLegend(canvas, { style, strength }) {
  const { width } = canvas;
  const context = canvas.getContext("2d");
  for (let x = 0; x < width; x += 1) {
    const [red, green, blue] = onWhite((2 * x) / (width - 1) - 1, style, strength / 100);
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(x, 0, 1, 10);
  }
  return canvas;
}

/** The view as a PNG file. */
export function asPng(view) {
  const { items, width, height } = sheetOf(view);
  const times = 2;
  const canvas = html("canvas", { width: width * times, height: height * times });
  const context = canvas.getContext("2d");
  context.scale(times, times);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#1f2328";
  for (const item of items) {
    if (item.kind === "text") {
      context.font = item.bold ? `bold ${FONT}` : FONT;
      context.fillText(item.text, item.x, item.y);
    } else {
      context.imageSmoothingEnabled = item.canvas.width > 2 * item.w;
      context.drawImage(item.canvas, item.x, item.y, item.w, item.h);
    }
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** The view as an SVG file, whose words stay words. */
export function asSvg(view) {
  const { items, width, height } = sheetOf(view);
  const drawing = svg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
    svg("rect", { width, height, fill: "#ffffff" }),
    ...items.map(({ kind, x, y, w, h, canvas, text, bold }) =>
      kind === "text"
        ? svg(
            "text",
            {
              x,
              y,
              fill: "#1f2328",
              "font-family": "system-ui, sans-serif",
              "font-size": 13,
              "font-weight": bold ? "bold" : "normal",
            },
            text,
          )
        : svg("image", {
            x,
            y,
            width: w,
            height: h,
            href: canvas.toDataURL("image/png"),
            preserveAspectRatio: "none",
          }),
    ),
  );
  const text = new XMLSerializer().serializeToString(drawing);
  return new Blob([text], { type: "image/svg+xml" });
}

/** Has the browser save a file. */
export function save(blob, name) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
