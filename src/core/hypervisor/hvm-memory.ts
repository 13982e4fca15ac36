// SPDX-License-Identifier: Apache-2.0
//
// What a device model says of its domain's memory: which of it is read only,
// which is video memory to be watched, how it is cached (xen/arch/x86/hvm/dm.c).

import type { Cells, DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { hapEnabled, logDirtyCell } from "./domain.ts";
import type { Domain } from "./domain.ts";
import { editHvmMemory, hvmMemoryCell } from "./hvm-memory-cell.ts";
import type { Cacheattr } from "./hvm-memory-cell.ts";
import { emulated, owned } from "./ioreq-op.ts";
import { gfnToMfn, isPod, maximumGpfn, p2m, physmapAdd, physmapRemove } from "./p2m.ts";
import { pageOf } from "./page.ts";
import { getGfn } from "./pod-populate.ts";
import { NO_FRAME, runFind, runFrom, runsOf } from "./runs.ts";
import type { Run } from "./runs.ts";

/** Ranges with a cache attribute of their own that a domain may have; the limit is Xen's, and arbitrary. */
const CACHEATTR_MAX = 64;
/** Frames of a GiB: as much video memory as may be watched. */
const VRAM_FRAMES_MAX = 1 << 18;
/** Types of memory a PAT or MTRR knows: UC, WC, WT, WP, WB, UC-. */
const CACHE_TYPES = [0, 1, 4, 5, 6, 7];
/** XEN_DMOP_DELETE_MEM_CACHEATTR */
const CACHE_DELETE = 0xffffffff;
/** Guest frames above this many bits there are not (paddr_bits). */
const PADDR_BITS = 46;

/**
 * What memory may become (HVMMEM_*): to be read and written, read only, not memory
 * but a device's, or such that writes go to the IOREQ server that asked for them.
 */
export type MemType = "ram_rw" | "ram_ro" | "mmio_dm" | "ioreq_server";

/**
 * XEN_DMOP_set_mem_type. Stops at the first frame that cannot become that:
 * EINVAL for one that is not memory, beyond the domain's highest, a type there is
 * not, or one that no server asked for; EOPNOTSUPP for that type with shadow
 * page tables.
 */
export function setMemType(
  host: Host,
  caller: Caller,
  { domid, first, nr, type }: { domid: number; first: number; nr: number; type: MemType | null },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : changeTypes(host, d, first, nr, type, caller.domid);
  const shown = { first_pfn: first, nr, mem_type: type ?? "?" };
  return traced(host, caller, "dm_op set_mem_type", domid, shown, result);
}

function changeTypes(
  host: Host,
  d: DeepReadonly<Domain>,
  first: number,
  nr: number,
  type: MemType | null,
  by: number,
): 0 | Failure {
  const { domid } = d;
  const end = first + nr;
  if (nr === 0 || end - 1 > Math.max(maximumGpfn(host, domid), 0) || type === null) return fail("EINVAL");
  if (type === "ioreq_server") {
    if (!hapEnabled(host, domid)) return fail("EOPNOTSUPP");
    if (typeServer(host, domid) === null) return fail("EINVAL");
  }
  for (let gfn = first; gfn < end;) {
    getGfn(host, d, gfn, by);
    const run = runFind(host, p2m(domid), gfn);
    // A hole may become a device's, which it is already.
    if (run === undefined && type !== "mmio_dm") return fail("EINVAL");
    if (run?.tag === "foreign" || isPod(run?.tag)) return fail("EINVAL");
    // To a server's and back only memory goes that is read and written (allow_p2m_type_change).
    if (type === "ioreq_server" && run?.tag !== "ram") return fail("EINVAL");
    if (run?.tag === "ioreq_server" && type !== "ram_rw") return fail("EINVAL");
    const next = run === undefined ? runFrom(host, p2m(domid), gfn)?.start : run.start + run.count;
    const count = Math.min(next ?? end, end) - gfn;
    const mfn = run === undefined ? NO_FRAME : run.value + (gfn - run.start);
    if (type === "mmio_dm") physmapRemove(host, domid, gfn, count);
    else if (run?.tag !== "xen") physmapAdd(host, domid, gfn, mfn, count, type === "ram_rw" ? "ram" : type);
    gfn += count;
  }
  return 0;
}

/** The server that writes to pages of its type are sent to, or null. */
export function typeServer(cells: Cells, domid: number): number | null {
  return cells.get(hvmMemoryCell, domid)?.typeServer ?? null;
}

/** HVMMEM_ioreq_server */
const HVMMEM_IOREQ_SERVER = 4;
/** XEN_DMOP_IOREQ_MEM_ACCESS_WRITE: the only accesses that can be asked for. */
const ACCESS_WRITE = 2;

/**
 * XEN_DMOP_map_mem_type_to_ioreq_server: writes to pages of that type go to a server
 * from here on, or, without flags, no more, and the pages are plain memory again.
 * EOPNOTSUPP with shadow page tables; EINVAL for another type, other accesses, or
 * ended for a server that had not asked; ENOENT, EPERM for the server; EBUSY where
 * another has asked, or has left pages.
 *
 * @param opaque 0; else the frame that a call goes on from which has asked already
 */
export function mapMemType(
  host: Host,
  caller: Caller,
  {
    domid,
    id,
    type,
    flags,
    opaque,
  }: { domid: number; id: number; type: number; flags: number; opaque: number },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  const asked = isFailure(d) || hapEnabled(host, d.domid) ? d : fail("EOPNOTSUPP");
  let result: 0 | Failure = isFailure(asked) ? asked : 0;
  if (result === 0 && opaque === 0)
    result =
      type === HVMMEM_IOREQ_SERVER && (flags & ~ACCESS_WRITE) === 0
        ? setTypeServer(host, caller, domid, id, flags !== 0)
        : fail("EINVAL");
  if (result === 0 && flags === 0) becomePlain(host, domid, opaque);
  return traced(host, caller, "dm_op map_mem_type_to_ioreq_server", domid, { id, type, flags }, result);
}

function setTypeServer(host: Host, caller: Caller, domid: number, id: number, on: boolean): 0 | Failure {
  const found = owned(host, caller, domid, id);
  if (isFailure(found)) return found;
  const before = typeServer(host, domid);
  if (!on && before !== id) return fail("EINVAL");
  if (on && (before !== null || serverPages(host, domid).length > 0)) return fail("EBUSY");
  editHvmMemory(host, domid).typeServer = on ? id : null;
  return 0;
}

/** Runs of guest frames whose writes go to a server. */
function serverPages(cells: Cells, domid: number): Run[] {
  return [...runsOf(cells, p2m(domid))].filter(({ tag }) => tag === "ioreq_server");
}

/** From a guest frame on, none is a server's any more (p2m_finish_type_change). */
function becomePlain(host: Host, domid: number, from: number): void {
  for (const { start, count, value } of serverPages(host, domid)) {
    const skip = Math.max(0, from - start);
    if (skip < count) physmapAdd(host, domid, start + skip, value + skip, count - skip, "ram");
  }
}

/**
 * XEN_DMOP_pin_memory_cacheattr: EINVAL for a type there is not or a range that
 * ends before it begins, EBUSY where a part has another, ENOSPC for too many;
 * ENOENT for a range to be forgotten that nobody named.
 */
export function pinMemoryCacheattr(
  host: Host,
  caller: Caller,
  { domid, start, end, type }: { domid: number; start: number; end: number; type: number },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : pin(host, d.domid, { start, end, type });
  return traced(host, caller, "dm_op pin_memory_cacheattr", domid, { start, end, type }, result);
}

function pin(host: Host, domid: number, { start, end, type }: Cacheattr): 0 | Failure {
  if (end < start || end >= 2 ** PADDR_BITS) return fail("EINVAL");
  if (type !== CACHE_DELETE && !CACHE_TYPES.includes(type)) return fail("EINVAL");
  const known = host.get(hvmMemoryCell, domid)?.cacheattrs ?? [];
  const same = known.findIndex((range) => range.start === start && range.end === end);
  if (type === CACHE_DELETE) {
    if (same < 0) return fail("ENOENT");
    editHvmMemory(host, domid).cacheattrs.splice(same, 1);
    return 0;
  }
  if (same >= 0) {
    (editHvmMemory(host, domid).cacheattrs[same] as Cacheattr).type = type;
    return 0;
  }
  if (known.some((range) => range.start <= end && start <= range.end)) return fail("EBUSY");
  if (known.length >= CACHEATTR_MAX) return fail("ENOSPC");
  editHvmMemory(host, domid).cacheattrs.push({ start, end, type });
  return 0;
}

/**
 * XEN_DMOP_track_dirty_vram: which frames of the video memory were written since
 * they were last asked for, a bit each; all of them the first time. None asked
 * for ends it. ESRCH for a dying domain, EINVAL for more than there may be, a
 * domain without vCPUs, or a bitmap of `room` bytes that is too short.
 */
export function trackDirtyVram(
  host: Host,
  caller: Caller,
  { domid, first, nr, room }: { domid: number; first: number; nr: number; room: number },
): { bitmap: Uint8Array } | Failure {
  const d = emulated(host, caller, domid);
  const result = isFailure(d) ? d : tracked(host, d, first, nr, room);
  return traced(host, caller, "dm_op track_dirty_vram", domid, { first_pfn: first, nr }, result);
}

function tracked(
  host: Host,
  d: DeepReadonly<Domain>,
  first: number,
  nr: number,
  room: number,
): { bitmap: Uint8Array } | Failure {
  if (nr > VRAM_FRAMES_MAX) return fail("EINVAL");
  if (d.isDying !== "alive") return fail("ESRCH");
  const bytes = Math.ceil(nr / 8);
  if (d.nrVcpus === 0 || bytes > room) return fail("EINVAL");
  const bitmap = new Uint8Array(bytes);
  const before = host.get(hvmMemoryCell, d.domid)?.vram ?? null;
  if (nr === 0) {
    if (before !== null) editHvmMemory(host, d.domid).vram = null;
    return { bitmap };
  }
  const known = before !== null && before.first === first && before.nr === nr;
  for (let at = 0; at < nr; at++)
    if (written(host, d, first + at)) bitmap[at >> 3] = (bitmap[at >> 3] ?? 0) | (1 << (at & 7));
  if (known) return { bitmap };
  editHvmMemory(host, d.domid).vram = { first, nr };
  return { bitmap: bitmap.fill(0xff) };
}

/** Whether a frame was written since it was last asked for. One that a process maps may be written at any time. */
function written(host: Host, d: DeepReadonly<Domain>, gfn: number): boolean {
  const mfn = gfnToMfn(host, d, gfn);
  if (mfn === NO_FRAME) return false;
  // A migration that watches all of the memory must not miss it.
  const clean = host.get(logDirtyCell, d.domid) === undefined;
  return host.memory.dirtied(mfn, clean) || (pageOf(host, mfn)?.count ?? 1) > 1;
}

/** Consecutive frames a device model wrote. */
export interface ModifiedExtent {
  first: number;
  nr: number;
  pad: number;
}

/**
 * XEN_DMOP_modified_memory. Only a domain whose writes are watched cares; there
 * every extent must be of frames the domain may have: EINVAL.
 */
export function modifiedMemory(
  host: Host,
  caller: Caller,
  { domid, extents }: { domid: number; extents: readonly ModifiedExtent[] },
): 0 | Failure {
  const d = emulated(host, caller, domid);
  if (isFailure(d)) return traced(host, caller, "dm_op modified_memory", domid, { nr: extents.length }, d);
  if (host.get(logDirtyCell, d.domid) === undefined) return 0;
  const highest = Math.max(maximumGpfn(host, d.domid), 0);
  const valid = extents.every(({ first, nr, pad }) => pad === 0 && nr > 0 && first + nr <= highest);
  // A model writes through its mappings, and a frame that is mapped counts as written.
  const result = valid ? 0 : fail("EINVAL");
  return traced(host, caller, "dm_op modified_memory", domid, { nr: extents.length }, result);
}
