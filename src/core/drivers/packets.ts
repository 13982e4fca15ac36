// SPDX-License-Identifier: Apache-2.0
//
// Packets on their way through dom0: each is somebody's until it is freed, which
// tells netback. Whoever holds one holds the guest's page.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { spawnThread } from "../engine/thread.ts";
import { xenvifZerocopyCallback } from "./netback-zerocopy.ts";

/** How long a packet is on its way, in µs. */
const PACKET_US = 1_000;

/** A packet handed on by a netback queue: `by` holds it. */
export interface Skb {
  /** The queue that mapped its page. */
  queue: string;
  handle: number;
  requestId: number;
}

export const skbCell = cellType<Skb>("skb");

/** Interfaces whose packets are held by somebody who does not let go: the fault hold-packet. By interface, `vif1.0`. */
export const heldPacketsCell = cellType<{ by: string }>("held-packets", { provenance: ["by"] });

/** Whether packets of that interface are held. */
function isHeld(cells: Cells, queue: string): boolean {
  return cells.get(heldPacketsCell, interfaceOf(queue)) !== undefined;
}

/** The interface of a queue `0/backend/vif/1/0/0`. */
export function interfaceOf(queue: string): string {
  const [, , , domid, handle] = queue.split("/");
  return `vif${domid}.${handle}`;
}

const skbLife = routine(
  "skb",
  (a: { skb: string; queue: string }) => ({ ...a }),
  ({ sleep, waitFor, step }) => [
    sleep("dev_hard_start_xmit", () => PACKET_US),
    waitFor("sk_buff on hold", (host, l) => !isHeld(host, l.queue)),
    step("kfree_skb", (host, l) => {
      const { queue, handle, requestId } = must(host, skbCell, l.skb);
      host.drop(skbCell, l.skb);
      xenvifZerocopyCallback(host, queue, { handle, requestId }, true);
    }),
  ],
);

/** Hands a packet on to the bridge and whatever is behind it. */
export function sendSkb(
  host: Host,
  domid: number,
  queue: string,
  packet: { handle: number; requestId: number },
): void {
  const skb = `${interfaceOf(queue)}/${packet.handle}`;
  host.add(skbCell, skb, { queue, ...packet });
  spawnThread(host, `dom${domid}/skb/${skb}`, skbLife, { skb, queue }, { kind: "kthread", domid });
}
