// SPDX-License-Identifier: Apache-2.0

import { nameWhatIsWritten } from "../exchanges.ts";
import { namesOf } from "../names.ts";
import type { Recording } from "../recording.ts";
import { actorsOf, type Actor } from "../roles.ts";
import { readExceptions, readOrders } from "../tables.ts";
import { domainFlags } from "./domain-flags.ts";
import { differences, type Comparator, type Difference, type Facts, type Subject } from "./facts.ts";
import { hypercalls } from "./hypercalls.ts";
import { ordersComparator } from "./orders.ts";
import { snapshots } from "./snapshots.ts";
import { storeConnections } from "./store-connections.ts";
import { words } from "./words.ts";

/** The six comparators, in the order in which reports name them. */
export const COMPARATORS: Comparator[] = [
  domainFlags,
  storeConnections,
  ordersComparator(readOrders()),
  hypercalls,
  snapshots,
  words,
];

const EXCEPTIONS = readExceptions("differences.md");

/**
 * Prepares a recording. Names are given in a fixed order first, so that all
 * comparators call one thing the same.
 */
export function subjectOf(recording: Recording, actors: Actor[] = actorsOf(recording)): Subject {
  const names = namesOf(recording);
  for (const row of recording.domains) if (row.fields["handle"]) names.uuid(row.fields["handle"]);
  for (const actor of actors) nameWhatIsWritten(names, actor);
  return { recording, actors, names };
}

/** What a comparator sees of a recording, exceptions left out. */
export function factsOf(comparator: Comparator, subject: Subject): Facts {
  const { scenario } = subject.recording;
  const rules = EXCEPTIONS.filter(
    (rule) => rule.comparator === comparator.name && rule.scenario.test(scenario),
  );
  const kept: Facts = new Map();
  for (const [list, lines] of comparator.facts(subject)) {
    const here = rules.filter((rule) => rule.list.test(list));
    const left =
      here.length === 0 ? lines : lines.filter(({ text }) => !here.some((rule) => rule.line.test(text)));
    if (left.length > 0) kept.set(list, left);
  }
  return kept;
}

/** Every list in which two recordings of one scenario differ, by comparator. */
export function compare(
  expected: Recording,
  actual: Recording,
  comparators: Comparator[] = COMPARATORS,
): Difference[] {
  const want = subjectOf(expected);
  const got = subjectOf(actual);
  return comparators.flatMap((comparator) =>
    differences(comparator.name, factsOf(comparator, want), factsOf(comparator, got)),
  );
}
