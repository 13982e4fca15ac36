// SPDX-License-Identifier: Apache-2.0
//
// Search through the orders of steps that are possible in a world: which search
// serves, and a shortest way to what it finds.

import type { World } from "../core/engine/world.ts";
import type { Bounds, Found, Limits, Progress, SearchResult, Way } from "./bounds.ts";
import { Breadth } from "./breadth.ts";
import { Orders } from "./orders.ts";
import type { Properties } from "./property.ts";
import { goesFirst } from "./turn.ts";

/** So many states a shortest way is looked for in, once there is one. */
const SHORTER_MAX = 50_000;

/**
 * Tries the orders of steps from the world's present state on. The world must
 * track undo and hash; it is left in some visited state.
 *
 * Cost: one step and one hash a transition, and an exchange of cells for every
 * step of the search tree between one state and the next; with `orders` also
 * some look-ups for every cell that is known to be touched from a state on.
 * Memory: a state's hash, and what the steps to it touched (about 2 kB on a host).
 */
export function search(
  world: World,
  properties: Properties,
  bounds: Bounds = {},
  progress?: Progress,
): SearchResult {
  const { timers = "lazy", prompt = [] } = bounds;
  const strongest = bounds.depthMax === undefined ? "orders" : "servers first";
  const reduction = bounds.reduction ?? strongest;
  const limits: Limits = {
    depthMax: bounds.depthMax ?? Infinity,
    statesMax: bounds.statesMax ?? Infinity,
    timers,
    first: goesFirst(prompt, reduction !== "off"),
  };
  const { cut, violation, ...found } =
    reduction === "orders"
      ? inOrders(world, properties, limits, progress)
      : withShortest(new Breadth(world, properties, limits, progress).run(), true);
  const exhaustive = !cut && violation === null;
  return { ...found, exhaustive, timers, reduction, prompt, violation };
}

type FoundWay = Omit<Found, "violation"> & { violation: Way | null };

function withShortest(found: Found, shortest: boolean): FoundWay {
  const { violation } = found;
  return { ...found, violation: violation === null ? null : { ...violation, shortest } };
}

/** The search through orders; what it finds wrong is looked for again by a shortest way. */
function inOrders(
  world: World,
  properties: Properties,
  limits: Limits,
  progress: Progress | undefined,
): FoundWay {
  const orders = new Orders(world, properties, limits, progress);
  const found = orders.run();
  if (found.violation === null) return withShortest(found, false);
  orders.goBack();
  const statesMax = Math.min(limits.statesMax, SHORTER_MAX);
  const depthMax = found.violation.steps.length + 1;
  const shorter = new Breadth(world, properties, { ...limits, statesMax, depthMax }, progress).run();
  if (shorter.violation === null) return withShortest(found, false);
  return withShortest({ ...found, violation: shorter.violation }, true);
}
