// SPDX-License-Identifier: Apache-2.0
//
// Every comparator reduces a recording to named lists of lines; two recordings
// agree where their lists do. What a comparator is told to ignore never gets
// into a list, so that what is in one must match.

import type { Names } from "../names.ts";
import type { Recording } from "../recording.ts";
import type { Actor } from "../roles.ts";

/** A recording with what all comparators need of it. */
export interface Subject {
  recording: Recording;
  actors: Actor[];
  names: Names;
}

export interface Fact {
  text: string;
  /** For an event: how many requests of its connection came before it. It may differ by one. */
  after?: number;
  /** Too short-lived to be seen every time: may be missing on either side. */
  brief?: boolean;
  /** Nothing is known of this list: it agrees with any. */
  unknown?: boolean;
}

export type Facts = Map<string, Fact[]>;

export interface Comparator {
  /** `domain-flags`, … as differences.md and reports call it. */
  name: string;
  facts(subject: Subject): Facts;
}

export interface Difference {
  comparator: string;
  /** The list that differs: an actor, a domain, a snapshot. */
  list: string;
  /** The first difference with its surroundings, one line each. */
  detail: string[];
}

/** Appends a line to the list of that name. */
export function add(facts: Facts, list: string, fact: Fact | string): void {
  const lines = facts.get(list);
  const one = typeof fact === "string" ? { text: fact } : fact;
  if (lines) lines.push(one);
  else facts.set(list, [one]);
}

/** The first difference of every list that is not the same in both. */
export function differences(comparator: string, expected: Facts, actual: Facts): Difference[] {
  const found: Difference[] = [];
  for (const list of new Set([...expected.keys(), ...actual.keys()])) {
    const want = expected.get(list) ?? [];
    const got = actual.get(list) ?? [];
    if (want[0]?.unknown || got[0]?.unknown) continue;
    const at = firstDifference(want, got);
    if (at !== null)
      found.push({
        comparator,
        list,
        detail: detail(want.slice(0, at[0]), want.slice(at[0]), got.slice(at[1])),
      });
  }
  return found;
}

/** Where the two lists part, as an index into each; null where they agree. */
function firstDifference(want: Fact[], got: Fact[]): [number, number] | null {
  let i = 0;
  let j = 0;
  while (i < want.length || j < got.length) {
    if (same(want[i], got[j])) {
      i++;
      j++;
    } else if (want[i]?.brief) i++;
    else if (got[j]?.brief) j++;
    else return [i, j];
  }
  return null;
}

function same(want: Fact | undefined, got: Fact | undefined): boolean {
  if (!want || !got || want.text !== got.text) return false;
  return Math.abs((want.after ?? 0) - (got.after ?? 0)) <= 1;
}

const CONTEXT = 3;

/** What both agreed on last, then what is expected (-) and what came instead (+). */
function detail(agreed: Fact[], want: Fact[], got: Fact[]): string[] {
  const out = agreed.slice(-CONTEXT).map((fact) => `    ${fact.text}`);
  const moved = want[0] && got[0] && want[0].text === got[0].text;
  const shown = moved ? 1 : CONTEXT;
  const show = (fact: Fact): string => (moved ? `${fact.text}   (after ${fact.after} requests)` : fact.text);
  out.push(...(want.length === 0 ? ["  - (end)"] : want.slice(0, shown).map((fact) => `  - ${show(fact)}`)));
  out.push(...(got.length === 0 ? ["  + (end)"] : got.slice(0, shown).map((fact) => `  + ${show(fact)}`)));
  return out;
}
