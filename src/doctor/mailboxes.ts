// SPDX-License-Identifier: Apache-2.0
//
// Watch events that a thread of xenwatch has not come to yet, by the domains
// whose devices they are about.

import { mailboxCell } from "../core/engine/mailbox.ts";
import type { World } from "../core/engine/world.ts";

/** Paths of the events in a mailbox, oldest first; none where there is no mailbox of that name. */
export function pathsIn(world: World, mailbox: string): string[] {
  return (world.get(mailboxCell, mailbox)?.messages ?? []).flatMap((message) => {
    const { path } = message as { path?: unknown };
    return typeof path === "string" ? [path] : [];
  });
}

/** Domains whose events wait in the mailbox of that thread, in ascending order; none where it has no mailbox. */
export function domainsBehind(world: World, thread: string): number[] {
  const found = new Set(pathsIn(world, thread).flatMap((path) => domainOf(path) ?? []));
  return [...found].toSorted((x, y) => x - y);
}

/** The frontend's domain in a backend's path, or the domain whose home a path is in. */
function domainOf(path: string): number | null {
  const backend = /^(?:\/local\/domain\/\d+\/)?backend\/[^/]+\/(\d+)(?:\/|$)/.exec(path)?.[1];
  const home = /^\/local\/domain\/(\d+)\//.exec(path)?.[1];
  const domid = backend ?? home;
  return domid === undefined || domid === "0" ? null : Number(domid);
}
