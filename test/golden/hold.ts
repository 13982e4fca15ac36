// SPDX-License-Identifier: Apache-2.0
//
// A process of dom0 that maps one page of a domain and keeps it (holdmap.c of
// the recordings).

import { cellType, must, type Cells } from "../../src/core/engine/cells.ts";
import { input } from "../../src/core/engine/input.ts";
import { domainPagesCell } from "../../src/core/hypervisor/domain.ts";
import { ownedFrames } from "../../src/core/hypervisor/frames.ts";
import { gntdevMapOne, gntdevUnmap } from "../../src/core/hypervisor/gntdev.ts";
import { mapForeign, unmapForeign } from "../../src/core/hypervisor/memory-op.ts";
import { runsOf } from "../../src/core/hypervisor/runs.ts";

const HOLDER = { domid: 0, process: "holdmap" };

/** What is held: a frame, or a grant mapping. */
const heldCell = cellType<{ mfn: number; handle: number }>("golden-held");

/** What to hold: a guest frame, a grant reference, or the shared_info page. */
export type Hold = { domid: number; what: "foreign" | "grant" | "shared_info"; which: number };

/** The machine frame behind a frame of a PV guest. */
function machineFrame(cells: Cells, domid: number, pfn: number): number {
  for (const { start, value, count } of runsOf(cells, ownedFrames(domid))) {
    if (pfn >= value && pfn < value + count) return start + pfn - value;
  }
  throw new Error(`domain ${domid} has no frame ${pfn}`);
}

/** The frame to map for a page that is no grant: a guest frame of a PV domain, or its shared_info. */
export function frameToHold(
  cells: Cells,
  domid: number,
  what: "foreign" | "shared_info",
  which: number,
): number {
  return what === "foreign"
    ? machineFrame(cells, domid, which)
    : must(cells, domainPagesCell, domid).sharedInfo;
}

/** Maps the page. */
export const hold = input("golden: hold a page", (host, { domid, what, which }: Hold) => {
  if (what === "grant") {
    const { handle } = gntdevMapOne(host, HOLDER, domid, which);
    host.add(heldCell, 0, { mfn: -1, handle });
    return;
  }
  const mfn = frameToHold(host, domid, what, which);
  mapForeign(host, HOLDER, { domid, gfn: mfn });
  host.add(heldCell, 0, { mfn, handle: -1 });
});

/** Unmaps it. */
export const letGo = input("golden: let the page go", (host) => {
  const { mfn, handle } = must(host, heldCell, 0);
  if (handle >= 0) gntdevUnmap(host, HOLDER, [handle]);
  else unmapForeign(host, HOLDER, { mfn });
  host.drop(heldCell, 0);
});
