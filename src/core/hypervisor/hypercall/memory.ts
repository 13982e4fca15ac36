// SPDX-License-Identifier: Apache-2.0
//
// memory_op: the binary form of XENMEM_*. The command's upper bits say how many
// extents an earlier part of the same hypercall did: what moves memory goes on
// from there, the rest refuses them (xen/common/memory.c, do_memory_op).

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { must } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { targeted } from "../caller.ts";
import { domainById, domainPagesCell } from "../domain.ts";
import { machineOf, maxPage } from "../machine.ts";
import { machphysMfnList } from "../m2p-op.ts";
import * as op from "../memory-op.ts";
import { relocateMemory } from "../physmap-op.ts";
import * as pod from "../pod-target.ts";
import { readU64s, writeU64s } from "./caller-memory.ts";
import { operation, prepare, query, unknownCommand } from "./operation.ts";
import type { Arrived, Family, Prepared } from "./operation.ts";

/** MEMOP_EXTENT_SHIFT */
const COMMAND_MASK = 63;
const EXTENT_FACTOR = 64;
const PAGE_SHIFT = 12;
/** Frames one add_to_physmap may move. */
const SIZE_MAX = 0xffff;
/** sizeof(struct e820entry), which is packed. */
const E820_ENTRY_BYTES = 20;
/** Extents of one call; of more, none is done. */
const EXTENTS_MAX = 1 << 20;
/** Numbers of guest frames wrap here. */
const FRAMES_END = 2 ** 64;

const populatePhysmap = operation(
  "memory_op populate_physmap",
  (host, caller, args: Parameters<typeof op.populatePhysmap>[2]) => {
    const done = op.populatePhysmap(host, caller, args);
    return isFailure(done) ? { done: 0, mfns: [], translated: true } : done;
  },
);
const decreaseReservation = operation(
  "memory_op decrease_reservation",
  (host, caller, args: Parameters<typeof op.decreaseReservation>[2]) => {
    const done = op.decreaseReservation(host, caller, args);
    return isFailure(done) ? { done: 0 } : done;
  },
);
const claimPages = operation("memory_op claim_pages", op.claimPages);
const addToPhysmap = operation("memory_op add_to_physmap", op.addToPhysmap);
const relocate = operation("memory_op add_to_physmap of gmfns", relocateMemory);
const removeFromPhysmap = operation("memory_op remove_from_physmap", op.removeFromPhysmap);
const maximumGpfn = query("memory_op maximum_gpfn", (host, caller, { domid }: { domid: number }) =>
  op.maximumGpfnOf(host, caller, domid),
);
const setMemoryMap = operation("memory_op set_memory_map", op.setMemoryMap);
const reservation = query(
  "memory_op reservation",
  (host, caller, { domid, which }: { domid: number; which: "totPages" | "maxPages" }) => {
    const d = targeted(host, caller, domid);
    return isFailure(d) ? d : must(host, domainPagesCell, d.domid)[which];
  },
);
const getPodTarget = query("memory_op get_pod_target", pod.getPodTarget);
const machphysList = operation("memory_op machphys_mfn_list", machphysMfnList);
const setPodTarget = operation("memory_op set_pod_target", pod.setPodTarget);

/** A structure from the caller. */
function argument({ memory, args }: Arrived, sizeof: number): DataView | Failure {
  const bytes = memory.read(args[1] ?? 0, sizeof);
  return isFailure(bytes) ? bytes : viewOf(bytes);
}

function domidArgument(call: Arrived): number | Failure {
  const view = argument(call, abi.xen_memory_domain.sizeof);
  return isFailure(view) ? view : abi.xen_memory_domain.domid.get(view);
}

/** What populate and decrease have in common: extents from number `start` on. */
interface Reservation {
  readonly start: number;
  readonly domid: number;
  readonly frames: number[];
  readonly order: number;
  readonly memFlags: number;
  readonly extentStart: number;
}

/** How many extents are already done, of which an earlier part of the hypercall told. */
function startExtent({ args }: Arrived): number {
  return Math.floor((args[0] ?? 0) / EXTENT_FACTOR);
}

/**
 * What to populate or decrease, or the hypercall's answer: no error is one here,
 * a bad argument means that no extent was done beyond those that were.
 */
