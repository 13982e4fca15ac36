// SPDX-License-Identifier: Apache-2.0
//
// domctl: affinity, scheduling, clocks, address width, paging memory.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { getBig, setBig } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { iommuDomctl, psrDomctl } from "../absent.ts";
import * as op from "../domain-settings.ts";
import { machineOf } from "../machine.ts";
import { MAX_NUMNODES } from "../sysctl.ts";
import { readBitmap, writeBitmap } from "./bitmap-argument.ts";
import type { DomctlCall, DomctlCommand } from "./domctl-call.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";

const U = abi.xen_domctl.u.offset;

const setvcpuaffinity = operation("domctl setvcpuaffinity", op.setvcpuaffinity);
const getvcpuaffinity = query("domctl getvcpuaffinity", op.getvcpuaffinity);
const setnodeaffinity = operation("domctl setnodeaffinity", op.setnodeaffinity);
const getnodeaffinity = query("domctl getnodeaffinity", op.getnodeaffinity);
const putScheduler = operation("domctl scheduler_op putinfo", op.putSchedulerParams);
const getScheduler = query("domctl scheduler_op getinfo", op.getSchedulerParams);
const settscinfo = operation("domctl settscinfo", op.settscinfo);
const gettscinfo = query("domctl gettscinfo", op.gettscinfo);
const settimeoffset = operation("domctl settimeoffset", op.settimeoffset);
const setAddressSize = operation("domctl set_address_size", op.setAddressSize);
const getAddressSize = query("domctl get_address_size", op.getAddressSize);
const setPagingMempool = operation("domctl set_paging_mempool_size", op.setPagingMempool);
const getPagingMempool = query("domctl get_paging_mempool_size", op.getPagingMempool);

/** Writes the sets that were asked for; "all" is every processor of the machine. */
function putAffinity(
  { view, memory, host, copyBack }: DomctlCall,
  { hard, soft }: { hard: op.Affinity; soft: op.Affinity },
): 0 | Failure {
  const s = abi.xen_domctl_vcpuaffinity;
  const flags = s.flags.get(view, U);
  const members = (set: op.Affinity): readonly number[] =>
    set === "all" ? Array.from({ length: machineOf(host).nrCpus }, (_, cpu) => cpu) : set;
  const wanted = [
    ...((flags & HARD) === 0 ? [] : [[s.cpumap_hard.offset, hard] as const]),
    ...((flags & SOFT) === 0 ? [] : [[s.cpumap_soft.offset, soft] as const]),
  ];
  let written: 0 | Failure = 0;
  // That of the second set says how it went.
  for (const [offset, set] of wanted) written = writeBitmap(memory, view, U + offset, members(set));
  return isFailure(written) ? written : copyBack();
}

/** XEN_VCPUAFFINITY_HARD, XEN_VCPUAFFINITY_SOFT */
const HARD = 1;
const SOFT = 2;

/** Which sets are meant: EINVAL for none, or one without an address (vcpuaffinity_params_invalid). */
function affinityFlags({ view }: DomctlCall): number | Failure {
  const s = abi.xen_domctl_vcpuaffinity;
  const flags = s.flags.get(view, U);
  const nowhere = (set: number, { offset }: { offset: number }): boolean =>
    (flags & set) !== 0 && abi.xenctl_bitmap.bitmap.get(view, U + offset) === 0;
  const invalid = flags === 0 || nowhere(HARD, s.cpumap_hard) || nowhere(SOFT, s.cpumap_soft);
  return invalid ? fail("EINVAL") : flags;
}

function setAffinity(call: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_vcpuaffinity;
  const { host, caller, view, memory, domid } = call;
  const vcpu = s.vcpu.get(view, U);
  // The operation refuses it, and leaves its trace.
  if (isFailure(op.affinityTarget(host, caller, { domid, vcpu })))
    return prepare(setvcpuaffinity, { domid, vcpu, hard: null, soft: null });
  const flags = affinityFlags(call);
  if (isFailure(flags)) return flags;
  const { nrCpus } = machineOf(host);
  const hard = (flags & HARD) === 0 ? null : readBitmap(memory, view, U + s.cpumap_hard.offset, nrCpus);
  const soft = (flags & SOFT) === 0 ? null : readBitmap(memory, view, U + s.cpumap_soft.offset, nrCpus);
  if (isFailure(hard)) return hard;
  // The first set is made before the second is looked at, and taken back then.
  if (isFailure(soft))
    return hard !== null && !op.hardAffinityFits(host, domid, hard) ? fail("EINVAL") : soft;
  const asked = { domid, vcpu, hard, soft };
  return prepare(setvcpuaffinity, asked, (made) => putAffinity(call, made));
}

