// What pinned places have of an image's map, through the epochs of all runs.

import { mapOf, thin } from "./columns.js";
import { maskOf, measure } from "./pins.js";
import { partnersOf } from "./rows.js";
import { usualTag } from "./reader.js";
import { shortMomentOf } from "./snapshot.js";

const MOST_EPOCHS = 400; // of the run that is shown
const MOST_OF_OTHERS = 40; // epochs of each other run, evenly

export class RegionHistory {
  constructor(reader) {
    this.reader = reader;
    this.turn = 0;
  }

  /**
   * Follows pins of an image through all runs; whoever asks again ends what was asked before.
   *
   * Tells as it goes on: a list of {run, isLead, points, isWhole}, a point being {step, name,
   * probability, right, shares: [{share, value, area}, ...] by pin}.
   */
  async follow({ lead, number, line, pins, runs }, tell) {
    const turn = (this.turn += 1);
    const others = runs.filter(({ run }) => run !== lead.run);
    const found = [{ run: lead.run, tag: lead.tag, isLead: true }, ...others].map((one) => ({
      ...one,
      points: [],
    }));
    for (const one of found) {
      const tag = one.isLead || one.tags.includes(lead.tag) ? lead.tag : usualTag(one.tags);
      const series = await this.reader.series(one.run, tag).catch(() => []);
      const most = one.isLead ? MOST_EPOCHS : MOST_OF_OTHERS;
      const places = thin(series.length, most);
      one.isThin = places.length < series.length;
      one.points = [];
      let told = 0;
      await Promise.all(
        places.map(async (place) => {
          if (turn !== this.turn) return;
          const column = { run: one.run, tag, series, place };
          const snapshot = await this.reader.snapshot(column, [number]);
          const point = pointOf(snapshot, { lead, number, line, pins });
          if (point) one.points.push(point);
          if (turn === this.turn && (told += 1) % 12 === 0) tell(sorted(found));
        }),
      );
      if (turn !== this.turn) return;
      one.isWhole = true;
      tell(sorted(found));
    }
  }
}

function sorted(found) {
  for (const { points } of found) points.sort((a, b) => a.step - b.step);
  return found.filter(({ points }) => points.length);
}

function pointOf(snapshot, { lead, number, line, pins }) {
  const { facts } = snapshot;
  const there = partnersOf(lead, snapshot)?.[number];
  if (there === undefined) return null;
  const { explanation, number: at } = snapshot.at(there);
  if (!explanation) return null;
  const { slot, other, probability, lack } = mapOf({ snapshot, number: there }, line, lead);
  if (lack) return null;
  const found = explanation.valuesOf(at, slot, other);
  const map = explanation.mapOf(at);
  const shares = pins.map((pin) => measure(found, map, maskOf(pin, explanation)));
  const { right } = snapshot.row(there);
  return { step: facts.step, name: shortMomentOf(facts), probability, right, shares };
}
