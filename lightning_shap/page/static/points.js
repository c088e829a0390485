// Many images: what is known of all of them at once, by which they are chosen and drawn as points.

import { readNpz } from "./npz.js";
import { bytesOf } from "./sources.js";

/** Facts with a row for each image; of many images rows have no words until these are loaded. */
export async function completed(facts) {
  if (!facts.points) return facts;
  const arrays = await readNpz(bytesOf(facts.points));
  const { explained, right, error, places } = arrays;
  const [count, each] = explained.shape;
  const rows = Array.from({ length: count }, (_, number) => ({
    explained: [...explained.data.subarray(number * each, (number + 1) * each)],
    true: [],
    predicted: [],
    right: [false, true, null][right.data[number]],
    error: error.data[number],
  }));
  for (const name of ["true", "predicted"]) {
    const { data } = arrays[name]; // pairs of an image and a class
    for (let at = 0; at < data.length; at += 2) rows[data[at]][name].push(data[at + 1]);
  }
  const pairs = places && rows.map((_, number) => places.data.subarray(2 * number, 2 * number + 2));
  return { ...facts, rows, ...(pairs ? { places: pairs } : {}) };
}
