// SPDX-License-Identifier: Apache-2.0
//
// Collects what happens on a live host, some of it done by processes outside.

import type { TraceRecord } from "../../src/core/engine/trace.ts";
import type { XenstoredKind } from "../../src/live/xenstored-process.ts";
import { Collector } from "./collect.ts";
import type { Time } from "./recording.ts";

/** Who acts on the host. */
export interface Players {
  /** Which serves the store: ours, within the host, or one of Xen's own, a process outside. */
  xenstored: "builtin" | XenstoredKind;
  /** xl: ours, within the host, or the real one, a process outside. */
  xl: "builtin" | "real";
}

/** Collects in real time, so that what other programs wrote can be sorted in. */
export class LiveCollector extends Collector {
  #last: Time = 0;

  override tick(): Time {
    this.#last = Math.max(this.#last + 0.001, performance.now());
    return this.#last;
  }

  /** Who calls may be a daemon known by its pid. */
  override take(record: TraceRecord): void {
    if (record.kind !== "hypercall") return super.take(record);
    const caller = record.data.caller.replace(/^d0\/o?xenstored\.\d+$/, "d0/xenstored");
    super.take({ ...record, data: { ...record.data, caller } });
  }
}
