// SPDX-License-Identifier: Apache-2.0
//
// What is asked of every state, of some state, and of every end.

import type { Host } from "../core/engine/host.ts";

/** A question to a state: null where all is well, else what is wrong in one sentence. */
export type Check = (host: Host) => string | null;

/** Properties of a scenario, by name: the name is the sentence a report shows. */
export interface Properties {
  /** Holds in every state. */
  always?: { readonly [name: string]: Check };
  /** Holds in at least one state: proof that the scenario reaches what it is about. */
  sometimes?: { readonly [name: string]: (host: Host) => boolean };
  /** Holds in every state in which nothing is left to do. */
  finally?: { readonly [name: string]: Check };
}

/** A property that does not hold, with what was found. */
export interface Violation {
  kind: "always" | "finally" | "assertion";
  property: string;
  found: string;
}

/** The first of the checks that fails, in their order; null where none does. */
export function firstViolation(
  host: Host,
  kind: "always" | "finally",
  checks: { readonly [name: string]: Check } | undefined,
): Violation | null {
  for (const [property, check] of Object.entries(checks ?? {})) {
    const found = check(host);
    if (found !== null) return { kind, property, found };
  }
  return null;
}
