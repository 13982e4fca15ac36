// SPDX-License-Identifier: Apache-2.0
//
// What makes a holder let go, as a command to type.

import type { Holder, Stage } from "./diagnosis.ts";
import type { Actor } from "./who.ts";

/** The command that ends a hold, or null where none is known. */
export function releaseOf({ pid, outside }: Actor): string | null {
  return outside && pid !== null ? `kill ${pid}` : null;
}

/** What to do next, most useful first. */
export function nextSteps(stage: Stage, domid: number, holders: readonly Holder[]): string[] {
  switch (stage) {
    case "zombie":
      return [...new Set(holders.flatMap(({ release }) => release ?? [])), `xenolith wait --freed ${domid}`];
    case "being killed":
    case "being freed":
      return [`xenolith wait --freed ${domid}`];
    case "shut down":
      return [`xenolith xl destroy ${domid}`];
    case "paused":
      return [`xenolith xl unpause ${domid}`];
    case "never used":
      return ["xenolith xl list"];
    default:
      return [];
  }
}