function reservationArgument(call: Arrived): Reservation | number {
  const s = abi.xen_memory_reservation;
  const start = startExtent(call);
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return start;
  const count = s.nr_extents.get(view);
  if (count > EXTENTS_MAX || start >= count) return start;
  const extentStart = s.extent_start.get(view) + start * 8;
  const frames = readU64s(call.memory, extentStart, count - start);
  if (isFailure(frames)) return start;
  return {
    start,
    domid: s.domid.get(view),
    frames,
    order: s.extent_order.get(view),
    memFlags: s.mem_flags.get(view),
    extentStart,
  };
}

/** A PV domain's builder is told the machine frames; a translated domain's must not see them. */
function populate(call: Arrived): Prepared | number {
  const asked = reservationArgument(call);
  if (typeof asked === "number") return asked;
  const { start, domid, frames: gpfns, order, memFlags, extentStart } = asked;
  const addressBits = memFlags & 0xff;
  if (addressBits > 0 && addressBits <= PAGE_SHIFT) return start;
  const onDemand = (memFlags & X.XENMEMF_populate_on_demand) !== 0;
  const args = { domid, gpfns, order, addressBits, onDemand };
  return prepare(populatePhysmap, args, ({ done, mfns, translated }) => {
    const told = translated ? 0 : writeU64s(call.memory, extentStart, mfns);
    return isFailure(told) ? start : start + done;
  });
}

function decrease(call: Arrived): Prepared | number {
  const asked = reservationArgument(call);
  if (typeof asked === "number") return asked;
  const { start, domid, frames: gmfns, order } = asked;
  return prepare(decreaseReservation, { domid, gmfns, order }, ({ done }) => start + done);
}

const spaces: { readonly [space: number]: "shared_info" | "grant_table" } = {
  [X.XENMAPSPACE_shared_info]: "shared_info",
  [X.XENMAPSPACE_grant_table]: "grant_table",
};

function add(call: Arrived): Prepared | Failure {
  const s = abi.xen_add_to_physmap;
  const start = startExtent(call);
  if (start > SIZE_MAX) return fail("EDOM");
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const number = s.space.get(view);
  // Foreign frames are for add_to_physmap_batch alone.
  if (number === X.XENMAPSPACE_gmfn_foreign) return fail("ENOSYS");
  const domid = s.domid.get(view);
  const [index, gpfn] = [s.idx.get(view), s.gpfn.get(view)];
  if (number === X.XENMAPSPACE_gmfn) return prepare(relocate, { domid, from: index, to: gpfn, nr: 1 });
  if (number === X.XENMAPSPACE_gmfn_range) {
    const size = s.size.get(view);
    const d = op.translated(call.host, call.caller, domid);
    if (isFailure(d)) return d;
    if (size < start) return fail("EILSEQ");
    if (index + size > FRAMES_END || gpfn + size > FRAMES_END) return fail("EOVERFLOW");
    return prepare(relocate, { domid, from: index + start, to: gpfn + start, nr: size - start });
  }
  return prepare(addToPhysmap, { domid, space: spaces[number] ?? "unknown", index, gpfn });
}

/** What can be promised: pages of no order, for no place and in no way in particular. */
function claim(call: Arrived): Prepared | Failure {
  const s = abi.xen_memory_reservation;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const particular = [s.extent_start, s.extent_order, s.mem_flags].some((field) => field.get(view) !== 0);
  const domid = s.domid.get(view);
  if (particular || domainById(call.host, domid) === undefined) return fail("EINVAL");
  return prepare(claimPages, { domid, nr: s.nr_extents.get(view) });
}

/** A memory map is kept as its length alone, but it has to be there. */
function memoryMap(call: Arrived): Prepared | Failure {
  const s = abi.xen_foreign_memory_map;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const asked = { domid: s.domid.get(view), entries: s["map.nr_entries"].get(view) };
  // The operation refuses it, and leaves its trace.
  if (isFailure(op.memoryMapTarget(call.host, call.caller, asked))) return prepare(setMemoryMap, asked);
  const map = call.memory.read(s["map.buffer"].get(view), asked.entries * E820_ENTRY_BYTES);
  return isFailure(map) ? map : prepare(setMemoryMap, asked);
}

