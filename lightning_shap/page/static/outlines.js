// Lines around parts of a map.

/** The regions that together carry a share of all that raises, the densest first. */
export function insideOf(found, share, isShown) {
  const raising = found.ranked.filter((region) => found.values[region] > 0 && isShown(region));
  raising.sort((a, b) => found.values[b] / found.sizes[b] - found.values[a] / found.sizes[a]);
  let room = share * raising.reduce((sum, region) => sum + found.values[region], 0);
  const inside = new Set();
  for (const region of raising) {
    if (room <= 0) break;
    room -= found.values[region];
    inside.add(region);
  }
  return inside;
}

/** A path around those pixels of a map for which something holds, in the pixels of a canvas. */
export function linesAround(holds, { width, height }, canvas) {
  const path = new Path2D();
  const [x, y] = [canvas.width / width, canvas.height / height];
  const line = (left, top, right, bottom) => {
    path.moveTo(left * x, top * y);
    path.lineTo(right * x, bottom * y);
  };
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const at = row * width + column;
      if (!holds(at)) continue;
      if (!column || !holds(at - 1)) line(column, row, column, row + 1);
      if (column === width - 1 || !holds(at + 1)) line(column + 1, row, column + 1, row + 1);
      if (!row || !holds(at - width)) line(column, row, column + 1, row);
      if (row === height - 1 || !holds(at + width)) line(column, row + 1, column + 1, row + 1);
    }
  }
  return path;
}
