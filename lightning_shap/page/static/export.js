// A view as a file: a picture of pixels, a drawing, or its numbers.

import { onWhite } from "./colours.js";
import { html, svg } from "./dom.js";

const CELL = 200;
const GAP = 16;
const LINE = 18;
const FONT = "13px system-ui, sans-serif";

/** Where everything stands on a sheet: pictures and words. */
function sheetOf({ title, rows, scale, look }) {
  const items = [{ kind: "text", x: GAP, y: GAP + 12, text: title, bold: true }];
  const most = Math.max(1, ...rows.map((row) => row.figures.length));
  const width = Math.max(GAP + (most + 1) * (CELL + GAP), 480);
  items.push({ kind: "picture", x: GAP, y: GAP + 22, w: 200, h: 10, canvas: legend(200, look) });
  items.push({ kind: "text", x: GAP + 208, y: GAP + 32, text: `lowers to raises: ${scale}` });
  let y = GAP + 60;
  for (const row of rows) {
    const cells = [{ name: row.heading, detail: row.verdict, canvas: row.photograph }, ...row.figures];
    const tallest = Math.max(...cells.map(({ canvas }) => (CELL * canvas.height) / canvas.width));
    cells.forEach(({ name, detail, canvas }, column) => {
      const x = GAP + column * (CELL + GAP);
      const h = (CELL * canvas.height) / canvas.width;
      items.push({ kind: "text", x, y, text: name, bold: true });
      items.push({ kind: "text", x, y: y + LINE, text: detail });
      items.push({ kind: "picture", x, y: y + LINE + 8, w: CELL, h, canvas });
    });
    y += 2 * LINE + tallest + GAP + 12;
  }
  return { items, width, height: y };
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
      context.fillText(item.text, item.x, item.y, CELL * (item.x > GAP ? 1 : 4));
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
