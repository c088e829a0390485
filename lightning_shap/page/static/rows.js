// Which images a view shows, and which of two sides stand together: the same ones, and no others.

import { askedFor } from "./columns.js";

/**
 * The rows of a view, each a list of one or two {side, number}: [[those of A], [those of B alone]];
 * and a sentence about images that are not on both sides.
 */
export function pairImages([first, second]) {
  if (!second) return { groups: [alone(first)], said: "" };
  const known = first.facts.samples === second.facts.samples;
  if (!known && !(first.samples && second.samples)) {
    const said = "Without photographs nobody knows which images A and B have in common: ";
    return { groups: [alone(first), alone(second)], said: `${said}those of B stand below those of A.` };
  }
  const [ours, theirs] = [keysOf(first, known), keysOf(second, known)];
  const there = new Map(theirs.map((key, number) => [key, number]));
  const isBoth = new Set(ours);
  const groups = [
    alone(first).map(([member]) => {
      const number = there.get(ours[member.number]);
      return number === undefined ? [member] : [member, { side: second, number }];
    }),
    alone(second).filter(([{ number }]) => !isBoth.has(theirs[number])),
  ];
  const common = groups[0].filter((row) => row.length > 1).length;
  if (common === ours.length && !groups[1].length) return { groups, said: "" };
  const below = "those of B alone stand below those of A, each with its own photograph.";
  const said = common
    ? `A and B have ${common} image${common === 1 ? "" : "s"} in common; ${below}`
    : `A and B have no image in common: ${below.replace(" alone", "")}`;
  return { groups, said };
}

/** Whether a row is of the samples that the view asks for; its classes are those of `lead`. */
export function isWanted([{ side, number }, second], view, lead) {
  const row = side.row(number);
  const like = (value) => side.numberOf(lead, Number(value));
  if (view.filter === "mistakes" && row.right !== false) return false;
  if (view.filter === "changed") {
    const before = second ?? { side, number, facts: side.history[0] };
    const { predicted } = (before.facts ?? before.side.facts).rows[before.number];
    if (before.side.namesOf(predicted) === side.namesOf(row.predicted)) return false;
  }
  const named = [...row.true, ...row.predicted];
  if (view.only !== "" && !named.includes(like(view.only))) return false;
  const asked = askedFor(row, view, like);
  return !asked || asked.wanted.some((one) => row.explained.includes(one));
}

function alone(side) {
  return side.facts.rows.map((_, number) => [{ side, number }]);
}

/** What the images of a side are known by; one that comes again is another each time. */
function keysOf({ facts, samples }, known) {
  const seen = new Map();
  return facts.rows.map((_, number) => {
    if (known) return number;
    const key = samples.keyOf(number);
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return `${key} ${seen.get(key)}`;
  });
}
