// SPDX-License-Identifier: Apache-2.0
//
// What blkback keeps: a disk and its rings, requests under way, pages it leaves
// mapped for the next request (Linux drivers/block/xen-blkback/common.h).

import { cellType } from "../engine/cells.ts";

/** A device's disk, by device (struct backend_info): which one it is, as an old one may outlive its device. */
export const blkbackInfoCell = cellType<{ blkif: string; backendWatch: boolean }>("blkback-info");

/** A disk (struct xen_blkif), by its own name: its device's, with a number where an older one is still busy. */
export interface Blkback {
  /** `1.xvda`, once connected: what its threads are named after. */
  name: string;
  frontend: number;
  /** The block device, by its number `major:minor` and its domain (`ofDomain`); "" before the script has found it. */
  physicalDevice: string;
  mode: string;
  /** Whether the frontend's directory says that it is a CD-ROM. */
  cdrom: boolean;
  /** Whether the block device is open (`vbd.bdev`). */
  open: boolean;
  featurePersistent: boolean;
  /** Rings that are set up (`nr_rings`). */
  rings: number;
}

export const blkbackCell = cellType<Blkback>("blkback");

/** A frontend's page that is mapped, by the frontend's reference. */
export interface PersistentGrant {
  ref: number;
  handle: number;
  mfn: number;
}

/** One ring, by `<disk>/<number>`. */
export interface BlkbackRing {
  ring: { handle: number; mfn: number };
  port: number;
  /** The thread that takes requests, or null before the disk is connected. */
  xenblkd: string | null;
  reqCons: number;
  rspProd: number;
  /** Requests handed to the disk and not answered. */
  inflight: number;
  /** Pages that stay mapped between requests, in order of reference. */
  persistent: PersistentGrant[];
}

export const blkbackRingCell = cellType<BlkbackRing>("blkback-ring");

/** A request at the disk, by `<ring>/<id>`. */
export interface Bio {
  ring: string;
  id: number;
  operation: number;
  /** Mappings to end with the request: those that are not persistent. */
  handles: number[];
}

export const bioCell = cellType<Bio>("bio");
