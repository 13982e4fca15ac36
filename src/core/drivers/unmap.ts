// SPDX-License-Identifier: Apache-2.0
//
// A backend lets go of a page it has mapped; that of a compromised domain does not.

import { cellType } from "../engine/cells.ts";
import { faultKind, faultOn } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import type { Caller } from "../hypervisor/caller.ts";
import { domainById } from "../hypervisor/domain.ts";
import { incarnationCell } from "../hypervisor/domid.ts";
import { unmapGrantRef } from "../hypervisor/grant-table-op.ts";

/** What a domain's backends kept although they should have unmapped it, by domid. */
const keptCell = cellType<{ incarnation: number; maps: { process: string; handle: number }[] }>("kept-maps");

function incarnationOf(host: Host, domid: number): number {
  return host.get(incarnationCell, domid)?.count ?? 0;
}

/** A domain that serves others and has been taken over: nothing can make it unmap what they granted. */
const refuseUnmap = faultKind({
  name: "refuse-unmap",
  about:
    "the backends of this domain, as if it were compromised, keep what they have mapped of others' pages",
  words: [{ name: "DOMID", about: "the backends' domain: 0, or a driver domain" }],
  example: ["0"],
  refuse: (cells, [domid = ""]) =>
    /^\d+$/.test(domid) && domainById(cells, Number(domid)) !== undefined
      ? null
      : `there is no domain ${domid}: xenolith xl list shows those there are`,
  end: (host, [word]) => {
    const domid = Number(word);
    const kept = host.get(keptCell, domid);
    if (kept === undefined) return;
    const { incarnation, maps } = kept;
    host.drop(keptCell, domid);
    // A domain that has died meanwhile has let go of everything.
    if (domainById(host, domid) === undefined || incarnationOf(host, domid) !== incarnation) return;
    for (const { process, handle } of maps) unmapGrantRef(host, { domid, process }, { handle });
  },
});

/** Ends a mapping of a backend's, unless its domain refuses. */
export function unmapFrontendPage(host: Host, caller: Caller, { handle }: { handle: number }): void {
  const { domid, process } = caller;
  if (!faultOn(host, refuseUnmap, domid)) {
    unmapGrantRef(host, caller, { handle });
    return;
  }
  const incarnation = incarnationOf(host, domid);
  if (host.get(keptCell, domid)?.incarnation !== incarnation) {
    if (host.get(keptCell, domid) !== undefined) host.drop(keptCell, domid);
    host.add(keptCell, domid, { incarnation, maps: [] });
  }
  host.edit(keptCell, domid).maps.push({ process, handle });
}
