// SPDX-License-Identifier: Apache-2.0
//
// domctl: the binary form of XEN_DOMCTL_*. One structure holds the command, the
// interface version, the domain and a union.

import * as X from "../../../abi/4.17/constants.ts";
import * as abi from "../../../abi/4.17/layout.ts";
import { viewOf, zeroed } from "../../../abi/struct.ts";
import { fail, isFailure } from "../../engine/errno.ts";
import type { Failure } from "../../engine/errno.ts";
import { controlled, isPrivileged } from "../caller.ts";
import * as op from "../domctl.ts";
import { versionOf } from "../machine.ts";
import { hex } from "./caller-memory.ts";
import { domainPolicyCommand, setPolicyCommand } from "./cpu-policy.ts";
import type { DomctlCall, DomctlCommand } from "./domctl-call.ts";
import { settingsCommands } from "./domctl-settings.ts";
import { hvmContextCommands } from "./domctl-hvm-context.ts";
import { saveCommands } from "./domctl-save.ts";
import { vcpuCommands } from "./domctl-vcpu.ts";
import { putDomainInfo } from "./dominfo.ts";
import { operation, prepare, query, restartable, unknownCommand } from "./operation.ts";
import type { Family, Prepared } from "./operation.ts";

/** Where the union is. */
const U = abi.xen_domctl.u.offset;

interface OfDomain {
  domid: number;
}

const createdomain = operation("domctl createdomain", op.createdomain);
const destroydomain = restartable("domctl destroydomain", op.destroydomain);
const softReset = restartable("domctl soft_reset", op.softReset);
const maxVcpus = operation("domctl max_vcpus", op.maxVcpus);
const maxMem = operation("domctl max_mem", op.maxMem);
const pausedomain = operation("domctl pausedomain", (host, caller, { domid }: OfDomain) =>
  op.pausedomain(host, caller, domid),
);
const unpausedomain = operation("domctl unpausedomain", (host, caller, { domid }: OfDomain) =>
  op.unpausedomain(host, caller, domid),
);
const resumedomain = operation("domctl resumedomain", (host, caller, { domid }: OfDomain) =>
  op.resumedomain(host, caller, domid),
);
const getdomaininfo = query("domctl getdomaininfo", (host, caller, { domid }: OfDomain) =>
  op.getdomaininfo(host, caller, domid),
);
const setdomainhandle = operation("domctl setdomainhandle", op.setdomainhandle);
const subscribe = operation("domctl subscribe", op.subscribe);
const setVirqHandler = operation("domctl set_virq_handler", op.setVirqHandler);
const setTarget = operation("domctl set_target", op.setTarget);

function create({ view, domid, copyBack }: DomctlCall): Prepared {
  const s = abi.xen_domctl_createdomain;
  const config = {
    domid,
    ssidref: s.ssidref.get(view, U),
    handle: hex(s.handle.get(view, U)),
    flags: s.flags.get(view, U),
    iommuOpts: s.iommu_opts.get(view, U),
    maxVcpus: s.max_vcpus.get(view, U),
    maxEvtchnPort: s.max_evtchn_port.get(view, U),
    maxGrantFrames: s.max_grant_frames.get(view, U),
    maxMaptrackFrames: s.max_maptrack_frames.get(view, U),
    grantOpts: s.grant_opts.get(view, U),
    vmtraceSize: s.vmtrace_size.get(view, U),
    cpupoolId: s.cpupool_id.get(view, U),
    emulationFlags: s["arch.emulation_flags"].get(view, U),
    miscFlags: s["arch.misc_flags"].get(view, U),
  };
  return prepare(createdomain, config, (made) => {
    abi.xen_domctl.domain.set(view, made.domid);
    return copyBack();
  });
}

function info({ view, domid, copyBack }: DomctlCall): Prepared {
  return prepare(getdomaininfo, { domid }, (found) => {
    const struct = zeroed(abi.xen_domctl_getdomaininfo);
    putDomainInfo(struct, found, 0);
    abi.xen_domctl.domain.set(view, found.domid);
    new Uint8Array(view.buffer, view.byteOffset + U).set(new Uint8Array(struct.buffer));
    return copyBack();
  });
}

