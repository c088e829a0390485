// What is taken for what: images by their true and their predicted class, to begin with mistakes.

import { called, html } from "./dom.js";
import { pairOf } from "./rows.js";

const MOST = 12; // classes of a table; of more, the mistakes are listed

/** How many images there are of each pair of a true and a predicted class, "3>5". */
export function countPairs(rows) {
  const counts = new Map();
  for (const row of rows) {
    const pair = pairOf(row);
    if (pair) counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return counts;
}

/**
 * A table of pairs of classes, or of many classes a list of what is wrong.
 *
 * counts: see `countPairs`; nameOf: of a class; chosen: the pair that is shown; pick: is told a pair,
 * "" for none, and whether its classes differ; has: whether there are images of a pair to be shown.
 */
export function matrixOf({ counts, nameOf, chosen, pick, has = () => true }) {
  if (!counts.size) return html("p", {}, "Nobody said what is true of these images.");
  const numbers = [...new Set([...counts.keys()].flatMap(classesOf))].sort((a, b) => a - b);
  const most = Math.max(...counts.values());
  const button = (pair, ...text) => {
    const [truth, taken] = classesOf(pair);
    const isWrong = truth !== taken;
    const count = counts.get(pair);
    const names = isWrong
      ? `${nameOf(truth)} taken for ${nameOf(taken)}`
      : `${nameOf(truth)}, rightly`;
    const lack = has(pair) ? "" : ", none of them on this page";
    const words = `${count} image${count === 1 ? "" : "s"}: ${names}${lack}`;
    return html(
      "button",
      {
        type: "button",
        class: isWrong ? "confused" : "agreed",
        disabled: Boolean(lack),
        "data-weight": Math.ceil((4 * count) / most),
        "aria-pressed": String(chosen === pair),
        "aria-label": words,
        title: words,
        onclick: () => pick(chosen === pair ? "" : pair, isWrong),
      },
      ...(text.length ? text : [String(count)]),
    );
  };
  if (numbers.length > MOST) {
    const wrong = [...counts].filter(([pair]) => new Set(classesOf(pair)).size > 1);
    wrong.sort(([, a], [, b]) => b - a);
    const items = wrong.map(([pair, count]) => {
      const [truth, taken] = classesOf(pair).map((one) => called(nameOf(one), 22));
      return html("li", {}, button(pair, truth, " \u2192 ", taken, ` \u00b7 ${count}`));
    });
    return html("ul", { class: "confusions" }, ...items);
  }
  const heads = numbers.map((one) =>
    html("th", { scope: "col" }, html("span", {}, called(nameOf(one), 14))),
  );
  const rows = numbers.map((truth) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, called(nameOf(truth), 16)),
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
    html("thead", {}, html("tr", {}, html("td", {}), ...heads)),
    html("tbody", {}, ...rows),
  );
}

function classesOf(pair) {
  return pair.split(">").map(Number);
}
