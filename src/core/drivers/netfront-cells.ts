// SPDX-License-Identifier: Apache-2.0
//
// What netfront keeps: an interface and its queues (Linux drivers/net/xen-netfront.c).

import { cellType } from "../engine/cells.ts";
import type { GrantedPage } from "./gnttab.ts";
import { ringLayout } from "./ring.ts";

/** Slots of both rings: 256 each (struct xen_netif_tx_request, xen_netif_rx_request). */
export const txLayout = ringLayout(12);
export const rxLayout = ringLayout(8);

/** A network interface, by device. */
export interface Netfront {
  mac: string;
  /** How many queues are connected; 0 while it is not connected. */
  queues: number;
  carrier: boolean;
  /** Whether user space can see it (register_netdev). */
  registered: boolean;
}

export const netfrontCell = cellType<Netfront>("netfront");

/** One queue, by `<device>/<number>`. */
export interface NetfrontQueue {
  txRing: GrantedPage;
  rxRing: GrantedPage;
  txPort: number;
  rxPort: number;
  /** Free references: one for every slot that carries no page. */
  txRefs: number[];
  rxRefs: number[];
  /** Packets in the transmit ring, by request id. */
  sent: { id: number; page: GrantedPage }[];
  txProd: number;
  txRspCons: number;
}

export const netfrontQueueCell = cellType<NetfrontQueue>("netfront-queue");
