// SPDX-License-Identifier: Apache-2.0
//
// Who holds too much memory is told to the log when it begins and when it ends
// (domain_chk_quota in xenstored_domain.c).

import { type Cells, cellType } from "../engine/cells.ts";
import type { Store } from "./ports.ts";
import { accountOf, exceeds, limitsOf } from "./quota.ts";

/** What has been told of a domain, by domid; no cell where nothing has. */
const toldType = cellType<{ soft: boolean; hard: boolean }>("xenstore-memory-told");

/** Tells that an unprivileged domain has crossed its soft or its hard limit, in either direction. */
export function tellMemory(store: Store, domid: number): void {
  const { cells } = store;
  const { memory } = accountOf(cells, domid);
  const softLimit = limitsOf(cells, domid)["soft-memory"];
  const soft = softLimit !== 0 && memory >= softLimit;
  const hard = exceeds(cells, domid, "memory", memory);
  const told = cells.get(toldType, domid);
  if (soft === (told?.soft ?? false) && hard === (told?.hard ?? false)) return;
  if (hard !== (told?.hard ?? false))
    store.log?.(
      hard
        ? `Domain ${domid} exceeds hard memory quota, Xenstore interface to domain stalled`
        : `Domain ${domid} below hard memory quota again`,
    );
  if (soft !== (told?.soft ?? false))
    store.log?.(
      soft ? `Domain ${domid} exceeds soft memory quota` : `Domain ${domid} below soft memory quota again`,
    );
  forgetTold(cells, domid);
  if (soft || hard) cells.add(toldType, domid, { soft, hard });
}

/** A domain is gone. */
export function forgetTold(cells: Cells, domid: number): void {
  if (cells.get(toldType, domid) !== undefined) cells.drop(toldType, domid);
}
