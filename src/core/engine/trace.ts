// SPDX-License-Identifier: Apache-2.0
//
// What a run leaves behind: typed events, each with the event that caused it.

/**
 * Kinds of events and their data. Every layer adds its own by declaration
 * merging, next to the code that emits them:
 *
 *     declare module "../engine/trace.ts" {
 *       interface TraceEvents { "virq": { virq: number; domid: number } }
 *     }
 *
 * Data is plain JSON.
 */
export interface TraceEvents {
  /** A thread came into being. */
  spawn: { thread: string; routine: string };
  /** A thread ended, with its routine's failure where it failed. */
  exit: { thread: string; errno: string | null };
}
