// SPDX-License-Identifier: Apache-2.0
//
// What blkfront keeps: a disk and its rings (Linux drivers/block/xen-blkfront.c).

import { cellType } from "../engine/cells.ts";
import type { GrantedPage } from "./gnttab.ts";

/** A disk, by device. */
export interface Blkfront {
  /** `51712` and the name made of it, `xvda`. */
  vdevice: number;
  name: string;
  /** Sectors of 512 bytes; 0 while it is not connected. */
  sectors: number;
  connected: boolean;
  persistent: boolean;
  rings: number;
}

export const blkfrontCell = cellType<Blkfront>("blkfront");

/** One ring, by `<device>/<number>`. */
export interface BlkfrontRing {
  ring: GrantedPage;
  port: number;
  reqProd: number;
  rspCons: number;
  /** Pages that stay granted for the next request. */
  persistent: GrantedPage[];
  /** Requests under way, by id. */
  requests: { id: number; pages: GrantedPage[]; done: boolean; status: number }[];
}

export const blkfrontRingCell = cellType<BlkfrontRing>("blkfront-ring");
