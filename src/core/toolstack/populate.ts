// SPDX-License-Identifier: Apache-2.0
//
// Filling a new domain's memory: claimed first, in blocks of 2 MiB as far as the
// host has them, page by page after that (tools/libs/guest/xg_dom_x86.c,
// meminit_pv). A terabyte costs as many hypercalls as it has gigabytes.

import { fail, isFailure, present } from "../engine/errno.ts";
import { routine } from "../engine/routine.ts";
import { claimPages, populatePhysmap } from "../hypervisor/memory-op.ts";
import { setPodTarget } from "../hypervisor/pod-target.ts";
import { dom0 } from "./libxl-ctx.ts";

const SUPERPAGE_ORDER = 9;
const SUPERPAGE = 1 << SUPERPAGE_ORDER;
/** Superpages one hypercall populates (SUPERPAGE_BATCH_SIZE). */
const BATCH = 512;
/** Single pages one hypercall populates. */
const PAGES_BATCH = 1024 * 1024;

/** A stretch of a guest's memory that is to be filled. */
export type Stretch = { start: number; pages: number };

/** Machine frames of the beginning of what was populated: one for each block, and how long the blocks are. */
export type Populated = { gpfn: number; order: number; mfns: readonly number[] };

/** The machine frame of a guest frame at the beginning of what was populated. */
export function mfnOf({ gpfn, order, mfns }: Populated, pfn: number): number {
  const at = pfn - gpfn;
  return (mfns[at >> order] as number) + (at & ((1 << order) - 1));
}

const range = (start: number, count: number, step: number): number[] =>
  Array.from({ length: count }, (_, i) => start + i * step);

/**
 * Fills one stretch; what the first hypercall populated. Fails with ENOMEM where
 * the host, or the domain's limit, has no more.
 */
export const populate = routine(
  "xc_domain_populate_physmap",
  (a: { process: string; domid: number; stretch: Stretch; onDemand?: boolean }) => ({
    onDemand: false,
    ...a,
    next: a.stretch.start,
    superpages: a.stretch.pages >> SUPERPAGE_ORDER,
    first: null as Populated | null,
  }),
  ({ when, repeatUntil, step }) => [
    when("has superpages", (l) => l.superpages > 0, [
      repeatUntil("no superpages left", (l) => l.superpages === 0, [
        step("populate superpages", (host, l) => {
          const count = Math.min(l.superpages, BATCH);
          const gpfns = range(l.next, count, SUPERPAGE);
          const done = populatePhysmap(host, dom0(l.process), {
            domid: l.domid,
            gpfns,
            order: SUPERPAGE_ORDER,
            onDemand: l.onDemand,
          });
          if (isFailure(done)) return done;
          if (done.done > 0) l.first ??= { gpfn: l.next, order: SUPERPAGE_ORDER, mfns: done.mfns };
          l.next += done.done * SUPERPAGE;
          l.superpages = done.done < count ? 0 : l.superpages - count;
          return;
        }),
      ]),
    ]),
    when("has pages left", (l) => l.next < l.stretch.start + l.stretch.pages, [
      repeatUntil("no pages left", (l) => l.next === l.stretch.start + l.stretch.pages, [
        step("populate pages", (host, l) => {
          const count = Math.min(l.stretch.start + l.stretch.pages - l.next, PAGES_BATCH);
          const done = populatePhysmap(host, dom0(l.process), {
            domid: l.domid,
            gpfns: range(l.next, count, 1),
            order: 0,
            onDemand: l.onDemand,
          });
          if (isFailure(done)) return done;
          if (done.done > 0) l.first ??= { gpfn: l.next, order: 0, mfns: done.mfns };
          l.next += done.done;
          return done.done < count ? fail("ENOMEM") : undefined;
        }),
      ]),
    ]),
  ],
  (l) => present(l.first),
);

/**
 * Fills stretches of memory under a claim, where one is wanted; what was populated of each.
 *
 * @param onDemand pages the guest is to have at first, where it may come to have more and the stretches are
 *   only to be populated as they are touched (xg_dom_x86.c, meminit_hvm); else null
 */
export const populateClaimed = routine(
  "meminit",
  (a: {
    process: string;
    domid: number;
    claim: boolean;
    stretches: readonly Stretch[];
    onDemand?: number | null;
  }) => ({
    onDemand: null as number | null,
    ...a,
    stretch: { start: 0, pages: 0 },
    populated: [] as Populated[],
  }),
  ({ when, step, each, call }) => [
    when("claims first", (l) => l.claim, [
      step("claim_pages", (host, l) => {
        const nr = l.onDemand ?? l.stretches.reduce((sum, { pages }) => sum + pages, 0);
        const claimed = claimPages(host, dom0(l.process), { domid: l.domid, nr });
        return isFailure(claimed) ? claimed : undefined;
      }),
    ]),
    when("populated on demand", (l) => l.onDemand !== null, [
      step("set_pod_target", (host, l) => {
        const targetPages = present(l.onDemand);
        const set = setPodTarget(host, dom0(l.process), { domid: l.domid, targetPages });
        return isFailure(set) ? set : undefined;
      }),
    ]),
    each(
      "stretch",
      (l) => l.stretches,
      (l, stretch) => void (l.stretch = stretch),
      [
        call(
          "populate",
          populate,
          ({ process, domid, stretch, onDemand }) => ({
            process,
            domid,
            stretch,
            onDemand: onDemand !== null,
          }),
          (l, populated) => {
            l.populated.push(populated);
          },
        ),
      ],
    ),
    step("claim_pages 0", (host, l) => void claimPages(host, dom0(l.process), { domid: l.domid, nr: 0 })),
  ],
  (l) => l.populated,
);