/** No domain was told that its memory is in several nodes. */
function vnumaInfo(call: Arrived): Failure {
  const s = abi.xen_vnuma_topology_info;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const padding = view.getUint16(s.domid.offset + s.domid.size, true);
  if (padding !== 0) return fail("EINVAL");
  const d = targeted(call.host, call.caller, s.domid.get(view));
  return isFailure(d) ? d : fail("EOPNOTSUPP");
}

function machphys(call: Arrived): Prepared | Failure {
  const s = abi.xen_machphys_mfn_list;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  return prepare(machphysList, { max: s.max_extents.get(view) }, (mfns) => {
    const told = writeU64s(call.memory, s.extent_start.get(view), mfns);
    if (isFailure(told)) return told;
    s.nr_extents.set(view, mfns.length);
    return call.memory.write(call.args[1] ?? 0, new Uint8Array(view.buffer));
  });
}

function podTarget(set: boolean): Family {
  return (call) => {
    const s = abi.xen_pod_target;
    const view = argument(call, s.sizeof);
    if (isFailure(view)) return view;
    const domid = s.domid.get(view);
    const reply = ({ totPages, cachePages, entries }: pod.PodTarget): 0 | Failure => {
      s.tot_pages.set(view, totPages);
      s.pod_cache_pages.set(view, cachePages);
      s.pod_entries.set(view, entries);
      return call.memory.write(call.args[1] ?? 0, new Uint8Array(view.buffer));
    };
    return set
      ? prepare(setPodTarget, { domid, targetPages: s.target_pages.get(view) }, reply)
      : prepare(getPodTarget, { domid }, reply);
  };
}

function reserved(which: "totPages" | "maxPages"): Family {
  return (call) => {
    const domid = domidArgument(call);
    return isFailure(domid) ? domid : prepare(reservation, { domid, which });
  };
}

const commands: { readonly [command: number]: Family } = {
  [X.XENMEM_populate_physmap]: populate,
  [X.XENMEM_decrease_reservation]: decrease,
  [X.XENMEM_current_reservation]: reserved("totPages"),
  [X.XENMEM_maximum_reservation]: reserved("maxPages"),
  [X.XENMEM_maximum_ram_page]: ({ host }) => maxPage(machineOf(host)),
  [X.XENMEM_maximum_gpfn]: (call) => {
    const domid = domidArgument(call);
    return isFailure(domid) ? domid : prepare(maximumGpfn, { domid });
  },
  [X.XENMEM_machphys_mfn_list]: machphys,
  [X.XENMEM_add_to_physmap]: add,
  [X.XENMEM_remove_from_physmap]: (call) => {
    const s = abi.xen_remove_from_physmap;
    const view = argument(call, s.sizeof);
    if (isFailure(view)) return view;
    return prepare(removeFromPhysmap, { domid: s.domid.get(view), gpfn: s.gpfn.get(view) });
  },
  [X.XENMEM_set_memory_map]: memoryMap,
  [X.XENMEM_claim_pages]: claim,
  [X.XENMEM_set_pod_target]: podTarget(true),
  [X.XENMEM_get_pod_target]: podTarget(false),
  // No domain shares pages with another here.
  [X.XENMEM_get_sharing_freed_pages]: () => 0,
  [X.XENMEM_get_sharing_shared_pages]: () => 0,
  [X.XENMEM_get_vnumainfo]: vnumaInfo,
};

/** Commands that an earlier part of the same hypercall may have begun. */
const continued: readonly number[] = [
  X.XENMEM_populate_physmap,
  X.XENMEM_decrease_reservation,
  X.XENMEM_add_to_physmap,
];
/** Commands of the architecture know the whole number only (arch_memory_op). */
const ofArchitecture: readonly number[] = [
  X.XENMEM_machphys_mfn_list,
  X.XENMEM_set_memory_map,
  X.XENMEM_set_pod_target,
  X.XENMEM_get_pod_target,
  X.XENMEM_get_sharing_freed_pages,
  X.XENMEM_get_sharing_shared_pages,
];

/** `memory_op(cmd, arg)` */
export const memoryOp: Family = (call) => {
  const command = (call.args[0] ?? 0) & COMMAND_MASK;
  const found = commands[command];
  if (found === undefined) return unknownCommand("memory_op", "XENMEM_", command);
  if (startExtent(call) !== 0 && !continued.includes(command))
    return fail(ofArchitecture.includes(command) ? "ENOSYS" : "EINVAL");
  return found(call);
};
