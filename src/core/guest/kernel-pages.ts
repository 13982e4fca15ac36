// SPDX-License-Identifier: Apache-2.0
//
// A kernel's own view of its domain's memory: by guest frame number, and through
// the page tables a PV kernel's builder made.

import { viewOf } from "../../abi/struct.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import type { Host } from "../engine/host.ts";
import type { Domain } from "../hypervisor/domain.ts";
import { ownedFrames } from "../hypervisor/frames.ts";
import { pageOf } from "../hypervisor/page.ts";
import { getGfn } from "../hypervisor/pod-populate.ts";
import { runsOf } from "../hypervisor/runs.ts";

const PAGE = 4096n;
/** Bits of a page table entry: present, a large page; and the frame. */
const PTE_PRESENT = 1n;
const PTE_LARGE = 1n << 7n;
const PTE_FRAME = 0xfffffffffn;
/** Entries of a page of frame numbers. */
const FRAMES_PER_PAGE = 512;
/** INVALID_P2M_ENTRY */
const NO_ENTRY = 2n ** 64n - 1n;

/** The machine frame behind a page number, or null where nothing is. */
export type Translate = (page: bigint) => number | null;

/** Reads what lies at an address, page by page; null where a page is not there. */
export function readAt(host: Host, translate: Translate, address: bigint, length: number): Uint8Array | null {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const at = address + BigInt(done);
    const mfn = translate(at / PAGE);
    if (mfn === null) return null;
    const offset = Number(at % PAGE);
    const part = Math.min(length - done, Number(PAGE) - offset);
    bytes.set(host.memory.read(mfn, offset, part), done);
    done += part;
  }
  return bytes;
}

/** A frame of the domain's own by the number the kernel uses for it: a PV kernel's are machine frames. */
export function ownMachineFrame(host: Host, d: DeepReadonly<Domain>, frame: number): number | null {
  const mfn = getGfn(host, d, frame, d.domid);
  return mfn >= 0 && pageOf(host, mfn)?.owner === d.domid ? mfn : null;
}

/** A frame of the domain's own by its pseudophysical number; null where there is none. */
export function ownFrame(host: Host, d: DeepReadonly<Domain>, pfn: number): number | null {
  if (d.type !== "pv") return ownMachineFrame(host, d, pfn);
  for (const { start, count, value } of runsOf(host, ownedFrames(d.domid)))
    if (value >= 0 && pfn >= value && pfn < value + count) return start + (pfn - value);
  return null;
}

/** Reads pseudophysical memory; null where it is not there. */
export function readPhysical(
  host: Host,
  d: DeepReadonly<Domain>,
  address: bigint,
  length: number,
): Uint8Array | null {
  return readAt(host, (pfn) => ownFrame(host, d, Number(pfn)), address, length);
}

/** A 64-bit PV kernel's view of memory: its page tables, from cr3. */
export function pvWalker(host: Host, d: DeepReadonly<Domain>, cr3: bigint): Translate {
  return (page) => {
    let table = ownMachineFrame(host, d, Number(cr3 >> 12n));
    for (const shift of [27n, 18n, 9n, 0n]) {
      if (table === null) return null;
      const index = Number((page >> shift) & 511n);
      const entry = viewOf(host.memory.read(table, index * 8, 8)).getBigUint64(0, true);
      if ((entry & PTE_PRESENT) === 0n || (shift > 0n && (entry & PTE_LARGE) !== 0n)) return null;
      table = ownMachineFrame(host, d, Number((entry >> 12n) & PTE_FRAME));
    }
    return table;
  };
}

/** Writes a PV kernel's list of machine frames, by pseudophysical frame; what was given back has none. */
export function writePvFrames(
  host: Host,
  d: DeepReadonly<Domain>,
  translate: Translate,
  address: bigint,
  frames: number,
): void {
  const list = new BigUint64Array(frames).fill(NO_ENTRY);
  for (const { start, count, value } of runsOf(host, ownedFrames(d.domid))) {
    if (value < 0) continue;
    for (let i = 0; i < count && value + i < frames; i++) list[value + i] = BigInt(start + i);
  }
  for (let from = 0; from < frames; from += FRAMES_PER_PAGE) {
    const mfn = translate((address + BigInt(from * 8)) / PAGE);
    const part = list.slice(from, from + FRAMES_PER_PAGE);
    if (mfn !== null) host.memory.write(mfn, 0, new Uint8Array(part.buffer));
  }
}
