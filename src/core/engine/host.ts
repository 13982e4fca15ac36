// SPDX-License-Identifier: Apache-2.0
//
// What a step sees of the host it acts on. The engine implements it for the
// three ways to run; core code knows only this.

import type { Cells } from "./cells.ts";
import type { TraceEvents } from "./trace.ts";

/** Contents of machine frames: simulated in cells, live in the domain's file. */
export interface Memory {
  /** `length` bytes of frame `mfn` from `offset`; never written bytes are zero. */
  read(mfn: number, offset: number, length: number): Uint8Array;
  /** Writes `bytes` into frame `mfn` at `offset`; must stay within the 4096 bytes of the frame. */
  write(mfn: number, offset: number, bytes: Uint8Array): void;
  /**
   * What these bytes are decides nothing before they are written anew: nobody reads
   * them, or zero serves as well. Where hosts are compared they become zero, so that
   * leftovers do not tell states apart.
   */
  stale(mfn: number, offset: number, length: number): void;
  /**
   * Whether a frame was written since it was asked last with `clean`, which makes
   * it clean; true where nobody keeps count.
   */
  dirtied(mfn: number, clean: boolean): boolean;
  /** Whether a frame reads as zero from its first byte to its last. */
  isZero(mfn: number): boolean;
  /** Forgets the contents of `count` frames from `mfn`: they read as zero again. */
  discard(mfn: number, count: number): void;
}

/** A host during a step: its cells, its clock, its memory, its trace. */
export interface Host extends Cells {
  /** Microseconds since the host came up. Only timers move it in simulation. */
  readonly now: number;
  /** Name of the thread whose step it is; "" where something else acts on the host. */
  readonly current: string;
  /** The step being taken, numbered as in the trace: provenance, nothing may depend on it. */
  readonly step: number;
  readonly memory: Memory;
  /** Adds an event to the trace, caused by the step being performed. */
  emit<K extends keyof TraceEvents & string>(kind: K, data: TraceEvents[K]): void;
}
