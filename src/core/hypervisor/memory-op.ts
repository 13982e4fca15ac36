// SPDX-License-Identifier: Apache-2.0
//
// XENMEM: memory as hypercalls (xen/common/memory.c), and the mappings that a
// PV kernel makes through its page tables (mmu_update).

import { XENMEMF_populate_on_demand } from "../../abi/4.17/constants.ts";
import { must } from "../engine/cells.ts";
import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { controlled, isPrivileged, targeted, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { domainById, domainPagesCell, pagingModeTranslate } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { allocDomheapPages } from "./domheap.ts";
import { DOMID_SELF } from "./domid.ts";
import { frameOwner, ownedFrames, setM2p, setOutstandingPages } from "./frames.ts";
import { MAX_ORDER } from "./heap.ts";
import { grantTableCell } from "./grant-cells.ts";
import { growTable } from "./grant-table.ts";
import { mapFrame, unmapFrame } from "./mapping.ts";
import { gfnToMfn, isRam, maximumGpfn, p2mReaches, p2mType, physmapAdd, physmapRemove } from "./p2m.ts";
import { pageOf, putPageAllocRef } from "./page.ts";
import { podDecreaseReservation } from "./pod-decrease.ts";
import { getGfn, markPopulateOnDemand } from "./pod-populate.ts";
import { NO_FRAME, runFind, runsOf } from "./runs.ts";

/** Largest extent a domain may ask for: control domains 16 MiB, others 2 MiB. */
const CTLDOM_MAX_ORDER = 12;
const DOMU_MAX_ORDER = 9;

/**
 * Gives a domain memory at guest frames, 2^order each (XENMEM_populate_physmap).
 * Stops at the first extent it cannot allocate: the maximum is reached, or the
 * host has no such block.
 *
 * @param gpfns the guest frame each extent begins at; a PV domain's m2p gets it
 * @param addressBits how many bits the machine addresses may have; 0 for any
 * @param onDemand only marks the frames as such that get memory when they are touched: those of another
 *   domain; it means nothing to a PV one
 * @returns how many were done, the machine frames they begin at, and whether the domain must not learn
 *   those; ESRCH, EPERM
 */
export function populatePhysmap(
  host: Host,
  caller: Caller,
  args: {
    domid: number;
    gpfns: readonly number[];
    order: number;
    addressBits?: number;
    onDemand?: boolean;
  },
): { done: number; mfns: number[]; translated: boolean } | Failure {
  const { gpfns, order, addressBits = 0, onDemand = false } = args;
  const d = targeted(host, caller, args.domid);
  const flags = addressBits + (onDemand ? XENMEMF_populate_on_demand : 0);
  const shown = { nr: gpfns.length, order, flags };
  const name = "memory_op populate_physmap";
  if (isFailure(d)) return traced(host, caller, name, args.domid, shown, d);
  if (onDemand) {
    const done = markOnDemand(host, caller, d, gpfns, order);
    traced(host, caller, name, d.domid, shown, done);
    return { done, mfns: [], translated: pagingModeTranslate(d) };
  }
  const mfns: number[] = [];
  const wanted = order <= maxOrder(host, caller) ? gpfns.length : 0;
  while (mfns.length < wanted) {
    const got = populateSome(host, d, gpfns, mfns.length, order, addressBits);
    if (got.length === 0) break;
    for (const mfn of got) mfns.push(mfn);
  }
  traced(host, caller, name, d.domid, shown, mfns.length);
  return { done: mfns.length, mfns, translated: pagingModeTranslate(d) };
}

/** The largest extent a caller may move (max_order). */
function maxOrder(cells: Cells, caller: Caller): number {
  return isPrivileged(cells, caller) ? CTLDOM_MAX_ORDER : DOMU_MAX_ORDER;
}

/** Marks extents as populated on demand, up to the first that cannot be: how many. */
function markOnDemand(
  host: Host,
  caller: Caller,
  d: DeepReadonly<Domain>,
  gpfns: readonly number[],
  order: number,
): number {
  if (order > MAX_ORDER || d.domid === caller.domid) return 0;
  if (!pagingModeTranslate(d)) return gpfns.length;
  const refused = gpfns.findIndex((gpfn) =>
    isFailure(markPopulateOnDemand(host, d, gpfn, order, caller.domid)),
  );
  return refused < 0 ? gpfns.length : refused;
}

/**
 * Populates as many extents from number `from` on as are consecutive and fit one
 * block, so that memory asked for in small pieces is not kept in small pieces.
 */
function populateSome(
  host: Host,
  d: DeepReadonly<Domain>,
  gpfns: readonly number[],
  from: number,
  order: number,
  addressBits: number,
): number[] {
  const first = gpfns[from] as number;
  const size = 2 ** order;
  let consecutive = 1;
  while (gpfns[from + consecutive] === first + consecutive * size) consecutive++;
  for (let more = Math.min(Math.floor(Math.log2(consecutive)), MAX_ORDER - order); more >= 0; more--) {
    const mfn = populate(host, d, first, order + more, addressBits);
    if (mfn !== NO_FRAME) return Array.from({ length: 2 ** more }, (_, i) => mfn + i * size);
  }
  return [];
}

function populate(
  host: Host,
  d: DeepReadonly<Domain>,
  gpfn: number,
  order: number,
  addressBits: number,
): number {
  if (pagingModeTranslate(d) && !p2mReaches(gpfn, 2 ** order)) return NO_FRAME;
  // The allocator knows two zones: below 4 GiB and all there is.
  const limit = addressBits > 0 && addressBits <= 32 ? 1 << 20 : Infinity;
  const mfn = allocDomheapPages(host, d.domid, order, gpfn, limit);
  if (mfn !== NO_FRAME && pagingModeTranslate(d)) physmapAdd(host, d.domid, gpfn, mfn, 2 ** order, "ram");
  return mfn;
}

/**
 * Takes guest frames from a domain (XENMEM_decrease_reservation); pages somebody maps stay its until then.
 * Stops at a frame that is not there.
 */
export function decreaseReservation(
  host: Host,
  caller: Caller,
  { domid, gmfns, order = 0 }: { domid: number; gmfns: readonly number[]; order?: number },
): { done: number } | Failure {
  const d = targeted(host, caller, domid);
  const shown = { nr: gmfns.length, order };
  if (isFailure(d)) return traced(host, caller, "memory_op decrease_reservation", domid, shown, d);
  const wanted = order <= maxOrder(host, caller) ? gmfns : [];
  const refused = wanted.findIndex((gmfn) => !removeExtent(host, d, gmfn, order));
  const done = refused < 0 ? wanted.length : refused;
  traced(host, caller, "memory_op decrease_reservation", d.domid, shown, done);
  return { done };
}

/**
 * Takes an extent from a domain; false where a frame of it could not be. What was to be
 * populated on demand, and what the cache of such frames took, is empty by then: so
 * many frames may be.
 */
function removeExtent(host: Host, d: DeepReadonly<Domain>, gmfn: number, order: number): boolean {
  const size = 2 ** order;
  let empty = pagingModeTranslate(d) ? podDecreaseReservation(host, d, gmfn, order) : 0;
  for (let at = 0; at + empty < size; at++) {
    if (guestRemovePage(host, d, gmfn + at)) continue;
    const there = !pagingModeTranslate(d) || p2mType(host, d.domid, gmfn + at) !== undefined;
    if (there || empty === 0) return false;
    empty--;
  }
  return true;
}

/** Takes a guest frame from its domain; false where it has none of its own there (guest_remove_page). */
export function guestRemovePage(host: Host, d: DeepReadonly<Domain>, gmfn: number): boolean {
  const mfn = gfnToMfn(host, d, gmfn);
  if (mfn === NO_FRAME || frameOwner(host, mfn) !== d.domid) return false;
  if (pagingModeTranslate(d)) {
    const type = p2mType(host, d.domid, gmfn);
    if (type !== "ram" && type !== "ram_ro" && type !== "ioreq_server") return false;
    physmapRemove(host, d.domid, gmfn, 1);
  }
  setM2p(host, d.domid, mfn, 1, NO_FRAME);
  putPageAllocRef(host, mfn);
  return true;
}

/**
 * Promises a domain that it will be able to have that many pages; 0 ends the promise (XENMEM_claim_pages):
 * EINVAL, ENOMEM.
 */
export function claimPages(
  host: Host,
  caller: Caller,
  { domid, nr }: { domid: number; nr: number },
): 0 | Failure {
  const d = controlled(host, caller, domid);
  const result = isFailure(d)
    ? d
    : d.isDying === "alive"
      ? setOutstandingPages(host, domid, nr)
      : fail("EINVAL");
  return traced(host, caller, "memory_op claim_pages", domid, { nr }, result);
}

/** Entries of a memory map (E820MAX). */
const E820_MAX = 1024;

/** Whether a domain can be given a memory map: EINVAL for one that is too long, ESRCH, EPERM. */
export function memoryMapTarget(
  host: Host,
  caller: Caller,
  { domid, entries }: { domid: number; entries: number },
): 0 | Failure {
  if (entries > E820_MAX) return fail("EINVAL");
  const d = targeted(host, caller, domid);
  return isFailure(d) ? d : 0;
}

/** Tells the hypervisor which memory map a domain is to see (XENMEM_set_memory_map): `memoryMapTarget`'s errors. */
export function setMemoryMap(
  host: Host,
  caller: Caller,
  { domid, entries }: { domid: number; entries: number },
): 0 | Failure {
  const result = memoryMapTarget(host, caller, { domid, entries });
  return traced(host, caller, "memory_op set_memory_map", domid, { entries }, result);
}

/** A domain whose physical map can be changed: ESRCH, EACCES for PV, EPERM (xatp_permission_check). */
export function translated(host: Host, caller: Caller, domid: number): DeepReadonly<Domain> | Failure {
  const d = domainById(host, domid === DOMID_SELF ? caller.domid : domid);
  if (d !== undefined && !pagingModeTranslate(d)) return fail("EACCES");
  return targeted(host, caller, domid);
}

/** The highest guest frame: a PV domain's from its m2p entries (XENMEM_maximum_gpfn). */
export function maximumGpfnOf(host: Host, caller: Caller, domid: number): number | Failure {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return d;
  if (pagingModeTranslate(d)) return Math.max(maximumGpfn(host, d.domid), 0);
  let highest = 0;
  for (const { value, count } of runsOf(host, ownedFrames(d.domid)))
    if (value !== NO_FRAME) highest = Math.max(highest, value + count - 1);
  return highest;
}

/** What a machine frame is to its owner: the m2p table. NO_FRAME where it is nothing. */
export function mfnToGfn(cells: Cells, mfn: number): number {
  const owner = frameOwner(cells, mfn);
  const run = owner === null ? undefined : runFind(cells, ownedFrames(owner), mfn);
  return run === undefined || run.value === NO_FRAME ? NO_FRAME : run.value + (mfn - run.start);
}

/**
 * Maps another domain's frame into the caller's: what privcmd does for a
 * toolstack or a device model, and a stub domain for its target. The page stays
 * until `unmapForeign`, whatever becomes of its domain.
 *
 * @returns the machine frame; ESRCH, EPERM, EINVAL where a translated guest frame is empty, EBUSY where the frame
 *   cannot be had (get_page_from_l1e)
 */
export function mapForeign(
  host: Host,
  caller: Caller,
  { domid, gfn, readonly = false }: { domid: number; gfn: number; readonly?: boolean },
): { mfn: number } | Failure {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return d;
  const mfn = getGfn(host, d, gfn, caller.domid);
  const page = mfn === NO_FRAME ? undefined : pageOf(host, mfn);
  const mapped =
    page === undefined
      ? fail(pagingModeTranslate(d) ? "EINVAL" : "EBUSY")
      : mapFrame(host, caller.domid, caller.process, "foreign map", d.domid, mfn, readonly);
  return traced(
    host,
    caller,
    "mmu_update map_foreign",
    d.domid,
    { gfn, readonly: Number(readonly) },
    isFailure(mapped) ? mapped : { mfn },
    () => ({ mfn }),
  );
}

/** Takes a foreign frame out again; EINVAL where that process of that domain does not map it so. */
export function unmapForeign(
  host: Host,
  caller: Caller,
  { mfn, readonly = false }: { mfn: number; readonly?: boolean },
): 0 | Failure {
  const dom = pageOf(host, mfn)?.owner ?? -1;
  const result = unmapFrame(host, caller.domid, caller.process, "foreign map", mfn, readonly);
  return traced(host, caller, "mmu_update unmap_foreign", dom, { mfn, readonly: Number(readonly) }, result);
}

/** A PV kernel maps a frame of its own domain that the hypervisor shares with it: shared_info, a grant frame. */
export function mapOwn(host: Host, caller: Caller, { mfn }: { mfn: number }): 0 | Failure {
  return mapFrame(host, caller.domid, caller.process, "own map", caller.domid, mfn, false);
}

/** Everything the hypervisor shares with the caller's domain, mapped once: what a PV kernel does early in its boot. */
export function mapSharedFrames(host: Host, caller: Caller): void {
  for (const mfn of [...must(host, domainPagesCell, caller.domid).xenpages]) mapOwn(host, caller, { mfn });
}

/**
 * The grant frames `frame … frame + nrFrames - 1` of a domain, the table grown to have them
 * (XENMEM_acquire_resource): ESRCH, EPERM, EINVAL, ENOMEM.
 */
export function acquireGrantFrames(
  host: Host,
  caller: Caller,
  { domid, frame, nrFrames }: { domid: number; frame: number; nrFrames: number },
): { mfns: number[] } | Failure {
  const d = targeted(host, caller, domid);
  if (isFailure(d)) return d;
  const grown = growTable(host, d.domid, frame + nrFrames);
  if (isFailure(grown)) return grown;
  return { mfns: must(host, grantTableCell, d.domid).frames.slice(frame, frame + nrFrames) };
}

/** Which of the hypervisor's frames; `unknown` stands for any space there is not. */
export type XenSpace = "shared_info" | "grant_table" | "unknown";

/**
 * Puts one of the hypervisor's frames at a guest frame of a translated domain (XENMEM_add_to_physmap):
 * `translated`'s errors, EINVAL for no such frame.
 */
export function addToPhysmap(
  host: Host,
  caller: Caller,
  { domid, space, index, gpfn }: { domid: number; space: XenSpace; index: number; gpfn: number },
): 0 | Failure {
  const d = translated(host, caller, domid);
  const result = isFailure(d) ? d : addXenFrame(host, d, space, index, gpfn);
  return traced(
    host,
    caller,
    "memory_op add_to_physmap",
    isFailure(d) ? domid : d.domid,
    { space, idx: index, gpfn },
    result,
  );
}

function addXenFrame(
  host: Host,
  d: DeepReadonly<Domain>,
  space: XenSpace,
  index: number,
  gpfn: number,
): 0 | Failure {
  if (space === "unknown" || !p2mReaches(gpfn, 1)) return fail("EINVAL");
  if (space === "grant_table") {
    const grown = growTable(host, d.domid, index + 1);
    if (isFailure(grown)) return fail("EINVAL");
  }
  const frames =
    space === "shared_info"
      ? [must(host, domainPagesCell, d.domid).sharedInfo]
      : must(host, grantTableCell, d.domid).frames;
  const mfn = frames[index];
  if (mfn === undefined) return fail("EINVAL");
  physmapAdd(host, d.domid, gpfn, mfn, 1, "xen");
  return 0;
}

/** What is behind a guest frame is nowhere from then on, and its domain's still (p2m_remove_entry). */
function removeEntry(host: Host, d: DeepReadonly<Domain>, gpfn: number, by: number): 0 | Failure {
  const mfn = getGfn(host, d, gpfn, by);
  if (mfn === NO_FRAME) return fail("ENOENT");
  const isOwn = frameOwner(host, mfn) === d.domid && isRam(p2mType(host, d.domid, gpfn));
  physmapRemove(host, d.domid, gpfn, 1);
  if (isOwn) setM2p(host, d.domid, mfn, 1, NO_FRAME);
  return 0;
}

/** Takes a guest frame of a domain away: `translated`'s errors, ENOENT (XENMEM_remove_from_physmap). */
export function removeFromPhysmap(
  host: Host,
  caller: Caller,
  { domid, gpfn }: { domid: number; gpfn: number },
): 0 | Failure {
  const d = translated(host, caller, domid);
  const result = isFailure(d) ? d : removeEntry(host, d, gpfn, caller.domid);
  return traced(host, caller, "memory_op remove_from_physmap", domid, { gpfn }, result);
}
