// SPDX-License-Identifier: Apache-2.0
//
// What a process asked of an open gntdev to be mapped, in order of the offsets it
// was given for that (Linux, drivers/xen/gntdev.c, struct gntdev_grant_map).

import type { GrantRef } from "../../core/hypervisor/gntdev.ts";

const PAGE_BYTES = 4096;

/** Grants named in one call. */
export interface GrantMap {
  /** First page of its offsets. */
  readonly index: number;
  readonly refs: readonly GrantRef[];
  /** Whether its offset is the device's still. */
  listed: boolean;
  /** Whether somebody has mapped it: nobody can again (in_use). */
  used: boolean;
  readonly: boolean;
  /** Where it is mapped, and which of its pages are. */
  address: number;
  mapped: Set<number>;
  mfns: readonly number[];
  /** What is to happen when the mapping ends: a byte of it cleared, a port signalled. */
  clearAt: number | null;
  signal: number | null;
}

/** Those of one open device. */
export class GrantMaps {
  readonly #list: GrantMap[] = [];

  /** Takes grants; the offset at which they can be mapped, before the first that leaves room (gntdev_add_map). */
  add(refs: readonly GrantRef[]): number {
    let index = 0;
    let at = 0;
    for (const other of this.#list) {
      if (index + refs.length < other.index) break;
      index = other.index + other.refs.length;
      at++;
    }
    const nothing = { address: 0, mapped: new Set<number>(), mfns: [], clearAt: null, signal: null };
    this.#list.splice(at, 0, { index, refs, listed: true, used: false, readonly: false, ...nothing });
    return index * PAGE_BYTES;
  }

  /** By an offset in its first page, and how many there are; 0 for however many (gntdev_find_map_index). */
  find(offset: number, count: number): GrantMap | undefined {
    const index = Math.floor(offset / PAGE_BYTES);
    return this.#list.find((map) => map.index === index && (count === 0 || map.refs.length === count));
  }

  /** By any of its offsets. */
  holding(offset: number): GrantMap | undefined {
    const page = Math.floor(offset / PAGE_BYTES);
    return this.#list.find(({ index, refs }) => page >= index && page < index + refs.length);
  }

  remove(map: GrantMap): void {
    map.listed = false;
    this.#list.splice(this.#list.indexOf(map), 1);
  }

  /** Takes all of them out. */
  clear(): GrantMap[] {
    for (const map of this.#list) map.listed = false;
    return this.#list.splice(0);
  }
}
