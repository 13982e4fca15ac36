// SPDX-License-Identifier: Apache-2.0
//
// Watch events that a thread of xenwatch has not come to yet, by the domains
// whose devices they are about.

import { mailboxCell } from "../core/engine/mailbox.ts";
import type { World } from "../core/engine/world.ts";

/** Domains whose events wait in the mailbox of that thread, in ascending order; none where it has no mailbox. */
export function domainsBehind(world: World, thread: string): number[] {
  const found = new Set<number>();
  for (const message of world.get(mailboxCell, thread)?.messages ?? []) {
    const { path } = message as { path?: unknown };
    if (typeof path !== "string") continue;
    const domid = domainOf(path);
    if (domid !== null) found.add(domid);
  }
  return [...found].toSorted((a, b) => a - b);
}

/** The frontend's domain in a backend's path, or the domain whose home a path is in. */
function domainOf(path: string): number | null {
  const backend = /^(?:\/local\/domain\/\d+\/)?backend\/[^/]+\/(\d+)(?:\/|$)/.exec(path)?.[1];
  const home = /^\/local\/domain\/(\d+)\//.exec(path)?.[1];
  const domid = backend ?? home;
  return domid === undefined || domid === "0" ? null : Number(domid);
}
