// SPDX-License-Identifier: Apache-2.0
//
// memory_op: the binary form of XENMEM_*. The command's upper bits say how many
// extents an earlier part of the same hypercall did; a caller leaves them 0.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf } from "../../../abi/struct.ts";
import { must } from "../../engine/cells.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { isPrivileged, targeted } from "../caller.ts";
import { domainById, domainPagesCell, pagingModeTranslate } from "../domain.ts";
import { DOMID_SELF } from "../domid.ts";
import { machineOf, maxPage } from "../machine.ts";
import { machphysMfnList } from "../m2p-op.ts";
import * as op from "../memory-op.ts";
import { relocateMemory } from "../physmap-op.ts";
import * as pod from "../pod-target.ts";
import { readU64s, writeU64s } from "./caller-memory.ts";
import { operation, prepare, query, unknownCall } from "./operation.ts";
import type { Arrived, Family, Prepared } from "./operation.ts";

/** MEMOP_EXTENT_SHIFT */
const COMMAND_MASK = 63;
/** Extents of one call; more are refused as the count's overflow is in Xen. */
const EXTENTS_MAX = 1 << 20;

const populatePhysmap = operation("memory_op populate_physmap", op.populatePhysmap);
const decreaseReservation = operation("memory_op decrease_reservation", op.decreaseReservation);
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

/** What populate and decrease have in common. */
interface Reservation {
  readonly domid: number;
  readonly frames: number[];
  readonly order: number;
  readonly memFlags: number;
  readonly extentStart: number;
}

function reservationArgument(call: Arrived): Reservation | Failure {
  const s = abi.xen_memory_reservation;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const count = s.nr_extents.get(view);
  if (count > EXTENTS_MAX) return fail("E2BIG");
  const extentStart = s.extent_start.get(view);
  const frames = readU64s(call.memory, extentStart, count);
  if (isFailure(frames)) return frames;
  return {
    domid: s.domid.get(view),
    frames,
    order: s.extent_order.get(view),
    memFlags: s.mem_flags.get(view),
    extentStart,
  };
}

/** A PV domain's builder is told the machine frames; a translated domain's must not see them. */
function populate(call: Arrived): Prepared | Failure {
  const asked = reservationArgument(call);
  if (isFailure(asked)) return asked;
  const { domid, frames: gpfns, order, memFlags, extentStart } = asked;
  const addressBits = memFlags & 0xff;
  return prepare(populatePhysmap, { domid, gpfns, order, addressBits }, ({ done, mfns }) => {
    const d = domainById(call.host, domid === DOMID_SELF ? call.caller.domid : domid);
    const told = d === undefined || pagingModeTranslate(d) ? 0 : writeU64s(call.memory, extentStart, mfns);
    return isFailure(told) ? told : done;
  });
}

function decrease(call: Arrived): Prepared | Failure {
  const asked = reservationArgument(call);
  if (isFailure(asked)) return asked;
  const { domid, frames: gmfns, order } = asked;
  return prepare(decreaseReservation, { domid, gmfns, order }, ({ done }) => done);
}

const spaces: { readonly [space: number]: "shared_info" | "grant_table" } = {
  [X.XENMAPSPACE_shared_info]: "shared_info",
  [X.XENMAPSPACE_grant_table]: "grant_table",
};

function add(call: Arrived): Prepared | Failure {
  const s = abi.xen_add_to_physmap;
  const view = argument(call, s.sizeof);
  if (isFailure(view)) return view;
  const number = s.space.get(view);
  if (number === X.XENMAPSPACE_gmfn || number === X.XENMAPSPACE_gmfn_range) {
    const nr = number === X.XENMAPSPACE_gmfn ? 1 : s.size.get(view);
    return prepare(relocate, { domid: s.domid.get(view), from: s.idx.get(view), to: s.gpfn.get(view), nr });
  }
  const space = spaces[number];
  if (space === undefined) return unknownCall(`memory_op add_to_physmap of space ${number}`);
  const asked = { domid: s.domid.get(view), space, index: s.idx.get(view), gpfn: s.gpfn.get(view) };
  return prepare(addToPhysmap, asked);
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
    const reply = ({ totPages }: { totPages: number }): 0 | Failure => {
      s.tot_pages.set(view, totPages);
      s.pod_cache_pages.set(view, 0);
      s.pod_entries.set(view, 0);
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
  [X.XENMEM_maximum_ram_page]: ({ host }) => maxPage(machineOf(host)) - 1,
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
  [X.XENMEM_set_memory_map]: (call) => {
    const s = abi.xen_foreign_memory_map;
    const view = argument(call, s.sizeof);
    if (isFailure(view)) return view;
    return prepare(setMemoryMap, { domid: s.domid.get(view), entries: s["map.nr_entries"].get(view) });
  },
  [X.XENMEM_claim_pages]: (call) => {
    const s = abi.xen_memory_reservation;
    const view = argument(call, s.sizeof);
    if (isFailure(view)) return view;
    return prepare(claimPages, { domid: s.domid.get(view), nr: s.nr_extents.get(view) });
  },
  [X.XENMEM_set_pod_target]: podTarget(true),
  [X.XENMEM_get_pod_target]: podTarget(false),
  // No domain shares pages with another here.
  [X.XENMEM_get_sharing_freed_pages]: () => 0,
  [X.XENMEM_get_sharing_shared_pages]: () => 0,
  [X.XENMEM_get_vnumainfo]: ({ host, caller }) => fail(isPrivileged(host, caller) ? "EOPNOTSUPP" : "EPERM"),
};

/** `memory_op(cmd, arg)` */
export const memoryOp: Family = (call) => {
  const command = (call.args[0] ?? 0) & COMMAND_MASK;
  const found = commands[command];
  return found === undefined ? unknownCall(`memory_op ${command}`) : found(call);
};
