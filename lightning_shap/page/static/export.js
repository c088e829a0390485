// A view as a file: a picture of pixels, a drawing, or its numbers.

import { onPaper } from "./colours.js";
import { html, svg } from "./dom.js";
import { joinedNpz } from "./npz.js";
import { paint } from "./paint.js";

const CELL = 200;
const SPACE = 16;
const LINE = 18;
const LEAST_WIDTH = 480;
const FONT = "13px system-ui, sans-serif";

/**
 * Where everything stands on a sheet: pictures, and words that were measured and broken into lines.
 *
 * title: what it shows; legends: [{words, look}, ...];
 * rows: lists of cells [{name, detail, canvas}, ...] whose canvas is null where there is none.
 */
function sheetOf({ title, legends, rows }) {
  const items = [];
  const most = Math.max(1, ...rows.map((cells) => cells.length));
  const width = Math.max(SPACE + most * (CELL + SPACE), LEAST_WIDTH);
  const write = (text, x, y, room, bold = false) => {
    const lines = brokenInto(text, room, bold);
    lines.forEach((line, at) => {
      items.push({ kind: "text", x, y: y + (at + 1) * LINE - 4, text: line, bold });
    });
    return y + lines.length * LINE;
  };
  let y = write(title, SPACE, SPACE, width - 2 * SPACE, true);
  for (const { words, look } of legends) {
    items.push({ kind: "picture", x: SPACE, y: y + 5, w: CELL, h: 10, canvas: legend(CELL, look) });
    y = write(words, SPACE + CELL + 8, y, width - CELL - 2 * SPACE - 8);
  }
  for (const cells of rows) {
    const begin = y + SPACE;
    const below = cells.map(({ name, detail }, column) => {
      const x = SPACE + column * (CELL + SPACE);
      return write(detail, x, write(name, x, begin, CELL, true), CELL);
    });
    const top = Math.max(...below) + 4; // of all pictures of a row
    y = top;
    cells.forEach(({ canvas }, column) => {
      if (!canvas) return;
      const h = (CELL * canvas.height) / canvas.width;
      items.push({
        kind: "picture",
        x: SPACE + column * (CELL + SPACE),
        y: top,
        w: CELL,
        h,
        canvas,
      });
      y = Math.max(y, top + h);
    });
  }
  return { items, width, height: y + SPACE };
}

const measuring = html("canvas").getContext("2d");

/** A text in lines that have room; it breaks between words, and a word only where it must. */
function brokenInto(text, room, bold) {
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
function legend(width, look) {
  return drawLegend(html("canvas", { width, height: 10 }), look);
}

/** Draws them on a canvas. */
export function drawLegend(canvas, look, isNight = false) {
  const { width } = canvas;
  const context = canvas.getContext("2d");
  for (let x = 0; x < width; x += 1) {
    const [red, green, blue] = onPaper((2 * x) / (width - 1) - 1, look, isNight);
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(x, 0, 1, 10);
  }
  return canvas;
}

/** The view as a PNG file. */
function asPng(view) {
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
function asSvg(view) {
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
function save(blob, name) {
  const link = html("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Saves what a stage shows as a picture, or the arrays of its explanation, those that there are. */
export async function saveView(stage, kind) {
  const { lead, source } = stage.app;
  const { run, tag, facts } = lead;
  if (kind === "print") return window.print();
  const name = `${[run, tag, facts.step].join("-").replace(/[^\w.-]+/g, "_")}.${kind}`;
  if (kind === "npz") {
    // Of many images, those that come with the first that is shown.
    const piece = facts.piece ? Math.floor((stage.rows[0]?.number ?? 0) / facts.piece) : 0;
    const parts = await Promise.allSettled([
      source.values(run, tag, facts, piece),
      source.samples(run, facts, piece),
    ]);
    if (parts[0].value) save(joinedNpz(parts.map(({ value }) => value).filter(Boolean)), name);
    else stage.say(`The values could not be loaded: ${parts[0].reason.message}.`);
    return undefined;
  }
  const legends = stage.legends.map(({ words, look }) => ({
    words: `lowers to raises: ${words}`,
    look,
  }));
  const sheet = { title: stage.title, legends, rows: stage.rows.map(cellsOf) };
  return save(kind === "png" ? await asPng(sheet) : asSvg(sheet), name);
}

/** The pictures of a row, painted anew for white paper: the photograph first. */
function cellsOf({ label, canvas, words, cells }) {
  const maps = cells
    .filter(({ drawn }) => drawn)
    .map(({ drawn, column, map }) => {
      const { width, height } = drawn.explanation;
      const picture = html("canvas", {
        width: 2 * CELL,
        height: Math.round((2 * CELL * height) / width),
      });
      paint(picture, { ...drawn, isNight: false });
      const details = [map.role, map.detail].filter(Boolean);
      return {
        name: map.name,
        detail: [column.name, ...details].filter(Boolean).join(" \u00b7 "),
        canvas: picture,
      };
    });
  return [{ name: label, detail: words, canvas }, ...maps];
}
