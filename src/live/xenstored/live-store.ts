// SPDX-License-Identifier: Apache-2.0
//
// A store on the machine's clock, whose trace goes to a file while that is open.

import type { Store, TraceLine } from "../../core/xenstore/store.ts";
import type { LiveTraceFile } from "./trace-file.ts";

/** What it is made of. */
export interface LiveStoreParts extends Omit<Store, "now" | "request" | "traceFile"> {
  readonly traceFile?: LiveTraceFile | undefined;
}

/**
 * A class, because V8 keeps the fields of a literal that has getters in a
 * dictionary, and they are looked at dozens of times with every request.
 */
export class LiveStore implements Store {
  readonly cells: Store["cells"];
  readonly domains: Store["domains"];
  request: Store["request"] = undefined;
  readonly queued: Store["queued"];
  readonly traceFile: LiveTraceFile | undefined;
  readonly liveUpdate: Store["liveUpdate"];
  readonly delaysTransaction: Store["delaysTransaction"];
  readonly log: Store["log"];
  readonly #observe: Store["observe"];

  constructor(parts: LiveStoreParts) {
    this.cells = parts.cells;
    this.domains = parts.domains;
    this.queued = parts.queued;
    this.traceFile = parts.traceFile;
    this.liveUpdate = parts.liveUpdate;
    this.delaysTransaction = parts.delaysTransaction;
    this.log = parts.log;
    this.#observe = parts.observe;
  }

  get now(): number {
    return Math.round(performance.now() * 1000);
  }

  get observe(): Store["observe"] {
    return this.traceFile?.isOpen === true ? this.#traced : this.#observe;
  }

  readonly #traced = (line: TraceLine): void => {
    this.#observe?.(line);
    this.traceFile?.write(line);
  };
}
