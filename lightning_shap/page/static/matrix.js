// What is taken for what: the samples by their true and their predicted class, to begin with mistakes.

import { called, html } from "./dom.js";
import { pairOf } from "./rows.js";

const MOST = 12; // classes of a table; of more, the mistakes are listed

/** pick: is told a pair of classes, as a view says it, and whether they differ. */
export function matrixOf(snapshot, view, pick) {
  const counts = new Map();
  for (const row of snapshot.facts.rows) {
    const pair = pairOf(row);
    if (pair) counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  if (!counts.size) return html("p", {}, "Nobody said what is true of these images.");
  const numbers = [...new Set([...counts.keys()].flatMap((pair) => pair.split(">").map(Number)))];
  numbers.sort((a, b) => a - b);
  const most = Math.max(...counts.values());
  const button = (pair, text) => {
    const [truth, taken] = pair.split(">").map(Number);
    const isWrong = truth !== taken;
    const count = counts.get(pair);
    const images = `${count} image${count === 1 ? "" : "s"}`;
    const words = isWrong
      ? `${snapshot.nameOf(truth)} taken for ${snapshot.nameOf(taken)}`
      : `${snapshot.nameOf(truth)}, rightly`;
    return html(
      "button",
      {
        type: "button",
        class: isWrong ? "confused" : "agreed",
        "data-weight": Math.ceil((4 * count) / most),
        "aria-pressed": String(view.pair === pair),
        "aria-label": `${images}: ${words}`,
        title: `${images}: ${words}`,
        onclick: () => pick(view.pair === pair ? "" : pair, isWrong),
      },
      ...[text ?? String(count)].flat(),
    );
  };
  if (numbers.length > MOST) {
    const wrong = [...counts].filter(([pair]) => new Set(pair.split(">")).size > 1);
    wrong.sort(([, a], [, b]) => b - a);
    const items = wrong.map(([pair, count]) => {
      const [truth, taken] = pair.split(">").map((one) => called(snapshot.nameOf(Number(one)), 22));
      return html("li", {}, button(pair, [truth, " \u2192 ", taken, ` \u00b7 ${count}`]));
    });
    return html("ul", { class: "confusions" }, ...items);
  }
  const head = numbers.map((one) =>
    html("th", { scope: "col" }, html("span", {}, called(snapshot.nameOf(one), 14))),
  );
  const rows = numbers.map((truth) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, called(snapshot.nameOf(truth), 16)),
      ...numbers.map((taken) => {
        const pair = `${truth}>${taken}`;
        return html("td", {}, counts.has(pair) ? button(pair) : null);
      }),
    ),
  );
  return html(
    "table",
    { class: "matrix" },
    html("caption", {}, "Rows are true, columns predicted."),
    html("thead", {}, html("tr", {}, html("td", {}), ...head)),
    html("tbody", {}, ...rows),
  );
}
