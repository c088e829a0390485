// One explanation: its regions and what they add, from its compact form and its facts.

import { readNpz } from "./npz.js";

const MOSTLY_DARK = 64; // grey level

/** What all explanations of the same images share. */
export class Samples {
  constructor(arrays) {
    this.classNames = arrays.class_names.data;
    this.names = arrays.names.data;
    const { shape, data } = arrays.photographs;
    [, this.height, this.width, this.channels] = shape;
    this.pixels = data;
    // Digits and scans on black ground are drawn as negatives under tiles: white is to be zero.
    const dark = data.reduce((count, level) => count + (level < MOSTLY_DARK), 0);
    this.areDark = 2 * dark > data.length;
    this.keys = new Map();
    this.canvases = new Map();
  }

  static async from(buffer) {
    return new Samples(await readNpz(buffer));
  }

  /** What a photograph is known by: equal ones have equal keys, in whichever run they are. */
  keyOf(number) {
    if (!this.keys.has(number)) {
      const last = this.channels - 1;
      const begin = number * this.width * this.height * this.channels;
      const end = begin + this.width * this.height * this.channels;
      let [one, two] = [0, 0];
      for (let at = begin; at < end; at += this.channels) {
        for (let part = 0; part < 3; part += 1) {
          const level = this.pixels[at + Math.min(part, last)]; // grey is kept once, or thrice
          one = Math.imul(one ^ level, 0x01000193);
          two = Math.imul(two + level + 1, 0x9e3779b1) ^ (two >>> 15);
        }
      }
      this.keys.set(number, `${this.width} ${this.height} ${one} ${two}`);
    }
    return this.keys.get(number);
  }

  /** A photograph as a canvas of its own size, the same one each time. */
  photograph(sample) {
    if (!this.canvases.has(sample)) this.canvases.set(sample, this.draw(sample));
    return this.canvases.get(sample);
  }

  draw(sample) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.width, this.height];
    const image = new ImageData(this.width, this.height);
    const begin = sample * this.width * this.height * this.channels;
    const last = this.channels - 1;
    for (let pixel = 0; pixel < this.width * this.height; pixel += 1) {
      const at = begin + pixel * this.channels;
      for (let part = 0; part < 3; part += 1) {
        image.data[4 * pixel + part] = this.pixels[at + Math.min(part, last)];
      }
      image.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }
}

// Of an image; a smaller region counts as so large, or a speck would shout the loudest. With half of
// this the loudest region of six photographs was as small as 0.2 %; twice this moves colour from value.
const LEAST_AREA = 0.02;

/** What the regions of one image add to one class, or to one rather than another. */
class RegionValues {
  /**
   * values, sizes: of each region; errors: of the values, and triangle: how these correlate, above
   * the diagonal row by row; both may be null.
   */
  constructor({ values, errors, triangle }, sizes) {
    Object.assign(this, { values, errors, triangle, sizes });
    this.area = sizes.reduce((sum, size) => sum + size, 0);
    this.magnitude = values.reduce((sum, value) => sum + Math.abs(value), 0);
  }

  /** How strong a region is: as it is, or for each hundredth of the image. */
  strength(region, per) {
    if (per === "region") return this.values[region];
    const size = Math.max(this.sizes[region], LEAST_AREA * this.area);
    return (this.values[region] * this.area) / (100 * size);
  }

  /** Where colours of this map alone are full: but a 200th of the image is not stronger. */
  full(per) {
    const regions = this.ranked.map((region) => [Math.abs(this.strength(region, per)), region]);
    regions.sort(([a], [b]) => b - a);
    let room = per === "region" ? 0 : this.area / 200;
    for (const [strength, region] of regions) {
      room -= this.sizes[region];
      if (room < 0) return strength;
    }
    return 0;
  }

  get hasDoubt() {
    return Boolean(this.errors);
  }

  /** Whether a region is within two standard errors of zero. */
  isDoubtful(region) {
    return this.hasDoubt && Math.abs(this.values[region]) < 2 * this.errors[region];
  }

  /** Those that there are, the strongest first. */
  get ranked() {
    const regions = [...this.values.keys()].filter((region) => this.sizes[region] > 0);
    return regions.sort((a, b) => Math.abs(this.values[b]) - Math.abs(this.values[a]));
  }

  share(region) {
    return this.magnitude ? Math.abs(this.values[region]) / this.magnitude : 0;
  }
}

export class Explanation {
  constructor(arrays) {
    const [maps, height, width] = arrays.region_map.shape;
    Object.assign(this, { maps, height, width });
    this.regionMap = arrays.region_map.data;
    [this.samples, this.regions, this.slots] = arrays.region_values.shape;
    this.values = arrays.region_values.data;
    this.scale = arrays.value_scale.data;
    this.errors = arrays.region_std?.data ?? null;
    this.triangles = arrays.error_triangle?.data ?? null;
    // Of many images, what is known of each came with its piece.
    this.rows = JSON.parse(arrays.about.data[0]).more.rows ?? null;
    this.sizes = new Map();
    this.known = new Map();
  }

  static async from(buffer) {
    return new Explanation(await readNpz(buffer));
  }

  /** The region of each pixel of an image; images may share one map. */
  mapOf(sample) {
    const area = this.height * this.width;
    const begin = (sample % this.maps) * area;
    return this.regionMap.subarray(begin, begin + area);
  }

  sizesOf(sample) {
    const number = sample % this.maps;
    if (!this.sizes.has(number)) {
      const sizes = new Uint32Array(this.regions);
      for (const region of this.mapOf(sample)) sizes[region] += 1;
      this.sizes.set(number, sizes);
    }
    return this.sizes.get(number);
  }

  /**
   * What the regions of an image add to a class, or how much more than to another.
   * Two classes of one model depend on one another, so that the errors of a difference are unknown.
   */
  valuesOf(sample, slot, other = -1) {
    const key = `${sample} ${slot} ${other}`;
    if (!this.known.has(key)) this.known.set(key, this.found(sample, slot, other));
    return this.known.get(key);
  }

  found(sample, slot, other) {
    const one = this.slot(sample, slot);
    const sizes = this.sizesOf(sample);
    if (other < 0) return new RegionValues(one, sizes);
    const two = this.slot(sample, other);
    const values = one.values.map((value, at) => value - two.values[at]);
    return new RegionValues({ values }, sizes);
  }

  slot(sample, slot) {
    const of = (numbers, scale = 1) =>
      numbers &&
      Float64Array.from({ length: this.regions }, (_, region) => {
        return numbers[(sample * this.regions + region) * this.slots + slot] * scale;
      });
    const pairs = (this.regions * (this.regions - 1)) / 2;
    return {
      values: of(this.values, this.scale[sample * this.slots + slot]),
      errors: of(this.errors),
      triangle: this.triangles?.subarray(sample * pairs, (sample + 1) * pairs) ?? null,
    };
  }
}
