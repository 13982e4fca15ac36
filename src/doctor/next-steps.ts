// SPDX-License-Identifier: Apache-2.0
//
// What to type next.

import type { Holder, Stage } from "./diagnosis.ts";

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