/** Answers 0 to a control domain: there is nothing on this machine that it could permit. */
function nothingToPermit({ host, caller, domid }: DomctlCall): 0 | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) ? d : 0;
}

const commands: { readonly [command: number]: DomctlCommand } = {
  [X.XEN_DOMCTL_createdomain]: create,
  [X.XEN_DOMCTL_destroydomain]: ({ domid }) => prepare(destroydomain, { domid }, () => 0),
  [X.XEN_DOMCTL_soft_reset]: ({ domid }) => prepare(softReset, { domid }, () => 0),
  [X.XEN_DOMCTL_pausedomain]: ({ domid }) => prepare(pausedomain, { domid }),
  [X.XEN_DOMCTL_unpausedomain]: ({ domid }) => prepare(unpausedomain, { domid }),
  [X.XEN_DOMCTL_resumedomain]: ({ domid }) => prepare(resumedomain, { domid }),
  [X.XEN_DOMCTL_getdomaininfo]: info,
  [X.XEN_DOMCTL_max_vcpus]: ({ view, domid }) =>
    prepare(maxVcpus, { domid, max: abi.xen_domctl_max_vcpus.max.get(view, U) }),
  [X.XEN_DOMCTL_max_mem]: ({ view, domid }) =>
    prepare(maxMem, { domid, maxMemkb: abi.xen_domctl_max_mem.max_memkb.get(view, U) }),
  [X.XEN_DOMCTL_setdomainhandle]: ({ view, domid }) =>
    prepare(setdomainhandle, { domid, handle: hex(abi.xen_domctl_setdomainhandle.handle.get(view, U)) }),
  [X.XEN_DOMCTL_subscribe]: ({ view, domid }) =>
    prepare(subscribe, { domid, port: abi.xen_domctl_subscribe.port.get(view, U) }),
  [X.XEN_DOMCTL_set_virq_handler]: ({ view, domid }) =>
    prepare(setVirqHandler, { domid, virq: abi.xen_domctl_set_virq_handler.virq.get(view, U) }),
  [X.XEN_DOMCTL_set_target]: ({ view, domid }) =>
    prepare(setTarget, { domid, target: abi.xen_domctl_set_target.target.get(view, U) }),
  [X.XEN_DOMCTL_get_cpu_policy]: domainPolicyCommand,
  [X.XEN_DOMCTL_set_cpu_policy]: setPolicyCommand,
  [X.XEN_DOMCTL_irq_permission]: nothingToPermit,
  [X.XEN_DOMCTL_iomem_permission]: nothingToPermit,
  [X.XEN_DOMCTL_ioport_permission]: nothingToPermit,
  ...settingsCommands,
  ...hvmContextCommands,
  ...saveCommands,
  ...vcpuCommands,
};

/**
 * What a refused argument comes to: a domain there is not (ESRCH) and a caller
 * who may not (EPERM) come before anything in the union is looked at.
 */
function refused({ host, caller, domid }: DomctlCall, command: number, failure: Failure): Failure {
  const d =
    command === X.XEN_DOMCTL_createdomain
      ? isPrivileged(host, caller) || fail("EPERM")
      : controlled(host, caller, domid);
  return isFailure(d) ? d : failure;
}

/** `domctl(u_domctl)`: EACCES for a tool of another version. */
export const domctlOp: Family = (call) => {
  const address = call.args[0] ?? 0;
  const bytes = call.memory.read(address, abi.xen_domctl.sizeof);
  if (isFailure(bytes)) return bytes;
  const view = viewOf(bytes);
  if (abi.xen_domctl.interface_version.get(view) !== versionOf(call.host).domctlInterface)
    return fail("EACCES");
  const command = abi.xen_domctl.cmd.get(view);
  const copyBack = (): 0 | Failure => call.memory.write(address, bytes);
  const made = { ...call, view, domid: abi.xen_domctl.domain.get(view), copyBack };
  const taken = commands[command]?.(made) ?? unknownCommand("domctl", "XEN_DOMCTL_", command);
  return isFailure(taken) ? refused(made, command, taken) : taken;
};
