// SPDX-License-Identifier: Apache-2.0

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { calls } from "./compare/calls.ts";
import { COMPARATORS, compare, factsOf, subjectOf } from "./compare/index.ts";
import { differences, type Comparator } from "./compare/facts.ts";
import { mutationsFor, type Mutation } from "./mutate/index.ts";
import { readRecording } from "./parse/folder.ts";
import { actorsOf } from "./roles.ts";

const folder = join(import.meta.dirname, "recordings");
const first = readdirSync(folder).filter((name) => name !== "_repeat");
const repeated = readdirSync(join(folder, "_repeat"));
const all = [...first, ...repeated.map((name) => `_repeat/${name}`)];

/** At most this many mutations are tried a comparator and recording, spread over all there are. */
const TRIED = 24;

describe("two recordings of one scenario agree", () => {
  for (const name of repeated) {
    test(name, () => {
      expect(
        compare(readRecording(join(folder, name)), readRecording(join(folder, "_repeat", name)), [
          ...COMPARATORS,
          calls,
        ]),
      ).toEqual([]);
    });
  }
});

describe("every listed order holds in every recording", () => {
  for (const name of all) {
    test(name, () => {
      const facts = factsOf(
        COMPARATORS.find((comparator) => comparator.name === "orders")!,
        subjectOf(readRecording(join(folder, name))),
      );
      const verdicts = [...facts.values()].flat().map((fact) => fact.text);
      expect(verdicts.length).toBeGreaterThan(0);
      expect(verdicts.filter((text) => !text.endsWith(": holds"))).toEqual([]);
    });
  }
});

for (const comparator of [...COMPARATORS, calls]) {
  describe(`${comparator.name} rejects damaged copies`, () => {
    for (const name of all) {
      test(name, () => {
        const recording = readRecording(join(folder, name));
        // Damage to anything but the store's trace leaves its actors as they are.
        const actors = readsTheStore(comparator) ? undefined : actorsOf(recording);
        const expected = factsOf(comparator, subjectOf(recording, actors));
        const unexcepted = comparator.facts(subjectOf(recording, actors));
        const missed: string[] = [];
        let noticed = 0;
        for (const mutation of spread(mutationsFor(comparator, recording), TRIED)) {
          const repair = mutation.apply();
          const damaged = subjectOf(recording, actors);
          if (differences(comparator.name, expected, factsOf(comparator, damaged)).length > 0) noticed++;
          // Only an exception may hide a damage.
          else if (differences(comparator.name, unexcepted, comparator.facts(damaged)).length === 0)
            missed.push(mutation.what);
          repair();
        }
        expect(missed).toEqual([]);
        expect(noticed).toBeGreaterThanOrEqual(10);
        const repaired = factsOf(comparator, subjectOf(recording, actors));
        expect(differences(comparator.name, expected, repaired)).toEqual([]);
      });
    }
  });
}

function readsTheStore({ name }: Comparator): boolean {
  return name === "store-connections" || name === "orders";
}

function spread(mutations: Mutation[], count: number): Mutation[] {
  const step = Math.max(1, mutations.length / count);
  return Array.from(
    { length: Math.min(count, mutations.length) },
    (_, at) => mutations[Math.floor(at * step)]!,
  );
}
