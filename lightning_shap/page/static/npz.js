// NumPy's .npz files: zip archives of arrays, read here and put together again.

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;

/** The entries of a zip archive as they stand in it: name, method, checksum, sizes and bytes. */
function entriesOf(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error("not an archive of arrays");
  const entries = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    if (view.getUint32(at, true) !== CENTRAL) throw new Error("a damaged archive");
    const nameLength = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const compressed = view.getUint32(at + 20, true);
    entries.push({
      name: new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameLength)),
      method: view.getUint16(at + 10, true),
      checksum: view.getUint32(at + 16, true),
      size: view.getUint32(at + 24, true),
      bytes: new Uint8Array(buffer, begin, compressed),
    });
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return entries;
}

async function unpacked({ method, bytes }) {
  if (method === 0) return bytes.slice().buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const KINDS = {
  "|u1": Uint8Array,
  "|b1": Uint8Array,
  "<u2": Uint16Array,
  "<i4": Int32Array,
  "<u4": Uint32Array,
  "<f4": Float32Array,
  "<f8": Float64Array,
};

/** One array as NumPy writes it: its shape, and its numbers or texts in the order of rows. */
function arrayOf(buffer) {
  const length = new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, 10, length));
  const kind = /'descr': '([^']+)'/.exec(header)[1];
  const shape = /'shape': \(([^)]*)\)/
    .exec(header)[1]
    .split(",")
    .filter((part) => part.trim());
  const content = buffer.slice(10 + length);
  let data;
  if (kind in KINDS) data = new KINDS[kind](content);
  else if (kind === "<f2") data = Float64Array.from(new Uint16Array(content), fromHalf);
  else if (kind === "<i8") data = Float64Array.from(new BigInt64Array(content), Number);
  else if (kind.startsWith("<U")) data = textsOf(new Uint32Array(content), Number(kind.slice(2)));
  else throw new Error(`arrays of ${kind} are unknown here`);
  return { shape: shape.map(Number), data };
}

function textsOf(points, length) {
  const texts = [];
  for (let begin = 0; begin < points.length; begin += length) {
    const one = points.subarray(begin, begin + length);
    const end = one.findIndex((point) => point === 0);
    texts.push(String.fromCodePoint(...(end < 0 ? one : one.subarray(0, end))));
  }
  return texts;
}

/** The arrays of an .npz file by their names. */
export async function readNpz(buffer) {
  const arrays = {};
  for (const entry of entriesOf(buffer)) {
    arrays[entry.name.replace(/\.npy$/, "")] = arrayOf(await unpacked(entry));
  }
  return arrays;
}

/** Several .npz files as one, of arrays whose names differ. */
export function joinedNpz(buffers) {
  const parts = [];
  const directory = [];
  let at = 0;
  const names = new Set();
  for (const entry of buffers.flatMap(entriesOf)) {
    if (names.has(entry.name)) continue;
    names.add(entry.name);
    const name = new TextEncoder().encode(entry.name);
    const shared = (bytes, begin) => {
      const view = new DataView(bytes.buffer);
      view.setUint16(begin, 20, true); // the version that can read it
      view.setUint16(begin + 4, entry.method, true);
      view.setUint32(begin + 6, 0x00210000, true); // 1980, as zip counts
      view.setUint32(begin + 10, entry.checksum, true);
      view.setUint32(begin + 14, entry.bytes.length, true);
      view.setUint32(begin + 18, entry.size, true);
      view.setUint16(begin + 22, name.length, true);
      return view;
    };
    const head = new Uint8Array(30);
    shared(head, 4).setUint32(0, LOCAL, true);
    const listed = new Uint8Array(46);
    const view = shared(listed, 6);
    view.setUint32(0, CENTRAL, true);
    view.setUint16(4, 20, true);
    view.setUint32(42, at, true);
    parts.push(head, name, entry.bytes);
    directory.push(listed, name);
    at += head.length + name.length + entry.bytes.length;
  }
  const tail = new Uint8Array(22);
  const view = new DataView(tail.buffer);
  view.setUint32(0, END, true);
  view.setUint16(8, names.size, true);
  view.setUint16(10, names.size, true);
  view.setUint32(
    12,
    directory.reduce((sum, part) => sum + part.length, 0),
    true,
  );
  view.setUint32(16, at, true);
  return new Blob([...parts, ...directory, tail], { type: "application/zip" });
}
