// SPDX-License-Identifier: Apache-2.0
//
// domctl: single vCPUs.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf, zeroed } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import * as op from "../domctl-vcpu.ts";
import type { DomctlCall, DomctlCommand } from "./domctl-call.ts";
import { operation, prepare, query } from "./operation.ts";
import type { Prepared } from "./operation.ts";

const U = abi.xen_domctl.u.offset;
const CONTEXT = abi.vcpu_guest_context;
/** Entries of a page of a descriptor table; the processor's limit of pages of one. */
const GDT_ENTRIES_PER_FRAME = 512;
const GDT_FRAMES_MAX = 16;
/** CR3 is the fourth control register of the context; its frame is in the upper bits (xen_cr3_to_pfn). */
const CR3_OFFSET = CONTEXT.ctrlreg.offset + 3 * 8;

const setvcpucontext = operation("domctl setvcpucontext", op.setvcpucontext);
const getvcpucontext = query("domctl getvcpucontext", op.getvcpucontext);
const getvcpuinfo = query("domctl getvcpuinfo", op.getvcpuinfo);
const sendtrigger = operation("domctl sendtrigger", op.sendtrigger);

const triggers: { readonly [trigger: number]: Parameters<typeof op.sendtrigger>[2]["trigger"] } = {
  [X.XEN_DOMCTL_SENDTRIGGER_NMI]: "nmi",
  [X.XEN_DOMCTL_SENDTRIGGER_RESET]: "reset",
  [X.XEN_DOMCTL_SENDTRIGGER_INIT]: "init",
  [X.XEN_DOMCTL_SENDTRIGGER_POWER]: "power",
  [X.XEN_DOMCTL_SENDTRIGGER_SLEEP]: "sleep",
};

/** What the model reads of a context: whether the vCPU is up, its page tables, its descriptor table. */
function readContext(bytes: Uint8Array): op.VcpuContext | Failure {
  const view = viewOf(bytes);
  const entries = CONTEXT.gdt_ents.get(view);
  const frames = Math.ceil(entries / GDT_ENTRIES_PER_FRAME);
  if (frames > GDT_FRAMES_MAX) return fail("EINVAL");
  const gdt = Array.from({ length: frames }, (_, i) =>
    Number(view.getBigUint64(CONTEXT.gdt_frames.offset + i * 8, true)),
  );
  const cr3 = Number(view.getBigUint64(CR3_OFFSET, true) >> 12n);
  return { online: (CONTEXT.flags.get(view) & X.VGCF_online) !== 0, bytes, cr3, gdt };
}

function setContext({ host, caller, view, memory, domid }: DomctlCall): Prepared | Failure {
  const s = abi.xen_domctl_vcpucontext;
  const vcpu = s.vcpu.get(view, U);
  const address = s.ctxt.get(view, U);
  const target = op.contextTarget(host, caller, { domid, vcpu });
  // The operation refuses it, and leaves its trace.
  if (isFailure(target)) return prepare(setvcpucontext, { domid, vcpu, context: null });
  if (address === 0) return prepare(setvcpucontext, { domid, vcpu, context: null });
  const bytes = memory.read(address, CONTEXT.sizeof);
  if (isFailure(bytes)) return bytes;
  const context = readContext(bytes);
  return isFailure(context) ? context : prepare(setvcpucontext, { domid, vcpu, context });
}

function getContext({ view, memory, domid }: DomctlCall): Prepared {
  const s = abi.xen_domctl_vcpucontext;
  return prepare(getvcpucontext, { domid, vcpu: s.vcpu.get(view, U) }, ({ bytes, online }) => {
    const context = zeroed(CONTEXT);
    const whole = new Uint8Array(context.buffer);
    whole.set(bytes.subarray(0, whole.length));
    const flags = CONTEXT.flags.get(context) & ~X.VGCF_online;
    CONTEXT.flags.set(context, online ? flags | X.VGCF_online : flags);
    return memory.write(s.ctxt.get(view, U), whole);
  });
}

function info({ view, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_getvcpuinfo;
  return prepare(getvcpuinfo, { domid, vcpu: s.vcpu.get(view, U) }, (found) => {
    s.online.set(view, Number(found.online), U);
    s.blocked.set(view, Number(found.blocked), U);
    s.running.set(view, Number(found.running), U);
    s.cpu_time.set(view, found.cpuTime, U);
    s.cpu.set(view, found.cpu, U);
    return copyBack();
  });
}

/** The commands of this file. */
export const vcpuCommands: { readonly [command: number]: DomctlCommand } = {
  [X.XEN_DOMCTL_setvcpucontext]: setContext,
  [X.XEN_DOMCTL_getvcpucontext]: getContext,
  [X.XEN_DOMCTL_getvcpuinfo]: info,
  [X.XEN_DOMCTL_sendtrigger]: ({ view, domid }) => {
    const s = abi.xen_domctl_sendtrigger;
    const trigger = triggers[s.trigger.get(view, U)] ?? "unknown";
    return prepare(sendtrigger, { domid, vcpu: s.vcpu.get(view, U), trigger });
  },
};
