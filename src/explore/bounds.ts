// SPDX-License-Identifier: Apache-2.0
//
// How a search through orders of steps is bounded, and what it gives.

import type { Action } from "../core/engine/world.ts";
import type { Violation } from "./property.ts";
import type { GoesFirst } from "./turn.ts";

/**
 * Which orders of steps a search leaves out.
 * - `off`: none.
 * - `servers first`: while xenstored or a kernel's xenbus thread can step, nobody
 *   else does. What they do is moving requests, replies and events on; a request
 *   nobody has served is seen by nobody, so any order of service is that of some
 *   order of sending. The same goes for steps that nobody sees.
 * - `orders`: of these orders, those that differ from another one only where it
 *   cannot matter, by the cells that steps read and wrote. The ends are the same,
 *   and so is what properties find; states on the way are left out.
 */
export type Reduction = "orders" | "servers first" | "off";

/** Where a search stops, and when timers may fire. */
export interface Bounds {
  /** Levels of the search; without it, until nothing new is found. Needs a search in order of depth: not `orders`. */
  depthMax?: number;
  /** Distinct states; reaching it makes the search inexhaustive. */
  statesMax?: number;
  /** By default the strongest that the other bounds allow. */
  reduction?: Reduction;
  /** Threads taken to react at once: while one can step, nobody else does. A bound, not a reduction. */
  prompt?: readonly string[];
  /** `eager`: a timer may fire at any time, in the order of deadlines. `lazy`: only when nothing else can happen. */
  timers?: "eager" | "lazy";
}

/** A violation, and a way to it. */
export type Way = Violation & {
  steps: Action[];
  /** No other order of fewer steps leads to a violation; false where that is not known. */
  shortest: boolean;
};

/** What a search found. */
export interface SearchResult {
  /** Distinct states, the first included. */
  states: number;
  /** Steps tried. */
  transitions: number;
  /** The most steps to a state: by a shortest way, or with `orders` by the way it was reached. */
  depth: number;
  /** States in which nothing is left to do. */
  ends: number;
  /** Every state within the bounds was visited, or need not be. False for a search that a bound cut. */
  exhaustive: boolean;
  timers: "eager" | "lazy";
  reduction: Reduction;
  /** Threads that were taken to react at once. */
  prompt: readonly string[];
  /** Names of `sometimes` properties that no state showed. */
  unreached: string[];
  /** A violation, and a way to it. */
  violation: Way | null;
}

/** Told now and then how far the search is: `frontier` is how many states are to be gone on from. */
export type Progress = (soFar: {
  states: number;
  transitions: number;
  depth: number;
  frontier: number;
}) => void;

/** How each of the searches is bounded. */
export interface Limits {
  depthMax: number;
  statesMax: number;
  timers: "eager" | "lazy";
  first: GoesFirst;
}

/** What each of the searches gives. */
export type Found = Pick<SearchResult, "states" | "transitions" | "depth" | "ends" | "unreached"> & {
  cut: boolean;
  violation: (Violation & { steps: Action[] }) | null;
};
