// SPDX-License-Identifier: Apache-2.0
//
// A holder that is another domain: nothing in Xen takes back what it maps, but
// what it maps goes with it. Why it does not let go by itself, and what makes it.

import { domainById } from "../core/hypervisor/domain.ts";
import { faultsOn } from "../core/engine/fault.ts";
import type { World } from "../core/engine/world.ts";

/** Why a domain keeps what it maps of another, and the command that ends that. */
export interface Keeps {
  hint: string;
  release: string;
}

/** A domain's kernel that was told to keep what it maps: the fault, dom0's included. */
function refuses(world: World, domid: number): Keeps | null {
  const fault = faultsOn(world).find(
    ({ name, words }) => name === "refuse-unmap" && words[0] === String(domid),
  );
  if (fault === undefined) return null;
  return {
    hint: `the backends of domain ${domid} unmap nothing: the fault refuse-unmap is injected`,
    release: `xenolith fault clear refuse-unmap ${domid}`,
  };
}

/**
 * Why a domain keeps what it maps, by its state; null for dom0, of whose threads
 * and processes more is known.
 *
 * @param busy a thread of it is on the way to letting go
 */
export function whyKept(world: World, domid: number, busy: boolean): Keeps | null {
  const refused = refuses(world, domid);
  const d = domainById(world, domid);
  if (refused !== null || domid === 0 || d === undefined) return refused;
  if (d.controllerPauseCount > 0)
    return {
      hint: `domain ${domid} is paused: until it runs again it lets go of nothing, whatever it is told`,
      release: `xenolith xl unpause ${domid}`,
    };
  const destroy = `xenolith xl destroy ${domid}`;
  if (d.shutdown !== "none")
    return {
      hint: `domain ${domid} has shut down and was not destroyed: it maps until it is`,
      release: destroy,
    };
  if (busy) return null;
  return {
    hint:
      `domain ${domid} runs, and nothing in it is on the way to letting go: it has missed what it was told ` +
      "(xenstored drops events that a domain does not take within 20 seconds), or ignores it. What it maps goes with it",
    release: destroy,
  };
}
