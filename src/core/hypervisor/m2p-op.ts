// SPDX-License-Identifier: Apache-2.0
//
// XENMEM_machphys_mfn_list: where the machine-to-physical table is.

import type { Host } from "../engine/host.ts";
import type { Caller } from "./caller.ts";
import { forEachDomain } from "./domain.ts";
import { ownedFrames } from "./frames.ts";
import { EXTENT_FRAMES, m2pLayout, placeM2p, writeM2p } from "./m2p.ts";
import { runsOf } from "./runs.ts";

/**
 * The frames the table's large pages begin at, at most `max` of them, for whoever asks: every PV kernel reads
 * it. It is in memory from here on.
 */
export function machphysMfnList(host: Host, _caller: Caller, { max }: { max: number }): number[] {
  if (placeM2p(host)) {
    for (const { domid } of forEachDomain(host))
      for (const { start, count, value } of runsOf(host, ownedFrames(domid)))
        writeM2p(host, start, count, value);
  }
  const { firstMfn, frames } = m2pLayout(host);
  return Array.from({ length: frames / EXTENT_FRAMES }, (_, i) => firstMfn + i * EXTENT_FRAMES).slice(0, max);
}
