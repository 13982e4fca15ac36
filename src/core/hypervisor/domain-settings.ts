// SPDX-License-Identifier: Apache-2.0
//
// DOMCTL: what a toolstack sets on a domain and asks for again: where its vCPUs
// may run, how they share processors, its clock, its address width.

import { must } from "../engine/cells.ts";
import type { DeepReadonly } from "../engine/cells.ts";
import { fail, isFailure } from "../engine/errno.ts";
import type { Failure } from "../engine/errno.ts";
import type { Host } from "../engine/host.ts";
import { another } from "./domctl-op.ts";
import { controlled, traced } from "./caller.ts";
import type { Caller } from "./caller.ts";
import { cpupoolCell, SCHED_CREDIT2 } from "./cpupool.ts";
import { domainCell, domainInfoCell } from "./domain.ts";
import type { Domain, DomainInfo } from "./domain.ts";
import { machineOf } from "./machine.ts";
import { domainVcpu, vcpuCell, vcpuId } from "./vcpu.ts";
import type { Vcpu } from "./vcpu.ts";

const UINT_MAX = 0xffffffff;
/** TSC_MODE_DEFAULT … TSC_MODE_PVRDTSCP, of which the last is gone since 4.14. */
const TSC_MODE_MAX = 2;

/** Processors or nodes: all of the machine's, or those listed in ascending order. */
export type Affinity = "all" | number[];

/** Performs a change that only control domains may make, and records it. */
function change(
  host: Host,
  caller: Caller,
  name: string,
  domid: number,
  args: { readonly [name: string]: number | string },
  run: (d: DeepReadonly<Domain>) => 0 | Failure,
  d: DeepReadonly<Domain> | Failure = controlled(host, caller, domid),
): 0 | Failure {
  return traced(host, caller, `domctl ${name}`, domid, args, isFailure(d) ? d : run(d));
}

function settings(host: Host, caller: Caller, domid: number): DeepReadonly<DomainInfo> | Failure {
  const d = controlled(host, caller, domid);
  return isFailure(d) ? d : must(host, domainInfoCell, domid);
}

/** The processors a domain's pool has (cpupool_domain_master_cpumask). */
function poolCpus(host: Host, d: DeepReadonly<Domain>): readonly number[] {
  return must(host, cpupoolCell, d.cpupool).cpus;
}

function common(set: DeepReadonly<Affinity>, others: readonly number[]): readonly number[] {
  return set === "all" ? others : others.filter((member) => set.includes(member));
}

/** Members that the machine has; all of them is "all". */
function within(members: readonly number[], count: number): Affinity {
  const known = members.filter((member) => member < count);
  return known.length === count ? "all" : known;
}

/** The vCPU whose affinity is meant: EINVAL beyond the domain's maximum, ESRCH for one that was not made. */
function affineVcpu(host: Host, d: DeepReadonly<Domain>, vcpu: number): DeepReadonly<Vcpu> | Failure {
  if (vcpu >= d.maxVcpus) return fail("EINVAL");
  return domainVcpu(host, d.domid, vcpu) ?? fail("ESRCH");
}

/** Whether a vCPU's affinity can be set or asked for: ESRCH, EPERM and `affineVcpu`'s. */
export function affinityTarget(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): 0 | Failure {
  const d = controlled(host, caller, domid);
  const v = isFailure(d) ? d : affineVcpu(host, d, vcpu);
  return isFailure(v) ? v : 0;
}

/**
 * Which processors a vCPU must and which it should run on; null leaves one as it
 * is. EINVAL for no such vCPU or no processor, ESRCH for one that was not made
 * (vcpu_affinity_domctl).
 */