function scheduler({ view, domid, copyBack }: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_scheduler_op;
  const asked = { domid, schedId: s.sched_id.get(view, U) };
  const [weight, cap] = [s["u.credit2.weight"], s["u.credit2.cap"]];
  const command = s.cmd.get(view, U);
  if (command === X.XEN_DOMCTL_SCHEDOP_putinfo) {
    return prepare(putScheduler, { ...asked, weight: weight.get(view, U), cap: cap.get(view, U) });
  }
  if (command !== X.XEN_DOMCTL_SCHEDOP_getinfo) return fail("EINVAL");
  return prepare(getScheduler, asked, (found) => {
    weight.set(view, found.weight, U);
    cap.set(view, found.cap, U);
    return copyBack();
  });
}

function setTsc({ view, domid }: DomctlCall): Prepared {
  const s = abi.xen_domctl_tsc_info;
  const tsc = {
    mode: s.tsc_mode.get(view, U),
    khz: s.gtsc_khz.get(view, U),
    elapsedNs: getBig(view, s.elapsed_nsec, U),
    incarnation: s.incarnation.get(view, U),
  };
  return prepare(settscinfo, { domid, tsc });
}

function getTsc({ view, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_tsc_info;
  return prepare(gettscinfo, { domid }, ({ mode, khz, elapsedNs, incarnation }) => {
    s.tsc_mode.set(view, mode, U);
    s.gtsc_khz.set(view, khz, U);
    s.incarnation.set(view, incarnation, U);
    setBig(view, s.elapsed_nsec, elapsedNs, U);
    return copyBack();
  });
}

/** The commands of this file. */
export const settingsCommands: { readonly [command: number]: DomctlCommand } = {
  [X.XEN_DOMCTL_setvcpuaffinity]: setAffinity,
  [X.XEN_DOMCTL_getvcpuaffinity]: (call) => {
    const asked = { domid: call.domid, vcpu: abi.xen_domctl_vcpuaffinity.vcpu.get(call.view, U) };
    const target = op.affinityTarget(call.host, call.caller, asked);
    const flags = isFailure(target) ? target : affinityFlags(call);
    if (isFailure(flags)) return flags;
    return prepare(getvcpuaffinity, asked, (found) => putAffinity(call, found));
  },
  [X.XEN_DOMCTL_setnodeaffinity]: ({ view, memory, domid }) => {
    const nodes = readBitmap(memory, view, U + abi.xen_domctl_nodeaffinity.nodemap.offset, MAX_NUMNODES);
    return isFailure(nodes) ? nodes : prepare(setnodeaffinity, { domid, nodes });
  },
  [X.XEN_DOMCTL_getnodeaffinity]: ({ view, memory, domid, copyBack }) =>
    prepare(getnodeaffinity, { domid }, (nodes) => {
      const members = nodes === "all" ? [0] : nodes;
      const written = writeBitmap(memory, view, U + abi.xen_domctl_nodeaffinity.nodemap.offset, members);
      return isFailure(written) ? written : copyBack();
    }),
  [X.XEN_DOMCTL_assign_device]: ({ host, caller }) => iommuDomctl(host, caller),
  [X.XEN_DOMCTL_deassign_device]: ({ host, caller }) => iommuDomctl(host, caller),
  [X.XEN_DOMCTL_test_assign_device]: ({ host, caller }) => iommuDomctl(host, caller),
  [X.XEN_DOMCTL_psr_cmt_op]: ({ host, caller, domid }) => psrDomctl(host, caller, { domid }),
  [X.XEN_DOMCTL_psr_alloc]: ({ host, caller, domid }) => psrDomctl(host, caller, { domid }),
  [X.XEN_DOMCTL_scheduler_op]: scheduler,
  [X.XEN_DOMCTL_settscinfo]: setTsc,
  [X.XEN_DOMCTL_gettscinfo]: getTsc,
  [X.XEN_DOMCTL_settimeoffset]: ({ view, domid }) =>
    prepare(settimeoffset, { domid, seconds: abi.xen_domctl_settimeoffset.time_offset_seconds.get(view, U) }),
  [X.XEN_DOMCTL_set_address_size]: ({ view, domid }) =>
    prepare(setAddressSize, { domid, size: abi.xen_domctl_address_size.size.get(view, U) }),
  [X.XEN_DOMCTL_get_address_size]: ({ view, domid, copyBack }) =>
    prepare(getAddressSize, { domid }, (size) => {
      abi.xen_domctl_address_size.size.set(view, size, U);
      return copyBack();
    }),
  [X.XEN_DOMCTL_set_paging_mempool_size]: ({ view, domid }) =>
    prepare(setPagingMempool, { domid, bytes: abi.xen_domctl_paging_mempool.size.get(view, U) }),
  [X.XEN_DOMCTL_get_paging_mempool_size]: ({ view, domid, copyBack }) =>
    prepare(getPagingMempool, { domid }, (bytes) => {
      abi.xen_domctl_paging_mempool.size.set(view, bytes, U);
      return copyBack();
    }),
};
