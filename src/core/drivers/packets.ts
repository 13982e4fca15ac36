// SPDX-License-Identifier: Apache-2.0
//
// Packets on their way through dom0: each is somebody's until it is freed, which
// tells netback. Whoever holds one holds the guest's page.

import { cellType, must } from "../engine/cells.ts";
import type { Cells } from "../engine/cells.ts";
import { faultKind, faultOn } from "../engine/fault.ts";
import type { Host } from "../engine/host.ts";
import { routine } from "../engine/routine.ts";
import { enlist } from "../engine/runqueue.ts";
import { spawnThread } from "../engine/thread.ts";
import { bridgeCell, netDeviceCell, nicCell, ofDomain } from "./backend-devices.ts";
import { xenvifZerocopyCallback } from "./netback-zerocopy.ts";

/** How long a packet is on its way, in µs. */
const PACKET_US = 1_000;

/** A packet handed on by a netback queue. */
export interface Skb {
  /** The queue that mapped its page. */
  queue: string;
  handle: number;
  requestId: number;
}

export const skbCell = cellType<Skb>("skb");

/** The driver of the network card behind the bridge has a packet and does not free it: the talk's lost sk_buff. */
export const holdPacket = faultKind({
  name: "hold-packet",
  about:
    "whoever gets a packet of this interface keeps it, until the network card behind the bridge is reset",
  words: [{ name: "VIF", about: "the interface, as dom0 names it; of driver domain 3: d3:VIF" }],
  example: ["vif1.0"],
  refuse: (cells, [vif = ""]) =>
    cells.get(netDeviceCell, vif) === undefined
      ? `dom0 has no interface ${vif}: xenolith ifconfig lists those it has`
      : null,
});

/** The interface of a queue `0/backend/vif/1/0/0`. */
export function interfaceOf(queue: string): string {
  const [, , , domid, handle] = queue.split("/");
  return `vif${domid}.${handle}`;
}

/** The network card an interface's packets leave by: that of its bridge; null where it is on none. */
function nicOf(cells: Cells, domid: number, vif: string): string | null {
  const bridge = cells.get(netDeviceCell, ofDomain(domid, vif))?.bridge ?? null;
  return bridge === null ? null : ofDomain(domid, must(cells, bridgeCell, ofDomain(domid, bridge)).uplink);
}

interface SkbLocals {
  skb: string;
  vif: string;
  nic: string | null;
  /** How often the card had been reset when it was given the packet. */
  resets: number;
}

function wasReset(cells: Cells, { nic, resets }: SkbLocals): boolean {
  const card = nic === null ? undefined : cells.get(nicCell, nic);
  return card !== undefined && (card.resets !== resets || !card.up);
}

const skbLife = routine(
  "skb",
  (a: SkbLocals) => ({ ...a }),
  ({ sleep, waitFor, step }) => [
    sleep("dev_hard_start_xmit", () => PACKET_US),
    waitFor("sk_buff on hold", (host, l) => !faultOn(host, holdPacket, l.vif) || wasReset(host, l)),
    step("kfree_skb", (host, l) => {
      const { queue, handle, requestId } = must(host, skbCell, l.skb);
      host.drop(skbCell, l.skb);
      xenvifZerocopyCallback(host, queue, { handle, requestId }, !wasReset(host, l));
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
  const vif = interfaceOf(queue);
  const skb = `${ofDomain(domid, vif)}/${packet.handle}`;
  const nic = nicOf(host, domid, vif);
  const resets = nic === null ? 0 : must(host, nicCell, nic).resets;
  host.add(skbCell, skb, { queue, ...packet });
  const thread = `dom${domid}/skb/${skb}`;
  const args = { skb, vif: ofDomain(domid, vif), nic, resets };
  spawnThread(host, thread, skbLife, args, { kind: "kthread", domid });
  enlist(host, domid, thread);
}
