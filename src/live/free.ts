// SPDX-License-Identifier: Apache-2.0
//
// Freeing what is left of a dead domain on a live host, where that hits nobody.

import { isFailure } from "../core/engine/errno.ts";
import type { Errno } from "../core/engine/errno.ts";
import { forcedFree, forceFreeRefused, pagesLeft } from "../core/hypervisor/force-free.ts";
import type { PageLeft } from "../core/hypervisor/force-free.ts";
import type { LiveHost } from "./live-host.ts";

/** What came of it for one page. */
export interface FreedPage extends Omit<PageLeft, "holders"> {
  freed: boolean;
  /** Why not. */
  why: string | null;
}

/** What came of it: pages, or why the domain has none to free. */
export type FreeReport = { domid: number; pages: FreedPage[] } | { domid: number; errno: Errno; why: string };

/** Frees a page of a dead domain, or all it has left. */
export function freePages(host: LiveHost, domid: number, mfn: number | null): FreeReport {
  const { driver, world } = host;
  const left = driver.look(() => pagesLeft(world, domid));
  if (isFailure(left)) return { domid, ...left };
  const asked = mfn === null ? left : left.filter((page) => page.mfn === mfn);
  if (mfn !== null && asked.length === 0) {
    const none = forceFreeRefused(world, domid, mfn);
    return { domid, errno: "ENOENT", why: none?.why ?? "" };
  }
  const pages = asked.map(({ holders: _holders, ...page }) => {
    const refused = driver.look(() => forceFreeRefused(world, domid, page.mfn));
    if (refused === null) driver.give(forcedFree, { domid, mfn: page.mfn });
    return { ...page, freed: refused === null, why: refused?.why ?? null };
  });
  return { domid, pages };
}