export function setvcpuaffinity(
  host: Host,
  caller: Caller,
  args: { domid: number; vcpu: number; hard: number[] | null; soft: number[] | null },
): { hard: Affinity; soft: Affinity } | Failure {
  const { domid, vcpu } = args;
  const count = machineOf(host).nrCpus;
  const hard = args.hard === null ? null : within(args.hard, count);
  const soft = args.soft === null ? null : within(args.soft, count);
  const result = change(host, caller, "setvcpuaffinity", domid, { vcpu }, (d) => {
    const found = affineVcpu(host, d, vcpu);
    if (isFailure(found)) return found;
    if (hard !== null && common(hard, poolCpus(host, d)).length === 0) return fail("EINVAL");
    const v = host.edit(vcpuCell, vcpuId(domid, vcpu));
    if (hard !== null) v.hardAffinity = hard;
    if (soft !== null) v.softAffinity = soft;
    return 0;
  });
  return isFailure(result) ? result : effectiveAffinity(host, domid, vcpu);
}

/** Whether a vCPU could be made to run on these: on one of its pool's at least (vcpu_set_hard_affinity). */
export function hardAffinityFits(host: Host, domid: number, cpus: readonly number[]): boolean {
  const hard = within(cpus, machineOf(host).nrCpus);
  return common(hard, poolCpus(host, must(host, domainCell, domid))).length > 0;
}

/** Where a vCPU really runs: on processors of its pool alone, and preferably on those that it also must. */
function effectiveAffinity(host: Host, domid: number, vcpu: number): { hard: Affinity; soft: Affinity } {
  const v = must(host, vcpuCell, vcpuId(domid, vcpu));
  const hard = common(v.hardAffinity, poolCpus(host, must(host, domainCell, domid)));
  const soft = common(v.softAffinity, hard);
  const count = machineOf(host).nrCpus;
  return { hard: within(hard, count), soft: within(soft, count) };
}

/** Which processors a vCPU must and which it should run on. */
export function getvcpuaffinity(
  host: Host,
  caller: Caller,
  { domid, vcpu }: { domid: number; vcpu: number },
): { hard: Affinity; soft: Affinity } | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  const v = affineVcpu(host, d, vcpu);
  if (isFailure(v)) return v;
  const copied = (set: "all" | readonly number[]): Affinity => (set === "all" ? set : [...set]);
  return { hard: copied(v.hardAffinity), soft: copied(v.softAffinity) };
}

/** Which nodes a domain's memory should come from: EINVAL for none. */
export function setnodeaffinity(
  host: Host,
  caller: Caller,
  { domid, nodes }: { domid: number; nodes: number[] },
): 0 | Failure {
  return change(host, caller, "setnodeaffinity", domid, {}, () => {
    const known = within(nodes, 1);
    if (known.length === 0) return fail("EINVAL");
    host.edit(domainInfoCell, domid).nodeAffinity = known;
    return 0;
  });
}

/** Which nodes a domain's memory should come from. */
export function getnodeaffinity(
  host: Host,
  caller: Caller,
  { domid }: { domid: number },
): Affinity | Failure {
  const info = settings(host, caller, domid);
  if (isFailure(info)) return info;
  return info.nodeAffinity === "all" ? "all" : [...info.nodeAffinity];
}

/**
 * Changes a domain's share of the processors: a weight of 0 leaves it as it is, a
 * cap above what its vCPUs could use is EINVAL, with the weight already changed
 * (csched2_dom_cntl).
 */
export function putSchedulerParams(
  host: Host,
  caller: Caller,
  {
    domid,
    schedId = SCHED_CREDIT2,
    weight,
    cap,
  }: { domid: number; schedId?: number; weight: number; cap: number },
): 0 | Failure {
  return change(host, caller, "scheduler_op", domid, { cmd: "putinfo", weight, cap }, (d) => {
    if (schedId !== SCHED_CREDIT2) return fail("EINVAL");
    const { sched } = host.edit(domainInfoCell, domid);
    if (weight !== 0) sched.weight = weight;
    if (cap > 100 * d.nrVcpus) return fail("EINVAL");
    sched.cap = cap;
    return 0;
  });
}

