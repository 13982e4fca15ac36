// SPDX-License-Identifier: Apache-2.0
//
// domctl: what saving a domain asks for, and restoring one: the types of its
// frames, its dirty pages, the state of vCPUs beyond their registers.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { getBig, setBig } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as dirty from "../log-dirty.ts";
import { getpageframeinfo3, populateFramesAsked } from "../page-tables.ts";
import type { FrameUse } from "../page-tables.ts";
import { podCounts } from "../pod-cell.ts";
import * as op from "../vcpu-extra.ts";
import { readBytes, readU64s, writeU64s } from "./caller-memory.ts";
import type { DomctlCall, DomctlCommand } from "./domctl-call.ts";
import { operation, prepare, query, unknownCall } from "./operation.ts";
import type { Prepared } from "./operation.ts";

const U = abi.xen_domctl.u.offset;
/** Registers Xen sends of a PV vCPU. */
const MSRS_MAX = 11;
/** Bits of one dirty bitmap: as many as a garbage count may make us allocate. */
const BITMAP_PAGES_MAX = 1 << 28;

const frameInfo = query("domctl getpageframeinfo3", getpageframeinfo3);
const populatedFrameInfo = operation("domctl getpageframeinfo3 of frames on demand", populateFramesAsked);
const extraVcpu = query("domctl get_ext_vcpucontext", op.extraVcpu);
const stateVcpu = query("domctl getvcpuextstate", op.stateVcpu);
const msrVcpu = query("domctl get_vcpu_msrs", op.msrVcpu);
const setExtVcpucontext = operation("domctl set_ext_vcpucontext", op.setExtVcpucontext);
const enableLogDirty = operation("domctl shadow_op enable_logdirty", dirty.enableLogDirty);
const disableLogDirty = operation("domctl shadow_op off", dirty.disableLogDirty);
const cleanDirty = operation("domctl shadow_op clean", dirty.cleanDirty);
const peekDirty = query("domctl shadow_op peek", dirty.peekDirty);

const tables = [
  X.XEN_DOMCTL_PFINFO_NOTAB,
  X.XEN_DOMCTL_PFINFO_L1TAB,
  X.XEN_DOMCTL_PFINFO_L2TAB,
  X.XEN_DOMCTL_PFINFO_L3TAB,
  X.XEN_DOMCTL_PFINFO_L4TAB,
] as const;

function typeWord({ present, table, pinned }: FrameUse): number {
  if (!present) return X.XEN_DOMCTL_PFINFO_XTAB;
  return tables[table] + (pinned ? X.XEN_DOMCTL_PFINFO_LPINTAB : 0);
}

function pageFrames({ host, view, memory, domid }: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_getpageframeinfo3;
  const [count, address] = [s.num.get(view, U), s.array.get(view, U)];
  if (count > 1024) return fail("E2BIG");
  const gfns = readU64s(memory, address, count);
  if (isFailure(gfns)) return gfns;
  const asked = podCounts(host, domid).entries > 0 ? populatedFrameInfo : frameInfo;
  return prepare(asked, { domid, gfns }, (uses) => writeU64s(memory, address, uses.map(typeWord)));
}

