// SPDX-License-Identifier: Apache-2.0
//
// What the process gives a xenstored's cells.

import { randomInt } from "node:crypto";
import type { StoreMemory } from "../../core/xenstore/store-cells.ts";

/** Buffers, which turn bytes into text several times as fast as typed arrays, and a seed nobody knows. */
export function storeMemory(): StoreMemory {
  return { make: (length) => Buffer.allocUnsafeSlow(length), seed: randomInt(2 ** 32) };
}
