// SPDX-License-Identifier: Apache-2.0
//
// Where things lie in a new PV guest's memory: kernel, the pages it shares, its
// first page tables, its modules (tools/libs/guest/xg_dom_core.c,
// xc_dom_build_image).

import type { KernelImage } from "./kernel-image.ts";

/** Guest frame numbers, from 0. */
export type PvLayout = {
  startInfo: number;
  xenstore: number;
  console: number;
  /** The topmost page table. */
  l4: number;
  pageTables: number;
  /** The first frame that is nobody's. */
  end: number;
};

/** libxc's panic where something does not fit. */
export type NoRoom = { panic: string };

/** Pages that one last-level page table maps; what is mapped at the start is a multiple of 4 MiB. */
const L1_PAGES = 512;
const MAPPED_MULTIPLE = 1024;
/** One table for each of the three upper levels. */
const UPPER_TABLES = 3;

const hex = (number: number): string => `0x${number.toString(16)}`;

interface Segment {
  name: string;
  start: number;
  pages: number;
}

/** Every segment, each with the gap before it, in the order in which libxc allocates them. */
function withPadding(segments: readonly Segment[]): Segment[] {
  let next = 0;
  return segments.flatMap((segment) => {
    const gap = { name: "padding", start: next, pages: segment.start - next };
    next = segment.start + segment.pages;
    return gap.pages > 0 ? [gap, segment] : [segment];
  });
}

/** Places everything a PV guest starts with, or says what there is no room for (xc_dom_chk_alloc_pages). */
export function pvLayout(image: KernelImage, modulePages: number, totalPages: number): PvLayout | NoRoom {
  const startInfo = image.startPfn + image.pages;
  const xenstore = startInfo + 1;
  const console = startInfo + 2;
  const l4 = startInfo + 3;
  // The tables map everything up to their own end and the boot stack behind it.
  const mapped = Math.ceil((l4 + totalPages / L1_PAGES + UPPER_TABLES) / MAPPED_MULTIPLE) * MAPPED_MULTIPLE;
  const pageTables = UPPER_TABLES + mapped / L1_PAGES;
  const moduleStart = modulePages > 0 ? mapped : l4 + pageTables + 1;
  const p2m = {
    name: "phys2mach",
    start: moduleStart + modulePages,
    pages: Math.ceil(totalPages / L1_PAGES),
  };
  const segments = withPadding([
    { name: "kernel", start: image.startPfn, pages: image.pages },
    { name: "start info", start: startInfo, pages: 1 },
    { name: "xenstore", start: xenstore, pages: 1 },
    { name: "console", start: console, pages: 1 },
    { name: "page tables", start: l4, pages: pageTables },
    { name: "boot stack", start: l4 + pageTables, pages: 1 },
    ...(modulePages > 0 ? [{ name: "module0", start: moduleStart, pages: modulePages }] : []),
    p2m,
  ]);
  const tooLarge = segments.find(({ start, pages }) => start + pages > totalPages);
  if (tooLarge !== undefined) {
    const { name, start, pages } = tooLarge;
    return { panic: `segment ${name} too large (${hex(pages)} > ${hex(totalPages)} - ${hex(start)} pages)` };
  }
  return { startInfo, xenstore, console, l4, pageTables, end: p2m.start + p2m.pages };
}
