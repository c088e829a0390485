// How an explanation came about: its settings, and the versions of what made it.

import { html, numeral } from "./dom.js";

/** The settings of a snapshot as a list of names and values. */
export function settingsOf({ facts }) {
  const largest = (name) =>
    facts.most?.[name] ??
    Math.max(...facts.rows.flatMap((row) => row[name]).filter(Number.isFinite));
  const said = {
    title: facts.title,
    method: facts.method,
    "evaluations an image": `${facts.max_evals} allowed, ${largest("evaluations")} used`,
    regions: `up to ${largest("regions")}`,
    grid: facts.grid?.join(" \u00d7 "),
    masker: facts.masker,
    output: facts.output,
    seed: facts.seed,
    "largest additivity gap": numeral(largest("gap")),
    seconds: `${numeral(facts.seconds)}, ${numeral(facts.model_seconds)} of it in the model`,
    "shown as": facts.cell > 1 ? `sums over ${facts.cell} \u00d7 ${facts.cell} pixels` : undefined,
    images: facts.notes.join("; ") || undefined,
    lightning_shap: facts.version,
    "format of the data": facts.format,
  };
  const known = Object.entries(said).filter(([, value]) => value !== undefined && value !== null);
  return html(
    "dl",
    {},
    ...known.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, String(value))]),
  );
}
