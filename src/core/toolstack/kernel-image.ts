// SPDX-License-Identifier: Apache-2.0
//
// What a kernel file is and how much room it wants (tools/libs/guest/
// xg_dom_core.c, xc_dom_find_loader). Nothing of it is run.

/** Where a kernel wants to lie: pages from the start of the guest's memory. */
export type KernelImage = { loader: string; startPfn: number; pages: number };

/** The guest kernel of Debian's recordings, 6.1: what a compressed image unpacks to. */
const BZIMAGE: KernelImage = { loader: "Linux bzImage", startPfn: 0x1000, pages: 0x2e00 };

/** The kernel that exists only as behaviour wants little. */
export const BUILTIN_IMAGE: KernelImage = { loader: "xenolith", startPfn: 0x100, pages: 0x100 };

const PAGE_SHIFT = 12;
const PT_LOAD = 1;

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

function u32(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
}

function startsWith(bytes: Uint8Array, at: number, magic: string): boolean {
  return Array.from(magic, (char) => char.charCodeAt(0)).every((byte, i) => bytes[at + i] === byte);
}

/** The loaded extent of an ELF file, 32 or 64 bits, little endian; null where it has none. */
function elfImage(bytes: Uint8Array): KernelImage | null {
  const wide = bytes[4] === 2;
  const headers = u32(bytes, wide ? 32 : 28);
  const size = u16(bytes, wide ? 54 : 42);
  const count = u16(bytes, wide ? 56 : 44);
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  for (let i = 0; i < count; i++) {
    const at = headers + i * size;
    if (u32(bytes, at) !== PT_LOAD) continue;
    const paddr = u32(bytes, at + (wide ? 24 : 12));
    start = Math.min(start, paddr);
    end = Math.max(end, paddr + u32(bytes, at + (wide ? 40 : 20)));
  }
  if (end === 0) return null;
  const startPfn = start >>> PAGE_SHIFT;
  return { loader: "ELF-generic", startPfn, pages: Math.ceil(end / 4096) - startPfn };
}

/** Finds the loader for a kernel file; null where there is none: an invalid kernel. */
export function findLoader(bytes: Uint8Array): KernelImage | null {
  if (startsWith(bytes, 0x202, "HdrS")) return BZIMAGE;
  return startsWith(bytes, 0, "\x7fELF") ? elfImage(bytes) : null;
}
