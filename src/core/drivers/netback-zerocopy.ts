// SPDX-License-Identifier: Apache-2.0
//
// The moment in which a packet's last user frees it (Linux
// drivers/net/xen-netback/netback.c, xenvif_zerocopy_callback).

import type { Host } from "../engine/host.ts";
import { netbackQueueCell, netbackStatsCell } from "./netback-cells.ts";

/** Somebody who had a packet has let go of it: its page may be unmapped. */
export function xenvifZerocopyCallback(
  host: Host,
  id: string,
  packet: { handle: number; requestId: number },
  success: boolean,
): void {
  const stats = host.edit(netbackStatsCell, id);
  if (success) stats.tx_zerocopy_success++;
  else stats.tx_zerocopy_fail++;
  host.edit(netbackQueueCell, id).dealloc.push({ handle: packet.handle, id: packet.requestId });
}
