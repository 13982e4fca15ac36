// SPDX-License-Identifier: Apache-2.0
//
// Requests that have come together are looked through for the paths in them
// before the first is answered, so that what the nodes are kept in is on its way
// from memory: waiting for one by one takes longer than answering, in large trees.

import type { Cells } from "../engine/cells.ts";
import { TOUCH_MAX } from "./node-table.ts";
import { StoreCells } from "./store-cells.ts";
import { HEADER_SIZE, PAYLOAD_MAX, XS } from "./wire.ts";

/** Smaller trees are in the caches. */
const NODES_MIN = 8192;
/** Where the paths begin and end. */
const ranges = new Int32Array(2 * TOUCH_MAX);

/** Whether requests of a type begin with the path of a node. */
const beginsWithPath = new Uint8Array(256);
for (const type of [XS.DIRECTORY, XS.READ, XS.GET_PERMS, XS.WRITE, XS.MKDIR, XS.RM, XS.SET_PERMS]) {
  beginsWithPath[type] = 1;
}

/** Looks through whole requests in `bytes[at, end)`; returns where to go on. Changes nothing that can be seen. */
export function lookAhead(cells: Cells, bytes: Uint8Array, at: number, end: number): number {
  if (!(cells instanceof StoreCells) || cells.nodes.count < NODES_MIN) return end;
  let count = 0;
  let next = at;
  while (count < TOUCH_MAX && next + HEADER_SIZE < end) {
    const start = next + HEADER_SIZE;
    const length = (bytes[next + 12] as number) | ((bytes[next + 13] as number) << 8);
    if (length > PAYLOAD_MAX) break;
    if (beginsWithPath[bytes[next] as number] === 1) {
      ranges[2 * count] = start;
      ranges[2 * count + 1] = Math.min(start + length, end);
      count++;
    }
    next = start + length;
  }
  if (count > 1) cells.nodes.touch(bytes, ranges, count);
  return next;
}