/** A domain's share of the processors; EINVAL where another scheduler's parameters are asked for. */
export function getSchedulerParams(
  host: Host,
  caller: Caller,
  { domid, schedId = SCHED_CREDIT2 }: { domid: number; schedId?: number },
): { weight: number; cap: number } | Failure {
  const info = settings(host, caller, domid);
  if (isFailure(info)) return info;
  return schedId === SCHED_CREDIT2 ? { ...info.sched } : fail("EINVAL");
}

/** How a domain's time stamp counter behaves. */
export type TscInfo = DomainInfo["tsc"];

/**
 * Sets it: EINVAL for the caller's own domain and a mode there is not. A domain
 * that has moved is one incarnation on (tsc_set_info).
 */
export function settscinfo(
  host: Host,
  caller: Caller,
  { domid, tsc }: { domid: number; tsc: TscInfo },
): 0 | Failure {
  const set = (): 0 | Failure => {
    if (tsc.mode > TSC_MODE_MAX) return fail("EINVAL");
    const khz = tsc.khz === 0 ? machineOf(host).cpuKhz : tsc.khz;
    host.edit(domainInfoCell, domid).tsc = { ...tsc, khz, incarnation: tsc.incarnation + 1 };
    return 0;
  };
  return change(host, caller, "settscinfo", domid, {}, set, another(host, caller, domid));
}

/** How a domain's time stamp counter behaves: EINVAL for the caller's own, which cannot be paused. */
export function gettscinfo(host: Host, caller: Caller, { domid }: { domid: number }): TscInfo | Failure {
  const d = another(host, caller, domid);
  return isFailure(d) ? d : { ...must(host, domainInfoCell, domid).tsc };
}

/** Seconds a domain's clock is ahead of the machine's. */
export function settimeoffset(
  host: Host,
  caller: Caller,
  { domid, seconds }: { domid: number; seconds: number },
): 0 | Failure {
  return change(host, caller, "settimeoffset", domid, { seconds }, () => {
    host.edit(domainInfoCell, domid).timeOffsetSeconds = seconds;
    return 0;
  });
}

/** Makes a PV domain a 32-bit or a 64-bit one: EOPNOTSUPP for others, EINVAL for other widths. */
export function setAddressSize(
  host: Host,
  caller: Caller,
  { domid, size }: { domid: number; size: number },
): 0 | Failure {
  return change(host, caller, "set_address_size", domid, { size }, (d) => {
    if (d.type !== "pv") return fail("EOPNOTSUPP");
    if (size !== 32 && size !== 64) return fail("EINVAL");
    if (must(host, domainInfoCell, domid).addressSize !== size)
      host.edit(domainInfoCell, domid).addressSize = size;
    return 0;
  });
}

/** Bits of a domain's addresses. */
export function getAddressSize(host: Host, caller: Caller, { domid }: { domid: number }): number | Failure {
  const info = settings(host, caller, domid);
  return isFailure(info) ? info : info.addressSize;
}

/** Bytes for a translated domain's page tables: EOPNOTSUPP for PV, EINVAL for no whole pages. */
export function setPagingMempool(
  host: Host,
  caller: Caller,
  { domid, bytes }: { domid: number; bytes: number },
): 0 | Failure {
  return change(host, caller, "set_paging_mempool_size", domid, { size: bytes }, (d) => {
    if (d.type === "pv") return fail("EOPNOTSUPP");
    if (bytes % 4096 !== 0 || bytes / 4096 > UINT_MAX) return fail("EINVAL");
    host.edit(domainInfoCell, domid).pagingMempool = bytes;
    return 0;
  });
}

/** Bytes for a translated domain's page tables; EOPNOTSUPP for PV. */
export function getPagingMempool(host: Host, caller: Caller, { domid }: { domid: number }): number | Failure {
  const d = controlled(host, caller, domid);
  if (isFailure(d)) return d;
  return d.type === "pv" ? fail("EOPNOTSUPP") : must(host, domainInfoCell, domid).pagingMempool;
}
