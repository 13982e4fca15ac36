// SPDX-License-Identifier: Apache-2.0
//
// The same search with and without leaving orders out: both must find the same.

import { hashText } from "../../src/core/engine/hash.ts";
import type { World } from "../../src/core/engine/world.ts";
import type { Properties } from "../../src/explore/property.ts";
import { search } from "../../src/explore/search.ts";
import type { Bounds, SearchResult } from "../../src/explore/bounds.ts";

/** What a search found, as far as leaving orders out may not change it. */
export interface Verdict {
  /** Hashes of the states in which nothing is left to do. */
  ends: string[];
  violated: string | null;
  unreached: string[];
}

/** Searches, and notes the ends; where `finally` is violated the search ends there. */
export function verdictOf(
  world: World,
  properties: Properties,
  bounds: Bounds,
): { verdict: Verdict; result: SearchResult } {
  const ends = new Set<string>();
  const noting = (): null => {
    ends.add(hashText(world.hashAt(world.now)));
    return null;
  };
  const result = search(
    world,
    { ...properties, finally: { "(note the end)": noting, ...properties.finally } },
    bounds,
  );
  const { violation, unreached } = result;
  return {
    verdict: { ends: [...ends].toSorted(), violated: violation?.property ?? null, unreached },
    result,
  };
}
