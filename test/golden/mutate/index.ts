// SPDX-License-Identifier: Apache-2.0
//
// Mechanical damage: for each comparator, copies of a recording that it must
// not take for the original. A mutation is applied in place and undone.

import { subjectOf } from "../compare/index.ts";
import type { Comparator } from "../compare/facts.ts";
import { happenings, pairs } from "../compare/orders.ts";
import type { Recording } from "../recording.ts";
import { readOrders } from "../tables.ts";
import { ofAllCalls, ofCalls } from "./calls.ts";
import { set, type Mutation } from "./damage.ts";
import { ofDomains } from "./domains.ts";
import { ofSnapshots } from "./snapshots.ts";
import { ofStore } from "./store.ts";
import { ofWords } from "./words.ts";

export type { Mutation };

/** All mutations that this comparator must notice. */
export function mutationsFor(comparator: Comparator, recording: Recording): Mutation[] {
  switch (comparator.name) {
    case "domain-flags":
      return ofDomains(recording);
    case "store-connections":
      return ofStore(recording);
    case "orders":
      return ofOrders(recording);
    case "hypercalls":
      return ofCalls(recording);
    case "calls":
      return ofAllCalls(recording);
    case "snapshots":
      return ofSnapshots(recording);
    default:
      return ofWords(recording);
  }
}

/** The later of two ordered things made the earlier by a second. */
function ofOrders(recording: Recording): Mutation[] {
  const all = happenings(subjectOf(recording));
  return readOrders().flatMap((order) =>
    pairs(order, all).map(([thing, first, second]) => ({
      what: `${order.name} for ${thing || "the host"}: "${second.text}" before "${first.text}"`,
      apply: () => set(second.from, "time", first.time - 1000),
    })),
  );
}