function getExtended({ view, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_ext_vcpucontext;
  return prepare(extraVcpu, { domid, vcpu: s.vcpu.get(view, U) }, () => {
    // No callback was ever registered: a kernel of ours takes no exceptions.
    new Uint8Array(view.buffer, view.byteOffset + U + s.size.offset + s.size.size, s.sizeof - 8).fill(0);
    s.size.set(view, s.sizeof, U);
    return copyBack();
  });
}

/** A vCPU of a structure that begins with its number. */
function vcpuOf({ view, domid }: DomctlCall): { domid: number; vcpu: number } {
  return { domid, vcpu: abi.xen_domctl_vcpu_msrs.vcpu.get(view, U) };
}

/** No processor has run: a vCPU has no extended state and no register that differs from reset. */
function nothingExtended(vcpu: typeof extraVcpu, size: (view: DataView) => void): DomctlCommand {
  return (call) =>
    prepare(vcpu, vcpuOf(call), () => {
      size(call.view);
      return call.copyBack();
    });
}

/**
 * XCR0 and what of it was ever set, in front of a vCPU's extended state (PV_XSAVE_HDR_SIZE). The machine's
 * processors have no XSAVE: both are 0, and nothing follows.
 */
const XSAVE_HEADER_BYTES = 16;

function getExtendedState(call: DomctlCall): Prepared | Failure {
  const { host, caller, view, memory, copyBack } = call;
  const s = abi.xen_domctl_vcpuextstate;
  const [address, size, mask] = [
    s.buffer.get(view, U),
    s.size.get(view, U),
    getBig(view, s.xfeature_mask, U),
  ];
  const target = op.stateVcpu(host, caller, vcpuOf(call));
  if (isFailure(target)) return target;
  const isQuery = (size === 0 && mask === 0n) || address === 0;
  if (!isQuery && (size < XSAVE_HEADER_BYTES || mask !== 0n)) return fail("EINVAL");
  return prepare(stateVcpu, vcpuOf(call), () => {
    const written = isQuery ? 0 : memory.write(address, new Uint8Array(XSAVE_HEADER_BYTES));
    if (isFailure(written)) return written;
    setBig(view, s.xfeature_mask, 0n, U);
    s.size.set(view, XSAVE_HEADER_BYTES, U);
    return copyBack();
  });
}

function setExtendedState(call: DomctlCall): Prepared | Failure {
  const { host, caller, view, memory } = call;
  const s = abi.xen_domctl_vcpuextstate;
  const target = op.stateVcpu(host, caller, vcpuOf(call));
  if (isFailure(target)) return target;
  if (s.size.get(view, U) !== XSAVE_HEADER_BYTES) return fail("EINVAL");
  const state = readBytes(memory, s.buffer.get(view, U), XSAVE_HEADER_BYTES);
  if (isFailure(state)) return state;
  return state.some((byte) => byte !== 0) ? fail("EINVAL") : prepare(stateVcpu, vcpuOf(call));
}

function setMsrs(call: DomctlCall): Prepared | Failure {
  const { host, caller, view, memory } = call;
  const s = abi.xen_domctl_vcpu_msrs;
  const target = op.msrVcpu(host, caller, vcpuOf(call));
  if (isFailure(target)) return target;
  const count = s.msr_count.get(view, U);
  if (count > MSRS_MAX) return fail("EINVAL");
  const list = readBytes(memory, s.msrs.get(view, U), count * abi.xen_msr_entry.sizeof);
  return isFailure(list) ? list : prepare(msrVcpu, vcpuOf(call));
}

/** A bitmap of dirty frames goes to the caller, the counts into the structure; of a dying domain, nothing. */
function putDirty({ view, memory, copyBack }: DomctlCall, found: dirty.DirtyFrames | "dying"): 0 | Failure {
  if (found === "dying") return copyBack();
  const s = abi.xen_domctl_shadow_op;
  const [address, pages] = [s.dirty_bitmap.get(view, U), s.pages.get(view, U)];
  if (address !== 0) {
    const bits = new Uint8Array(Math.ceil(pages / 8));
    for (const gfn of found.gfns)
      if (gfn < pages) bits[gfn >> 3] = (bits[gfn >> 3] as number) | (1 << (gfn & 7));
    const written = memory.write(address, bits);
    if (isFailure(written)) return written;
  }
  s["stats.fault_count"].set(view, found.faults, U);
  s["stats.dirty_count"].set(view, found.gfns.length, U);
  return copyBack();
}

function shadow(call: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_shadow_op;
  const { view, domid, copyBack } = call;
  const command = s.op.get(view, U);
  switch (command) {
    case X.XEN_DOMCTL_SHADOW_OP_OFF:
      return prepare(disableLogDirty, { domid });
    case X.XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
      return prepare(enableLogDirty, { domid });
    case X.XEN_DOMCTL_SHADOW_OP_CLEAN:
    case X.XEN_DOMCTL_SHADOW_OP_PEEK: {
      if (s.pages.get(view, U) > BITMAP_PAGES_MAX) return fail("EFAULT");
      const clean = command === X.XEN_DOMCTL_SHADOW_OP_CLEAN;
      const asked = { domid, mode: s.mode.get(view, U) };
      return prepare(clean ? cleanDirty : peekDirty, asked, (found) => putDirty(call, found));
    }
    case X.XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
      return prepare(dirtyAllocation, { domid }, (mib) => {
        s.mb.set(view, mib, U);
        return copyBack();
      });
    case X.XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
      return prepare(setDirtyAllocation, { domid, mib: s.mb.get(view, U) }, (mib) => {
        s.mb.set(view, mib, U);
        return copyBack();
      });
    default:
      return unknownCall(`domctl shadow_op ${command}`, "EINVAL");
  }
}

const dirtyAllocation = query("domctl shadow_op get_allocation", dirty.pagingAllocation);
const setDirtyAllocation = operation("domctl shadow_op set_allocation", dirty.setPagingAllocation);

/** The commands of this file. */
export const saveCommands: { readonly [command: number]: DomctlCommand } = {
  [X.XEN_DOMCTL_getpageframeinfo3]: pageFrames,
  [X.XEN_DOMCTL_shadow_op]: shadow,
  [X.XEN_DOMCTL_get_ext_vcpucontext]: getExtended,
  [X.XEN_DOMCTL_set_ext_vcpucontext]: ({ view, domid }) => {
    const s = abi.xen_domctl_ext_vcpucontext;
    return prepare(setExtVcpucontext, { domid, vcpu: s.vcpu.get(view, U), size: s.size.get(view, U) });
  },
  [X.XEN_DOMCTL_getvcpuextstate]: getExtendedState,
  [X.XEN_DOMCTL_get_vcpu_msrs]: nothingExtended(msrVcpu, (view) =>
    abi.xen_domctl_vcpu_msrs.msr_count.set(view, 0, U),
  ),
  [X.XEN_DOMCTL_setvcpuextstate]: setExtendedState,
  [X.XEN_DOMCTL_set_vcpu_msrs]: setMsrs,
};
