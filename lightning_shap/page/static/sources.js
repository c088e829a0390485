// Where the data is: behind TensorBoard's routes, or in the page itself.

/** What TensorBoard serves below this page's own address. */
export class ServedSource {
  async ask(route, query = {}) {
    const answer = await fetch(`./${route}?${new URLSearchParams(query)}`).catch(() => {
      throw new Error("TensorBoard does not answer");
    });
    if (!answer.ok) throw new Error(`TensorBoard answers ${answer.status} (${route})`);
    return answer;
  }

  /** All runs: [{run, tags, latest}, ...], `latest` being when it last grew. */
  async runs() {
    const runs = Object.entries(await (await this.ask("runs")).json());
    return runs.map(([run, tags]) => ({
      run,
      tags: Object.keys(tags),
      latest: Math.max(...Object.values(tags)),
    }));
  }

  /** The facts of all explanations of a tag, by step. */
  async series(run, tag) {
    return (await this.ask("series", { run, tag })).json();
  }

  /** The values of an explanation, or of many images a piece of them. */
  async values(run, tag, { step }, piece) {
    return (await this.ask("values", { run, tag, step, piece })).arrayBuffer();
  }

  async samples(run, { samples: key }, piece) {
    return (await this.ask("samples", { run, key, piece })).arrayBuffer();
  }

  /** The training's numbers: [[step, value], ...] by their names. */
  async scalars(run) {
    return (await this.ask("scalars", { run })).json();
  }
}

/** What a report carries. */
export class CarriedSource {
  constructor(data) {
    this.data = data;
  }

  async runs() {
    const runs = Object.entries(this.data.runs);
    return runs.map(([run, tags]) => ({ run, tags: Object.keys(tags), latest: 0 }));
  }

  async series(run, tag) {
    return this.data.runs[run][tag].map((one) => one.facts);
  }

  async values(run, tag, { step }, piece) {
    const { name, values } = this.data.runs[run][tag].find((one) => one.facts.step === step);
    return bytesOf(piece ? await blobOf(`${name}-${piece}`) : values);
  }

  async samples(run, { samples: key }, piece) {
    return bytesOf(piece ? await blobOf(`${key}-${piece}`) : this.data.samples[key]);
  }

  async scalars(run) {
    const curves = {};
    for (const { facts } of Object.values(this.data.runs[run]).flat()) {
      for (const [name, value] of Object.entries(facts.numbers)) {
        if (value !== null) (curves[name] ??= []).push([facts.step, value]);
      }
    }
    for (const points of Object.values(curves)) points.sort(([a], [b]) => a - b);
    return curves;
  }
}

/** A text that stands behind the script, which begins before a long file is read to its end. */
async function blobOf(name) {
  const find = () => document.getElementById(name);
  while (!find() && document.readyState === "loading") {
    await new Promise((go) => setTimeout(go, 20));
  }
  return find()?.textContent;
}

/** The bytes that a text in base64 stands for. */
export function bytesOf(text) {
  if (text === undefined) throw new Error("this file does not hold them");
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
