// SPDX-License-Identifier: Apache-2.0
//
// What comes from outside (bytes on a socket, a hypercall of a process, a fault
// somebody injects) is an action like any other: named, with plain data, so
// that it can be recorded and given again.

import type { Plain } from "./cells.ts";
import { assert } from "./errno.ts";
import type { Host } from "./host.ts";

/** A kind of input: its name in traces, and what it does to the host in one atomic step. */
export interface Input<D> {
  readonly name: string;
  readonly apply: (host: Host, data: D) => void;
}

const registry = new Map<string, Input<never>>();

/** Declares a kind of input. Names are unique in the program. */
export function input<D extends Plain>(name: string, apply: (host: Host, data: D) => void): Input<D> {
  assert(!registry.has(name), `input ${name} declared twice`);
  const made: Input<D> = { name, apply };
  registry.set(name, made);
  return made;
}

/** The input of that name, for replay. */
export function inputNamed(name: string): Input<never> {
  const found = registry.get(name);
  assert(found !== undefined, `no input ${name}`);
  return found;
}
