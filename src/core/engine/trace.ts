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
// eslint-disable-next-line typescript/no-empty-object-type -- filled by declaration merging
export interface TraceEvents {}

/** One event of a run. */
export type TraceRecord = {
  [K in keyof TraceEvents & string]: {
    /** Numbers events from 1. */
    seq: number;
    /** The step it happened in, numbered from 1; 0 before the first. */
    step: number;
    /** Microseconds since the host came up. */
    at: number;
    /** The thread that took the step; the input's or timer's name in parentheses. */
    by: string;
    /** The event that caused it; 0 for none. */
    parent: number;
    kind: K;
    data: TraceEvents[K];
  };
}[keyof TraceEvents & string];

/** Takes events as they happen. */
export type TraceSink = (record: TraceRecord) => void;
