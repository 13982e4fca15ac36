// SPDX-License-Identifier: Apache-2.0
//
// What netback keeps: an interface vifD.N, its queues, and the packets it has
// handed on without copying (Linux drivers/net/xen-netback/common.h).

import { cellType } from "../engine/cells.ts";

/** An interface and its backend_info, by device. */
export interface Netback {
  /** `vif1.0` */
  name: string;
  frontend: number;
  script: string;
  /** The state the backend is in; what it shows may lag behind until the hotplug script has run. */
  state: number;
  /** Whether the state waits for `hotplug-status`. */
  haveHotplugStatusWatch: boolean;
  creditWatch: boolean;
  mcastWatch: boolean;
  /** Connected queues. */
  queues: number;
  carrier: boolean;
}

export const netbackCell = cellType<Netback>("netback");

/** A mapped ring. */
export interface MappedRing {
  handle: number;
  mfn: number;
}

/** One queue, by `<device>/<number>`. */
export interface NetbackQueue {
  /** `vif1.0-q0` */
  name: string;
  txRing: MappedRing;
  rxRing: MappedRing;
  txPort: number;
  rxPort: number;
  /** Names of its threads: the softirq that takes packets from the guest, and two kernel threads. */
  napi: string;
  rxThread: string;
  deallocThread: string;
  txReqCons: number;
  txRspProd: number;
  /** Packets handed on whose pages are still mapped: the dealloc thread may not stop before there are none. */
  inflightPackets: number;
  /** Grant handles whose packets have come back, to be unmapped and answered. */
  dealloc: { handle: number; id: number }[];
}

export const netbackQueueCell = cellType<NetbackQueue>("netback-queue");

/** What `ethtool -S` shows, by `<device>/<number>`. */
export interface NetbackStats {
  rx_gso_checksum_fixup: number;
  tx_zerocopy_sent: number;
  tx_zerocopy_success: number;
  tx_zerocopy_fail: number;
  tx_frag_overflow: number;
}

export const netbackStatsCell = cellType<NetbackStats>("netback-stats", {
  provenance: [
    "rx_gso_checksum_fixup",
    "tx_zerocopy_sent",
    "tx_zerocopy_success",
    "tx_zerocopy_fail",
    "tx_frag_overflow",
  ],
});
