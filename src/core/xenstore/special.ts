// SPDX-License-Identifier: Apache-2.0
//
// Permissions of the special watches, which have no nodes.

import { type Cells, cellType } from "../engine/cells.ts";
import { withoutDomain } from "./perms.ts";

/** Identified by the special path. */
export const specialType = cellType<{ perms: string }>("special-watch");

export const INTRODUCE_DOMAIN = "@introduceDomain";
export const RELEASE_DOMAIN = "@releaseDomain";

/** Puts the two special watches in place with their first permissions. */
export function addSpecials(cells: Cells, introducePerms: string, releasePerms: string): void {
  cells.add(specialType, INTRODUCE_DOMAIN, { perms: introducePerms });
  cells.add(specialType, RELEASE_DOMAIN, { perms: releasePerms });
}

/** The permissions of a special watch, or of the one it is a form of; undefined for an unknown name. */
export function specialPerms(cells: Cells, path: string): string | undefined {
  const slash = path.indexOf("/");
  return cells.get(specialType, slash < 0 ? path : path.slice(0, slash))?.perms;
}

/** Sets the permissions of a special watch that exists. */
export function setSpecialPerms(cells: Cells, path: string, perms: string): void {
  cells.edit(specialType, path).perms = perms;
}

/** Takes a domain that is gone out of the permissions of all special watches. */
export function forgetInSpecials(cells: Cells, domid: number): void {
  for (const path of [INTRODUCE_DOMAIN, RELEASE_DOMAIN]) {
    const perms = specialPerms(cells, path);
    if (perms === undefined) continue;
    const kept = withoutDomain(perms, domid);
    if (kept !== perms) setSpecialPerms(cells, path, kept);
  }
}
